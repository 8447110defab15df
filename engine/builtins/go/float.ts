/** Doubles as text, digit for digit as Go's strconv.FormatFloat has it: correctly rounded, ties to even. */

/** 0.digits * 10^point; no digits stand for zero. */
interface Decimal {
  readonly digits: string
  readonly point: number
}

export type FloatVerb = 'e' | 'E' | 'f' | 'g' | 'G' | 'b' | 'x' | 'X'

/** `precision` below 0 asks for as few digits as tell this double from all others. */
export function formatFloat(value: number, verb: FloatVerb, precision: number): string {
  if (Number.isNaN(value)) return 'NaN'
  const sign = value < 0 || Object.is(value, -0) ? '-' : ''
  const size = Math.abs(value)
  if (size === Number.POSITIVE_INFINITY) return sign ? '-Inf' : '+Inf'
  switch (verb) {
    case 'b': {
      const { mantissa, exponent } = binary(size)
      return `${sign}${mantissa}p${exponent < 0 ? '-' : '+'}${Math.abs(exponent)}`
    }
    case 'x':
      return sign + hexadecimal(size, precision)
    case 'X':
      return sign + hexadecimal(size, precision).toUpperCase()
    case 'e':
    case 'E':
      return sign + exponential(precision < 0 ? shortest(size) : rounded(exact(size), precision + 1), precision, verb)
    case 'f': {
      const decimal = exact(size)
      return sign + fixed(precision < 0 ? shortest(size) : rounded(decimal, decimal.point + precision), precision)
    }
    case 'g':
    case 'G':
      return sign + general(size, precision, verb === 'g' ? 'e' : 'E')
  }
}

function general(size: number, precision: number, e: 'e' | 'E'): string {
  const places = precision === 0 ? 1 : precision
  const decimal = places < 0 ? shortest(size) : rounded(exact(size), places)
  const count = decimal.digits.length
  const limit = places < 0 ? 6 : places > count && count >= decimal.point ? count : places
  const exponent = decimal.point - 1
  if (exponent < -4 || exponent >= limit) return exponential(decimal, count - 1, e)
  return fixed(decimal, Math.max(count - decimal.point, 0))
}

function exponential({ digits, point }: Decimal, precision: number, e: 'e' | 'E'): string {
  const places = precision < 0 ? Math.max(digits.length - 1, 0) : precision
  const all = digits.padEnd(places + 1, '0')
  const exponent = digits === '' ? 0 : point - 1
  const power = `${e}${exponent < 0 ? '-' : '+'}${String(Math.abs(exponent)).padStart(2, '0')}`
  return all[0]! + (places > 0 ? `.${all.slice(1, places + 1)}` : '') + power
}

function fixed({ digits, point }: Decimal, precision: number): string {
  const places = precision < 0 ? Math.max(digits.length - point, 0) : precision
  const whole = point > 0 ? digits.slice(0, point).padEnd(point, '0') : '0'
  if (places === 0) return whole
  const fraction = point >= 0 ? digits.slice(point) : '0'.repeat(Math.min(-point, places)) + digits
  return `${whole}.${fraction.slice(0, places).padEnd(places, '0')}`
}

/** The digits that JavaScript writes are the fewest, too. */
function shortest(size: number): Decimal {
  if (size === 0) return { digits: '', point: 0 }
  const [mantissa = '', power = ''] = size.toExponential().split('e')
  return { digits: mantissa.replace('.', ''), point: Number(power) + 1 }
}

/** Every digit: a double is a whole number times a power of two, and so a finite decimal. */
function exact(size: number): Decimal {
  const { mantissa, exponent } = binary(size)
  if (mantissa === 0n) return { digits: '', point: 0 }
  const digits = String(exponent >= 0 ? mantissa << BigInt(exponent) : mantissa * 5n ** BigInt(-exponent))
  return { digits: digits.replace(/0+$/, ''), point: digits.length + Math.min(exponent, 0) }
}

function binary(size: number): { readonly mantissa: bigint; readonly exponent: number } {
  const view = new DataView(new ArrayBuffer(8))
  view.setFloat64(0, size)
  const bits = view.getBigUint64(0)
  const fraction = bits & 0xfffffffffffffn
  const power = Number(bits >> 52n)
  return power === 0
    ? { mantissa: fraction, exponent: -1074 }
    : { mantissa: fraction | 0x10000000000000n, exponent: power - 1075 }
}

/** To `count` digits, without zeros at their end. */
function rounded({ digits, point }: Decimal, count: number): Decimal {
  if (count < 0) return { digits: '', point: 0 }
  if (count >= digits.length) return { digits, point }
  const kept = digits.slice(0, count)
  const next = digits[count]!
  const tie = next === '5' && count + 1 === digits.length
  const up = tie ? count > 0 && Number(digits[count - 1]) % 2 === 1 : next >= '5'
  if (!up) {
    const trimmed = kept.replace(/0+$/, '')
    return trimmed === '' ? { digits: '', point: 0 } : { digits: trimmed, point }
  }
  const sum = String(BigInt(kept || '0') + 1n).padStart(count, '0')
  return { digits: sum.replace(/0+$/, ''), point: point + (sum.length > count ? 1 : 0) }
}

/** 0x1.fp+10 */
function hexadecimal(size: number, precision: number): string {
  let { mantissa, exponent } = binary(size)
  if (mantissa === 0n) return `0x0${precision > 0 ? `.${'0'.repeat(precision)}` : ''}p+00`
  while (mantissa < 1n << 52n) {
    mantissa <<= 1n
    exponent--
  }
  if (precision >= 0 && precision < 13) {
    const drop = BigInt(52 - 4 * precision)
    const half = 1n << (drop - 1n)
    const rest = mantissa & ((1n << drop) - 1n)
    mantissa >>= drop
    if (rest > half || (rest === half && mantissa % 2n === 1n)) mantissa++
    mantissa <<= drop
    if (mantissa >= 1n << 53n) {
      mantissa >>= 1n
      exponent++
    }
  }
  const hex = mantissa.toString(16)
  const fraction =
    precision < 0 ? hex.slice(1).replace(/0+$/, '') : hex.slice(1).padEnd(precision, '0').slice(0, precision)
  const power = exponent + 52
  return `0x${hex[0]}${fraction ? `.${fraction}` : ''}p${power < 0 ? '-' : '+'}${String(Math.abs(power)).padStart(2, '0')}`
}
