/**
 * Whole entry bundles lie gzipped on the disk, as `<path>.gz` beside where the bundle would be: what a static server
 * hands on as it is, with `Content-Encoding: gzip` (nginx: `gzip_static always; gunzip on`). Readers see the bundle.
 */

import { promisify } from 'node:util'
import { gunzip, gunzipSync, gzip, type ZlibOptions } from 'node:zlib'
import { equalBytes } from '../../core/bytes.ts'
import { tileWidth } from '../log/tiles.ts'

/** A bundle of 256 entries of 65,535 bytes is the largest file a log has; a larger one is none of it. */
export const maxFileBytes: number = tileWidth * 65_537

interface Inflated {
  readonly buffer: Uint8Array
  readonly engine: { readonly bytesWritten: number }
}

/** Both run in the thread pool. */
const deflated = promisify(gzip)
const inflated = promisify(gunzip) as unknown as (packed: Uint8Array, options: ZlibOptions) => Promise<Inflated>
const inflatedAtOnce = gunzipSync as unknown as (packed: Uint8Array, options: ZlibOptions) => Inflated

/** Whole bundles, which never change; partial ones are replaced within seconds and lie as they are. */
export const isPacked = (path: string): boolean => /^tile\/entries\/(?:x\d{3}\/)*\d{3}$/.test(path)

export const packedPath = (path: string): string => `${path}.gz`

/** RFC 1952 section 2.3, as `gzip -n` writes it: no name, no time, and one system whatever it was packed on. */
const header = Uint8Array.of(0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3)

export async function pack(bundle: Uint8Array): Promise<Uint8Array> {
  const packed = await deflated(bundle, { level: 6 })
  packed.set(header)
  return packed
}

/** What stands for a file that cannot be inflated: a byte that no bundle consists of. */
export const unreadable: Uint8Array = Uint8Array.of(0)

/** RFC 1952 section 2.3.1: its length ends the file. Said wrongly, it costs time; in one piece, inflating takes half. */
function saidLength(packed: Uint8Array): number {
  const [a = 0, b = 0, c = 0, d = 0] = packed.subarray(-4)
  return Math.min(a + b * 0x100 + c * 0x10000 + d * 0x1000000, maxFileBytes)
}

/**
 * Whoever reads a log that a stranger made inflates what the stranger likes, up to the largest bundle. Nothing may stand
 * in the file beside the bundle, so that a file that was changed is seen.
 */
export async function unpack(packed: Uint8Array): Promise<Uint8Array> {
  if (!hasHeader(packed)) return unreadable
  try {
    return wholeOf(await inflated(packed, optionsFor(packed)), packed)
  } catch {
    return unreadable
  }
}

/** The same in this thread: less of the processor, and nothing else is done meanwhile. */
export function unpackAtOnce(packed: Uint8Array): Uint8Array {
  if (!hasHeader(packed)) return unreadable
  try {
    return wholeOf(inflatedAtOnce(packed, optionsFor(packed)), packed)
  } catch {
    return unreadable
  }
}

const hasHeader = (packed: Uint8Array): boolean => equalBytes(packed.subarray(0, header.length), header)

const optionsFor = (packed: Uint8Array): ZlibOptions => ({
  maxOutputLength: maxFileBytes,
  chunkSize: saidLength(packed) + 64,
  info: true,
})

const wholeOf = ({ buffer, engine }: Inflated, packed: Uint8Array): Uint8Array =>
  engine.bytesWritten === packed.length ? buffer : unreadable
