/** Compression of what the store keeps: zstd, or gzip where this Node has no zstd. Both are read by their first bytes. */

import { promisify } from 'node:util'
import * as zlib from 'node:zlib'
import { WritError } from '../../core/fault.ts'

const gzip = promisify(zlib.gzip)
const gunzip = promisify<Uint8Array, zlib.ZlibOptions, Buffer>(zlib.gunzip)
export const hasZstd: boolean = 'zstdCompress' in zlib
const zstd = hasZstd ? promisify<Uint8Array, zlib.ZstdOptions, Buffer>(zlib.zstdCompress) : undefined
/** Of records, which are much alike, level 1 makes fewer bytes than level 3 and takes less time. */
const quick = hasZstd ? { params: { [zlib.constants.ZSTD_c_compressionLevel]: 1 } } : {}
const unzstd =
  'zstdDecompress' in zlib ? promisify<Uint8Array, zlib.ZstdOptions, Buffer>(zlib.zstdDecompress) : undefined

export const compress = async (bytes: Uint8Array): Promise<Uint8Array> => (zstd ? zstd(bytes, quick) : gzip(bytes))

/** Throws where the bytes are damaged, or would become more than `limit`. */
export async function decompress(bytes: Uint8Array, limit: number): Promise<Uint8Array> {
  if (bytes[0] === 0x1f && bytes[1] === 0x8b) return gunzip(bytes, { maxOutputLength: limit })
  if (unzstd) return unzstd(bytes, { maxOutputLength: limit })
  throw new WritError('version', 'the store holds zstd, which this Node cannot read', {
    cure: 'use Node 22.15 or newer',
  })
}
