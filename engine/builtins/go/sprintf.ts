/** fmt.Sprintf of Go: its verbs, flags, width, precision, argument indexes, and its notes on what does not fit. */

import { bytesOfString } from '../../value.ts'
import { type FloatVerb, formatFloat } from './float.ts'
import { goQuote, isPrint } from './quote.ts'

/** The Go types that OPA hands to Sprintf. */
export type GoArg =
  | { readonly type: 'string'; readonly value: string }
  | { readonly type: 'float64'; readonly value: number }
  | { readonly type: 'int64'; readonly value: bigint }
  | { readonly type: '*big.Int'; readonly value: bigint }

interface Flags {
  sharp: boolean
  zero: boolean
  plus: boolean
  minus: boolean
  space: boolean
  /** `%#v`: Go syntax. */
  sharpV: boolean
  /** `%+v`, which only large integers heed. */
  plusV: boolean
  width: number | undefined
  precision: number | undefined
}

const noFlags = (): Flags => ({
  ...{ sharp: false, zero: false, plus: false, minus: false, space: false, sharpV: false, plusV: false },
  ...{ width: undefined, precision: undefined },
})

/** Characters that a result may have: a width is two characters in a format and a million in what it makes. */
const maxLength = 4 * 1024 ** 2

const largest = 1_000_000

/** Throws a RangeError where the result would be longer than 4 Mi characters. */
export function sprintf(format: string, args: readonly GoArg[]): string {
  return new Printer(format, args).print()
}

class Printer {
  readonly #format: string
  readonly #args: readonly GoArg[]
  #at = 0
  #arg = 0
  #reordered = false
  #goodIndex = true
  #out = ''

  constructor(format: string, args: readonly GoArg[]) {
    this.#format = format
    this.#args = args
  }

  print(): string {
    for (;;) {
      const next = this.#format.indexOf('%', this.#at)
      this.#write(this.#format.slice(this.#at, next < 0 ? undefined : next))
      if (next < 0) break
      this.#at = next + 1
      this.#write(this.#directive())
    }
    const extra = this.#reordered ? [] : this.#args.slice(this.#arg)
    if (extra.length > 0) this.#write(`%!(EXTRA ${extra.map(described).join(', ')})`)
    return this.#out
  }

  #write(text: string): void {
    this.#out += text
    if (this.#out.length > maxLength) throw new RangeError(`sprintf makes more than ${maxLength} characters`)
  }

  #directive(): string {
    const flags = noFlags()
    this.#goodIndex = true
    this.#flags(flags)
    let indexed = this.#index()
    indexed = this.#width(flags, indexed)
    indexed = this.#precision(flags, indexed)
    if (!indexed) this.#index()

    const code = this.#format.codePointAt(this.#at)
    if (code === undefined) return '%!(NOVERB)'
    const verb = String.fromCodePoint(code)
    this.#at += verb.length
    if (verb === '%') return '%'
    if (!this.#goodIndex) return `%!${verb}(BADINDEX)`
    const arg = this.#args[this.#arg]
    if (!arg) return `%!${verb}(MISSING)`
    this.#arg++
    if (verb === 'v' || verb === 'w') {
      flags.sharpV = flags.sharp
      flags.sharp = false
      flags.plusV = flags.plus
      flags.plus = false
    }
    return formatArg(arg, verb, flags)
  }

  #flags(flags: Flags): void {
    for (; ; this.#at++) {
      switch (this.#format[this.#at]) {
        case '#':
          flags.sharp = true
          break
        case '0':
          flags.zero = true
          break
        case '+':
          flags.plus = true
          break
        case '-':
          flags.minus = true
          break
        case ' ':
          flags.space = true
          break
        default:
          return
      }
    }
  }

  #width(flags: Flags, indexed: boolean): boolean {
    if (this.#format[this.#at] !== '*') {
      flags.width = this.#number()
      if (indexed && flags.width !== undefined) this.#goodIndex = false
      return indexed
    }
    this.#at++
    const width = this.#intArg()
    if (width === undefined) this.#write('%!(BADWIDTH)')
    else if (width < 0) {
      flags.minus = true
      flags.zero = false
    }
    flags.width = width === undefined ? undefined : Math.abs(width)
    return false
  }

  #precision(flags: Flags, indexed: boolean): boolean {
    if (this.#format[this.#at] !== '.' || this.#at + 1 >= this.#format.length) return indexed
    this.#at++
    if (indexed) this.#goodIndex = false
    const again = this.#index()
    if (this.#format[this.#at] !== '*') {
      flags.precision = this.#number() ?? 0
      return again
    }
    this.#at++
    const precision = this.#intArg()
    flags.precision = precision !== undefined && precision >= 0 ? precision : undefined
    if (flags.precision === undefined) this.#write('%!(BADPREC)')
    return false
  }

  /** `[n]` before a verb, a width or a precision: true where there is one. */
  #index(): boolean {
    if (this.#format[this.#at] !== '[') return false
    this.#reordered = true
    const close = this.#format.indexOf(']', this.#at)
    if (close < 0) {
      this.#at++
      this.#goodIndex = false
      return false
    }
    const inside = this.#format.slice(this.#at + 1, close)
    this.#at = close + 1
    const number = /^[0-9]{1,7}$/.test(inside) ? Number(inside) : undefined
    if (number === undefined || number < 1 || number > this.#args.length) {
      this.#goodIndex = false
      return number !== undefined
    }
    this.#arg = number - 1
    return true
  }

  /** Digits ahead; a number too large ends the format. */
  #number(): number | undefined {
    const from = this.#at
    let number = 0
    for (; ; this.#at++) {
      const digit = this.#format.charCodeAt(this.#at) - 48
      if (!(digit >= 0 && digit <= 9)) break
      if (number > largest) {
        this.#at = this.#format.length
        return undefined
      }
      number = number * 10 + digit
    }
    return this.#at > from ? number : undefined
  }

  #intArg(): number | undefined {
    const arg = this.#args[this.#arg]
    if (arg) this.#arg++
    if (arg?.type !== 'int64') return undefined
    const number = Number(arg.value)
    return Math.abs(number) > largest ? undefined : number
  }
}

const described = (arg: GoArg): string => `${arg.type}=${formatArg(arg, 'v', noFlags())}`

function formatArg(arg: GoArg, verb: string, flags: Flags): string {
  if (verb === 'T') return padded(truncated(arg.type, flags), flags)
  if (verb === 'p' || verb === 'w') return unfit(arg, verb, flags)
  switch (arg.type) {
    case 'string':
      return formatString(arg, verb, flags)
    case 'float64':
      return formatDouble(arg, verb, flags)
    case 'int64':
      return formatInt(arg, verb, flags)
    case '*big.Int':
      return formatBigInt(arg.value, verb, flags)
  }
}

/** What Go writes for a verb that the type does not have. */
const unfit = (arg: GoArg, verb: string, flags: Flags): string =>
  verb === 'p' && arg.type === '*big.Int'
    ? '%!p(*big.Int)' // Go writes an address here, another one on each run.
    : `%!${verb}(${arg.type}=${formatArg(arg, 'v', flags)})`

function padded(text: string, { width, minus, zero }: Flags): string {
  const missing = (width ?? 0) - [...text].length
  if (missing <= 0) return text
  return minus ? text + ' '.repeat(missing) : (zero ? '0' : ' ').repeat(missing) + text
}

function truncated(text: string, { precision }: Flags): string {
  return precision === undefined ? text : [...text].slice(0, precision).join('')
}

function formatString(arg: Extract<GoArg, { type: 'string' }>, verb: string, flags: Flags): string {
  switch (verb) {
    case 'v':
      return flags.sharpV ? quoted(arg.value, flags) : padded(truncated(arg.value, flags), flags)
    case 's':
      return padded(truncated(arg.value, flags), flags)
    case 'q':
      return quoted(arg.value, flags)
    case 'x':
      return hexBytes(arg.value, flags, (hex) => hex)
    case 'X':
      return hexBytes(arg.value, flags, (hex) => hex.toUpperCase())
    default:
      return unfit(arg, verb, flags)
  }
}

function quoted(text: string, flags: Flags): string {
  const cut = truncated(text, flags)
  const backquotable = !/[`\x00-\x08\x0a-\x1f\x7f\ufeff]/.test(cut) && cut.isWellFormed()
  return padded(flags.sharp && backquotable ? `\`${cut}\`` : goQuote(cut, '"', flags.plus), flags)
}

function hexBytes(text: string, flags: Flags, cased: (hex: string) => string): string {
  const bytes = bytesOfString(text).subarray(0, flags.precision)
  const prefix = flags.sharp && bytes.length > 0 ? '0x' : ''
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0'))
  const joined = flags.space ? hex.map((one) => prefix + one).join(' ') : prefix + hex.join('')
  return padded(cased(joined), flags)
}

function formatDouble(arg: Extract<GoArg, { type: 'float64' }>, verb: string, flags: Flags): string {
  switch (verb) {
    case 'v':
      return floatField(arg.value, 'g', flags.precision ?? -1, flags)
    case 'b':
    case 'g':
    case 'G':
    case 'x':
    case 'X':
      return floatField(arg.value, verb, flags.precision ?? -1, flags)
    case 'e':
    case 'E':
    case 'f':
      return floatField(arg.value, verb, flags.precision ?? 6, flags)
    case 'F':
      return floatField(arg.value, 'f', flags.precision ?? 6, flags)
    default:
      return unfit(arg, verb, flags)
  }
}

function floatField(value: number, verb: FloatVerb, precision: number, flags: Flags): string {
  const text = formatFloat(value, verb, precision)
  const signed = /^[-+]/.test(text) ? text : `+${text}`
  const sign = signed[0] === '+' && flags.space && !flags.plus ? ' ' : signed[0]!
  let size = signed.slice(1)
  if (size === 'Inf' || size === 'NaN')
    return padded((flags.plus || sign !== '+' ? sign : '') + size, { ...flags, zero: false })
  if (flags.sharp && verb !== 'b') size = withPoint(size, verb, precision)
  const shown = flags.plus || sign !== '+' ? sign : ''
  const missing = (flags.width ?? 0) - shown.length - size.length
  return flags.zero && !flags.minus && missing > 0 ? shown + '0'.repeat(missing) + size : padded(shown + size, flags)
}

/** `#`: a decimal point always, and for %g the zeros that were cut. */
function withPoint(size: string, verb: FloatVerb, precision: number): string {
  const hex = verb === 'x' || verb === 'X'
  const [, number = '', tail = ''] = (hex ? /^(.*?)([pP].*)?$/ : /^(.*?)([eE].*)?$/).exec(size) ?? []
  const counted = verb === 'g' || verb === 'G' || verb === 'x'
  const wanted = counted ? (precision < 0 ? 6 : precision) : 0
  const significant = number.replace('.', '').replace(/^0+/, '').length || (number === '0' ? 1 : 0)
  const pointed = number.includes('.') ? number : `${number}.`
  return pointed + '0'.repeat(Math.max(wanted - significant, 0)) + tail
}

function formatInt(arg: Extract<GoArg, { type: 'int64' }>, verb: string, flags: Flags): string {
  const plain = { ...flags, zero: false }
  switch (verb) {
    case 'v':
    case 'd':
      return integerField(arg.value, 10, verb, flags)
    case 'b':
      return integerField(arg.value, 2, verb, flags)
    case 'o':
    case 'O':
      return integerField(arg.value, 8, verb, flags)
    case 'x':
    case 'X':
      return integerField(arg.value, 16, verb, flags)
    case 'c':
      return padded(charOf(arg.value), flags)
    case 'q':
      return padded(goQuote(charOf(arg.value), "'", flags.plus), flags)
    case 'U': {
      const size = BigInt.asUintN(64, arg.value)
      const shown = flags.sharp && size <= 0x10ffffn && isPrint(charOf(size)) ? ` '${charOf(size)}'` : ''
      const digits = size.toString(16).toUpperCase()
      return padded(`U+${digits.padStart(Math.max(flags.precision ?? 4, 4), '0')}${shown}`, plain)
    }
    default:
      return unfit(arg, verb, flags)
  }
}

function charOf(value: bigint): string {
  const valid = value >= 0n && value <= 0x10ffffn && !(value >= 0xd800n && value <= 0xdfffn)
  return valid ? String.fromCodePoint(Number(value)) : '\ufffd'
}

function integerField(value: bigint, base: number, verb: string, flags: Flags): string {
  if (flags.precision === 0 && value === 0n) return ' '.repeat(flags.width ?? 0)
  const sign = value < 0n ? '-' : flags.plus ? '+' : flags.space ? ' ' : ''
  const zeros =
    flags.precision ?? (flags.zero && !flags.minus && flags.width !== undefined ? flags.width - sign.length : 0)
  const digits = absolute(value).toString(base).padStart(zeros, '0')
  const number = prefixOf(base, verb, flags.sharp, digits) + digits
  return padded(sign + (verb === 'X' ? number.toUpperCase() : number), { ...flags, zero: false })
}

function prefixOf(base: number, verb: string, sharp: boolean, digits: string): string {
  const octal = sharp && base === 8 && !digits.startsWith('0') ? '0' : ''
  if (verb === 'O') return `0o${octal}`
  return sharp && base === 2 ? '0b' : sharp && base === 16 ? '0x' : octal
}

const bases: Readonly<Record<string, number>> = { b: 2, o: 8, O: 8, d: 10, s: 10, v: 10, x: 16, X: 16 }

/** math/big has rules of its own: %s is a number, and zeros fill up to the width also before a prefix. */
function formatBigInt(value: bigint, verb: string, flags: Flags): string {
  const base = bases[verb]
  if (base === undefined) return `%!${verb}(big.Int=${value})`
  const sign = value < 0n ? '-' : flags.plus || flags.plusV ? '+' : flags.space ? ' ' : ''
  const prefix = verb === 'O' ? '0o' : flags.sharp ? ({ b: '0b', o: '0', x: '0x', X: '0X' }[verb] ?? '') : ''
  const size = absolute(value).toString(base)
  const digits = (verb === 'X' ? size.toUpperCase() : size).padStart(flags.precision ?? 0, '0')
  const missing = Math.max((flags.width ?? 0) - sign.length - prefix.length - digits.length, 0)
  if (flags.minus) return sign + prefix + digits + ' '.repeat(missing)
  return flags.zero && flags.precision === undefined
    ? sign + prefix + '0'.repeat(missing) + digits
    : ' '.repeat(missing) + sign + prefix + digits
}

const absolute = (value: bigint): bigint => (value < 0n ? -value : value)
