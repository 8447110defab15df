/** time.ParseDuration of Go, with OPA's days, weeks and years of 24, 168 and 8760 hours. */

import { BuiltinError } from '../builtin.ts'

const units: Readonly<Record<string, bigint>> = {
  ...{ ns: 1n, us: 1_000n, '\u00b5s': 1_000n, '\u03bcs': 1_000n, ms: 1_000_000n },
  ...{ s: 1_000_000_000n, m: 60_000_000_000n, h: 3_600_000_000_000n },
}

const longUnits: Readonly<Record<string, number>> = { d: 24, w: 7 * 24, y: 365 * 24 }

const max = 2n ** 63n

export function parseDuration(text: string): bigint {
  const [, sign = '', rest = ''] = /^([+-]?)(.*)$/s.exec(text) ?? []
  if (rest === '0') return 0n
  let sum = 0n
  let at = 0
  for (const [whole, number = '', unit = ''] of rest.matchAll(/([0-9.]+)([^0-9.]+)/gy)) {
    sum += segment(number, unit)
    at += whole.length
  }
  if (at === 0 || at !== rest.length || sum > max || (sum === max && sign !== '-')) throw bad(text)
  return sign === '-' ? -sum : sum
}

function segment(number: string, unit: string): bigint {
  const [, whole = '', fraction = ''] = /^([0-9]*)\.?([0-9]*)$/.exec(number) ?? []
  if (whole + fraction === '' || whole.length > 19) throw bad(number)
  const long = Object.hasOwn(longUnits, unit) ? longUnits[unit] : undefined
  if (long !== undefined) return segment(plain(Number(number) * long), 'h')
  const size = Object.hasOwn(units, unit) ? units[unit] : undefined
  if (size === undefined) throw bad(`${number}${unit}`)
  const digits = fraction.slice(0, 18) // As many as Go takes into account.
  const part = digits === '' ? 0 : Number(digits) * (Number(size) / 10 ** digits.length)
  return BigInt(whole || '0') * size + BigInt(Math.trunc(part))
}

/** Without an exponent, which the grammar does not have. */
const plain = (hours: number): string =>
  /e/.test(String(hours)) ? hours.toFixed(20).replace(/0+$/, '') : String(hours)

const bad = (text: string): BuiltinError => new BuiltinError(`time: invalid duration ${JSON.stringify(text)}`)
