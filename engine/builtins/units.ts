/** units.parse and units.parse_bytes: amounts such as "10Mi" as numbers, with the rounding of Go's math/big. */

import { fromInteger, readNumber, type Value } from '../value.ts'
import { type BuiltinContext, BuiltinError, type BuiltinFamily } from './builtin.ts'
import { stringOf } from './operand.ts'

/** An exact fraction. */
interface Fraction {
  readonly over: bigint
  readonly under: bigint
}

const kilo = 1000n
const kibi = 1024n

/** Powers of a thousand and of 1024, by what follows the letter of a unit. */
const steps = ['', 'k', 'm', 'g', 't', 'p', 'e']

function split(text: string): { readonly amount: Fraction; readonly unit: string } {
  const bare = text.replaceAll('"', '')
  if (bare.includes(' ')) throw new BuiltinError('spaces not allowed in resource strings')
  const number = amountAhead.exec(bare)![0]
  if (/[eE][+-]?[0-9]{7}/.test(number)) throw new BuiltinError('exponent too large')
  if (number === '') throw new BuiltinError('no amount provided')
  return { amount: fractionOf(number), unit: bare.slice(number.length) }
}

/** An `e` is an exponent's only before a digit or a sign; "1e" is one exa. */
const amountAhead = /^(?:[0-9.+-]|[eE](?=[0-9+-]))*/

const maxExponent = 4096

function fractionOf(number: string): Fraction {
  const parts = /^([+-]?)([0-9]*)\.?([0-9]*)(?:[eE]([+-]?[0-9]+))?$/.exec(number)
  const [, sign = '', whole = '', fraction = '', power = '0'] = parts ?? []
  if (whole + fraction === '') throw new BuiltinError('could not parse amount to a number')
  const digits = BigInt(whole + fraction) * (sign === '-' ? -1n : 1n)
  const exponent = Number(power) - fraction.length
  if (Math.abs(exponent) > maxExponent) throw new RangeError(`an amount has more than ${maxExponent} digits`)
  return exponent >= 0
    ? { over: digits * 10n ** BigInt(exponent), under: 1n }
    : { over: digits, under: 10n ** BigInt(-exponent) }
}

/** What "m" stands for is the double 0.001, as in OPA, and not a thousandth. */
const milli: Fraction = { over: 0x10624dd2f1a9fcn, under: 2n ** 62n }

function parse(_: BuiltinContext, text: Value): Value {
  const { amount, unit } = split(stringOf(text))
  const factor = unit === 'm' ? milli : { over: siFactor(unit), under: 1n }
  const over = amount.over * factor.over
  const under = amount.under * factor.under
  if (over % under === 0n) return fromInteger(over / under)
  return readNumber(tenDecimals({ over, under }))!
}

/** Case tells milli from mega in the first letter, and nothing after it. */
function siFactor(unit: string): bigint {
  const [first = '', rest = ''] = [unit.slice(0, 1), unit.slice(1).toLowerCase()]
  const step = steps.indexOf(first.toLowerCase())
  if (step < 0 || (rest !== '' && rest !== 'i') || (first === '' && rest !== '')) throw unknown(unit)
  return (rest === 'i' ? kibi : kilo) ** BigInt(step)
}

/** Rounded half away from zero, with all ten digits written. */
function tenDecimals({ over, under }: Fraction): string {
  const size = over < 0n ? -over : over
  const digits = String((size * 10n ** 10n * 2n + under) / (under * 2n)).padStart(11, '0')
  return `${over < 0n ? '-' : ''}${digits.slice(0, -10)}.${digits.slice(-10)}`
}

function parseBytes(_: BuiltinContext, text: Value): Value {
  const { amount, unit } = split(stringOf(text).toLowerCase())
  const [, letter = '', i = ''] = /^([kmgtpe]?)(i?)b?$/.exec(unit) ?? []
  if (unit !== '' && letter === '') throw unknown(unit)
  const factor = (i ? kibi : kilo) ** BigInt(steps.indexOf(letter))
  const { over, under } = rounded64({ over: rounded64(amount).over * factor, under: rounded64(amount).under })
  return fromInteger(over / under)
}

/** To a mantissa of 64 bits, ties to even: the precision that math/big gives a float read from text. */
function rounded64({ over, under }: Fraction): Fraction {
  if (over < 0n) {
    const size = rounded64({ over: -over, under })
    return { over: -size.over, under: size.under }
  }
  if (over === 0n) return { over, under: 1n }
  let shift = 64 - bits(over) + bits(under)
  let quotient = divided({ over, under }, shift)
  if (bits(quotient) > 64) quotient = divided({ over, under }, --shift)
  return shift >= 0 ? { over: quotient, under: 1n << BigInt(shift) } : { over: quotient << BigInt(-shift), under: 1n }
}

function divided({ over, under }: Fraction, shift: number): bigint {
  const [a, b] = shift >= 0 ? [over << BigInt(shift), under] : [over, under << BigInt(-shift)]
  const quotient = a / b
  const twice = (a % b) * 2n
  return twice > b || (twice === b && quotient % 2n === 1n) ? quotient + 1n : quotient
}

const bits = (value: bigint): number => value.toString(2).length

const unknown = (unit: string): BuiltinError => new BuiltinError(`unit ${unit} not recognized`)

export const units: BuiltinFamily = { 'units.parse': parse, 'units.parse_bytes': parseBytes }
