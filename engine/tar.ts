/**
 * The files of a tar archive, read strictly (POSIX ustar). A reader of our own because the one at hand quietly mends
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

/** Regular files only, folders skipped. Links, devices, long-name extensions, escapes and repeated names are refused. */
export function readTar(archive: Uint8Array, maxFiles: number): readonly TarFile[] {
  const files = new Map<string, TarFile>()
  let at = 0
  while (at + block <= archive.length && archive[at] !== 0) {
    const header = archive.subarray(at, at + block)
    if (octal(header, 148, 8) !== checksum(header)) throw invalid('a header has a wrong checksum')
    const name = cleanName([field(header, 345, 155), field(header, 0, 100)].filter((part) => part !== '').join('/'))
    const size = octal(header, 124, 12)
    const end = at + block + size
    if (end > archive.length) throw invalid('it ends too early')
    const type = String.fromCharCode(header[156]!)
    if (type === '0' || type === '\0') {
      if (files.has(name)) throw invalid(`it holds ${name} twice`)
      if (files.size === maxFiles) throw invalid(`it holds more than ${maxFiles} files`)
      files.set(name, { name, bytes: archive.subarray(at + block, end) })
    } else if (type !== '5' || size !== 0) throw invalid(`${name} is no plain file`)
    at += block + Math.ceil(size / block) * block
  }
  if (archive.subarray(at).some((byte) => byte !== 0)) throw invalid('something follows its end')
  return [...files.values()]
}

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
  try {
    return text.decode(end < 0 ? bytes : bytes.subarray(0, end))
  } catch {
    throw invalid('a path is not UTF-8')
  }
}

const invalid = (why: string): WritError =>
  new WritError('policy_invalid', `the bundle's tar archive cannot be read: ${why}`, {
    cure: 'Build it with `writ policy build` or `opa build`.',
  })
