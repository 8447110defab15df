/**
 * Batches of the stream are compressed: records repeat each other, and what kafkajs does with a batch (it copies it from
 * buffer to buffer and sums it up in JavaScript) costs more than to make it a tenth of its size first.
 */

import kafkajs from 'kafkajs'
import { compress, decompress, hasZstd } from './compress.ts'

// Not among the names that Node finds in it.
const { CompressionCodecs, CompressionTypes } = kafkajs

/** Bytes of a batch once it is inflated. Ours hold 512 KiB of records; whoever may write to the topic may claim more. */
const maxBatchBytes = 2 * 1024 ** 2

/** How our own batches are sent. */
export const batchCompression: kafkajs.CompressionTypes = hasZstd ? CompressionTypes.ZSTD : CompressionTypes.GZIP

/** Lets kafkajs write and read both, in bounds. By itself it has no zstd, and inflates gzip without end. */
export function useCodecs(): void {
  CompressionCodecs[CompressionTypes.ZSTD] = () => codec
  CompressionCodecs[CompressionTypes.GZIP] = () => codec
}

const codec = {
  compress: async ({ buffer }: { readonly buffer: Buffer }): Promise<Buffer> => bufferOf(await compress(buffer)),
  decompress: async (packed: Buffer): Promise<Buffer> => bufferOf(await decompress(packed, maxBatchBytes)),
}

const bufferOf = ({ buffer, byteOffset, length }: Uint8Array): Buffer => Buffer.from(buffer, byteOffset, length)
