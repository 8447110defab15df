/**
 * The files of a tar archive, read strictly (POSIX ustar, with pax and GNU long names). A reader of our own because the one at hand quietly mends
 * paths that escape, ignores checksums, and never returns from an entry of negative size.
 */

import { WritError } from '../core/fault.ts'

export interface TarFile {
  /** Steps joined by slashes, without a leading one. */
  readonly name: string
  readonly bytes: Uint8Array
}

const block = 512
const text = new TextDecoder('utf-8', { fatal: true })

/** Longest extended header, in bytes. */
const maxExtension = 8192

/** Regular files only, folders skipped. Links, devices, sparse files, escapes and repeated names are refused. */
export function readTar(archive: Uint8Array, maxFiles: number): readonly TarFile[] {
  const files = new Map<string, TarFile>()
  /** Name of the next entry, where the entry before it gives one. */
  let longName: string | undefined
  let at = 0
  while (at + block <= archive.length && archive[at] !== 0) {
    const header = archive.subarray(at, at + block)
    if (octal(header, 148, 8) !== checksum(header)) throw invalid('a header has a wrong checksum')
    const size = octal(header, 124, 12)
    const end = at + block + size
    if (end > archive.length) throw invalid('it ends too early')
    const type = String.fromCharCode(header[156]!)
    if (type === 'x' || type === 'g' || type === 'L') {
      if (size > maxExtension) throw invalid(`an extended header is longer than ${maxExtension} bytes`)
      const given = nameIn(archive.subarray(at + block, end), type)
      if (given !== undefined && longName !== undefined) throw invalid('an entry has two names')
      longName ??= given
      at += block + Math.ceil(size / block) * block
      continue
    }
    const shortName = [field(header, 345, 155), field(header, 0, 100)].filter((part) => part !== '').join('/')
    const name = cleanName(longName ?? shortName)
    longName = undefined
    if (type === '0' || type === '\0') {
      if (files.has(name)) throw invalid(`it holds ${name} twice`)
      if (files.size === maxFiles) throw invalid(`it holds more than ${maxFiles} files`)
      files.set(name, { name, bytes: archive.subarray(at + block, end) })
    } else if (type !== '5' || size !== 0) throw invalid(`${name} is no plain file`)
    at += block + Math.ceil(size / block) * block
  }
  if (longName !== undefined) throw invalid('a long name is followed by no file')
  if (archive.subarray(at).some((byte) => byte !== 0)) throw invalid('something follows its end')
  return [...files.values()]
}

/** The name that an extended header gives the next entry: GNU's is nothing else, pax has records (POSIX pax, section "Extended Header"). */
function nameIn(bytes: Uint8Array, type: 'x' | 'g' | 'L'): string | undefined {
  if (type === 'L') return field(bytes, 0, bytes.length)
  const found = new Map<string, string>()
  for (let at = 0; at < bytes.length; ) {
    // `27 path=name` and a line feed, its own length counted in bytes.
    const digits = /^([1-9][0-9]{0,4}) /.exec(String.fromCharCode(...bytes.subarray(at, at + 6)))
    const end = at + Number(digits?.[1])
    if (!digits || end > bytes.length || bytes[end - 1] !== 10) throw invalid('an extended header is not well-formed')
    const record = bytes.subarray(at + digits[0].length, end - 1)
    const equals = record.indexOf(61)
    const key = equals > 0 ? field(record, 0, equals) : ''
    if (key === '' || found.has(key)) throw invalid('an extended header is not well-formed')
    if (!isIdle(key) && (type === 'g' || key !== 'path')) throw invalid(`an extended header sets ${key}`)
    found.set(key, key === 'path' ? text8(record.subarray(equals + 1)) : '')
    at = end
  }
  return found.get('path')
}

/** What says nothing of a file's name or content. */
const isIdle = (key: string): boolean =>
  /^(?:[acm]time|[ug]id|[ug]name|comment|(?:SCHILY|LIBARCHIVE)\..*)$/.test(key) && key !== 'SCHILY.realsize'

/** OPA writes `/policy.wasm`; other tools write `policy.wasm` or `./policy.wasm`. */
function cleanName(name: string): string {
  const clean = name.replace(/^\.?\//, '').replace(/\/$/, '')
  const steps = clean === '' || clean === '.' ? [] : clean.split('/')
  if (clean.includes('\\') || clean.includes('\0') || steps.some((step) => ['', '.', '..'].includes(step))) {
    throw invalid(`the path ${JSON.stringify(name)} is not allowed`)
  }
  return steps.join('/')
}

/** Digits up to a space or NUL; a sign or the base-256 form of huge numbers is refused. */
function octal(header: Uint8Array, from: number, length: number): number {
  const digits = /^ *([0-7]{1,11})[ \0]*$/.exec(String.fromCharCode(...header.subarray(from, from + length)))
  if (!digits) throw invalid('a number in a header is not octal')
  return Number.parseInt(digits[1]!, 8)
}

/** Sum of the header's bytes, its own field counted as spaces. */
function checksum(header: Uint8Array): number {
  let sum = 8 * 32
  for (let i = 0; i < block; i++) if (i < 148 || i >= 156) sum += header[i]!
  return sum
}

function field(header: Uint8Array, from: number, length: number): string {
  const bytes = header.subarray(from, from + length)
  const end = bytes.indexOf(0)
  return text8(end < 0 ? bytes : bytes.subarray(0, end))
}

function text8(bytes: Uint8Array): string {
  try {
    return text.decode(bytes)
  } catch {
    throw invalid('a path is not UTF-8')
  }
}

const invalid = (why: string): WritError =>
  new WritError('policy_invalid', `the bundle's tar archive cannot be read: ${why}`, {
    cure: 'Build it with `writ policy build` or `opa build`.',
  })
