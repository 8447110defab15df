/**
 * Rego's numbers are decimal text, as JSON writes them, and are compared by value: 1 equals 1.0, and no digit is lost.
 *
 * Three forms, so that code can calculate where that is exact and nothing changes where it is not:
 *   number   its text is what `String` gives: every safe integer, and a fraction such as 0.1 that a double writes back
 *   bigint   an integer beyond 2^53, of up to 10,000 digits
 *   Decimal  any other text: 1.0, 1e3, 0.10000000000000000001
 */

export type RegoNumber = number | bigint | Decimal

export class Decimal {
  /** As JSON has it; kept as it was written. */
  readonly text: string

  constructor(text: string) {
    this.text = text
  }
}

/** JSON's numbers (RFC 8259 section 6). OPA's own writer leaves a bare dot or exponent in a few places. */
const shape = /^-?(?:0|[1-9][0-9]*)(?:\.[0-9]*)?(?:[eE][+-]?[0-9]*)?$/
const integer = /^-?(?:0|[1-9][0-9]*)$/

const maxDigits = 10_000

/** The form that holds a number as it is written, or undefined where it is no number. */
export function readNumber(written: string): RegoNumber | undefined {
  const text = written.replace(/^(-?)\.(?=[0-9])/, '$10.') // OPA's arithmetic leaves out a zero before the point.
  if (!shape.test(text)) return undefined
  const double = Number(text)
  if (String(double) === text && (Number.isSafeInteger(double) || !Number.isInteger(double))) return double
  return integer.test(text) && text !== '-0' && text.length <= maxDigits ? BigInt(text) : new Decimal(text)
}

/** Throws a TypeError on what no number of Rego is: NaN and the infinities. */
export function writeNumber(value: RegoNumber): string {
  if (typeof value === 'number') {
    if (!Number.isFinite(value)) throw new TypeError(`${value} is no number of Rego`)
    return Object.is(value, -0) ? '0' : String(value)
  }
  return value instanceof Decimal ? value.text : String(value)
}

export const isNumber = (value: unknown): value is RegoNumber =>
  typeof value === 'number' || typeof value === 'bigint' || value instanceof Decimal

/** The nearest double, which may be infinite. */
export const toDouble = (value: RegoNumber): number => Number(value instanceof Decimal ? value.text : value)

/** The integer that a number is by value, so also for 1.0 and 1e3; undefined for fractions and absurdly long ones. */
export function toInteger(value: RegoNumber): bigint | undefined {
  if (typeof value === 'bigint') return value
  if (typeof value === 'number' && Number.isSafeInteger(value)) return BigInt(value)
  const { sign, exponent, digits } = normal(value)
  if (sign === 0) return 0n
  if (digits.length > exponent || exponent > maxDigits) return undefined
  const size = BigInt(digits.padEnd(exponent, '0'))
  return sign < 0 ? -size : size
}

/** A number for an integer, in the form that this file promises. */
export const fromInteger = (value: bigint): RegoNumber =>
  value >= BigInt(Number.MIN_SAFE_INTEGER) && value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : value

/** Negative, 0 or positive. */
export function compareNumbers(a: RegoNumber, b: RegoNumber): number {
  if (typeof a === 'number' && typeof b === 'number') return a - b
  if (typeof a === 'bigint' && typeof b === 'bigint') return a < b ? -1 : a > b ? 1 : 0
  const x = normal(a)
  const y = normal(b)
  if (x.sign !== y.sign) return x.sign - y.sign
  if (x.exponent !== y.exponent) return x.sign * (x.exponent - y.exponent)
  return x.digits === y.digits ? 0 : x.digits < y.digits ? -x.sign : x.sign
}

/** sign * 0.digits * 10^exponent, where digits neither begin nor end with a zero. */
interface Normal {
  readonly sign: -1 | 0 | 1
  readonly exponent: number
  readonly digits: string
}

function normal(value: RegoNumber): Normal {
  const [, minus, whole = '', fraction = '', power = ''] = parts.exec(writeNumber(value)) ?? []
  const all = whole + fraction
  const digits = all.replace(/^0+/, '')
  let end = digits.length
  while (digits[end - 1] === '0') end-- // A regular expression would look again from every zero.
  if (digits === '') return { sign: 0, exponent: 0, digits: '' }
  const exponent = whole.length - (all.length - digits.length) + Number(power === '+' || power === '-' ? 0 : power)
  return { sign: minus ? -1 : 1, exponent, digits: digits.slice(0, end) }
}

const parts = /^(-)?([0-9]+)(?:\.([0-9]*))?(?:[eE]([+-]?[0-9]*))?$/
