/** The archive of what leaves a log: of each shard Parquet files of its leaves, and their SHA-256. */

import { createHash } from 'node:crypto'
import * as zlib from 'node:zlib'
import { equalBytes, toHex } from '../../core/bytes.ts'
import { WritError } from '../../core/fault.ts'
import type { Sha256 } from '../../core/ports.ts'
import {
  type Archive,
  type ArchiveHead,
  archiveVersion,
  decodeArchive,
  encodeArchive,
  maxArchiveLeaves,
} from '../archive/file.ts'
import { type HashAt, leafHash, rootAt } from '../log/merkle.ts'
import { keptFile, minimumIndex, newestCheckpoint } from '../log/prove.ts'
import { hashesFromTiles, readBundle, type TileReader, tileWidth } from '../log/tiles.ts'
import { type ArchivePlace, formatSums, parseSums, sumsFile } from './archive-place.ts'

export interface ArchiveFile {
  readonly name: string
  readonly first: number
  readonly last: number
}

export interface ArchiveParts {
  readonly read: TileReader
  readonly shard: number
  readonly out: ArchivePlace
  readonly sha256: Sha256
}

export interface Archived {
  readonly shard: number
  /** Entries from here to before `before` are in the archive now and were not. */
  readonly from: number
  readonly before: number
  readonly files: number
  readonly bytes: number
}

/**
 * Puts what the log has before `before` into the archive, from where that ends. Each leaf is held against the tree first,
 * and each file is read again. Throws `log_invalid` where either does not hold. `before` ends a bundle.
 */
export async function archiveBefore(before: number, parts: ArchiveParts): Promise<Archived> {
  const { read, shard, out, sha256 } = parts
  const newest = (await newestCheckpoint(read, keptFile)) ?? (await newestCheckpoint(read))
  const size = newest?.checkpoint.size ?? 0
  const files = await archivedFiles(out, shard)
  const end = files.at(-1)
  const from = Math.max(end ? end.last + 1 : 0, await minimumIndex(read))
  const result = { shard, from, before: Math.max(from, before), files: 0, bytes: 0 }
  if (!newest || from >= before) return result
  const hashAt = hashesFromTiles(sha256, read, size)
  if (!equalBytes(await rootAt(sha256, size, hashAt), newest.checkpoint.root))
    throw broken(`the tiles of shard ${shard}`)
  await sumLeftOut(files, { out, shard, hashAt, sha256 })
  for (let first = from; first < before; ) {
    const last = Math.min(first - (first % maxArchiveLeaves) + maxArchiveLeaves, before) - 1
    const leaves: Uint8Array[] = []
    const nodes: string[] = []
    for (let index = first / tileWidth; index * tileWidth <= last; index++) {
      nodes.push(toHex(await hashAt(8, index)))
      for (const bytes of await readBundle(read, index, size)) {
        const place = first + leaves.length
        if (!equalBytes(leafHash(sha256, bytes), await hashAt(0, place)))
          throw broken(`entry ${place} of shard ${shard}`)
        leaves.push(bytes)
      }
    }
    const head = { v: archiveVersion, shard, first, last, nodes, checkpoint: newest.note } as const
    result.bytes += await writeFile(out, head, leaves)
    result.files++
    first = last + 1
  }
  return result
}

async function writeFile(out: ArchivePlace, head: ArchiveHead, leaves: readonly Uint8Array[]): Promise<number> {
  const name = nameOf(head.first, head.last)
  await out.write(head.shard, name, encodeArchive(head, leaves, compressed))
  const bytes = await out.read(head.shard, name)
  const again = bytes && (await openArchive(bytes))
  const same = again && 'leaves' in again && again.leaves.every((leaf, i) => equalBytes(leaf.bytes, leaves[i]!))
  if (!same) throw broken(`${out.name}/${head.shard}/${name}`)
  await addSum(out, head.shard, name, bytes)
  return bytes.length
}

export const addSum = (out: ArchivePlace, shard: number, name: string, bytes: Uint8Array): Promise<void> =>
  out.changeSums(shard, (before) => formatSums(parseSums(before).set(name, digestOf(bytes))))

interface Summed {
  readonly out: ArchivePlace
  readonly shard: number
  readonly hashAt: HashAt
  readonly sha256: Sha256
}

/** A run that ended between a file and its sum left a whole file, if it is one: then only the sum is missing. */
async function sumLeftOut(files: readonly ArchiveFile[], { out, shard, hashAt, sha256 }: Summed): Promise<void> {
  const sums = await readSums(out, shard)
  for (const { name, first } of files) {
    if (sums.has(name)) continue
    const bytes = await out.read(shard, name)
    const archive = bytes && (await openArchive(bytes))
    if (!archive || 'wrong' in archive) throw broken(`${out.name}/${shard}/${name}`)
    for (const [i, leaf] of archive.leaves.entries()) {
      if (!equalBytes(leafHash(sha256, leaf.bytes), await hashAt(0, first + i)))
        throw broken(`entry ${first + i} in ${out.name}/${shard}/${name}`)
    }
    await addSum(out, shard, name, bytes)
  }
}

const nameOf = (first: number, last: number): string => `${digits(first)}-${digits(last)}.parquet`
const digits = (index: number): string => String(index).padStart(12, '0')

/** The files of a shard, in order; none where there is no archive. */
export async function archivedFiles(out: ArchivePlace, shard: number): Promise<readonly ArchiveFile[]> {
  return (await out.names(shard))
    .flatMap((name) => {
      const [, first, last] = /^(\d{12})-(\d{12})\.parquet$/.exec(name) ?? []
      return first === undefined ? [] : [{ name, first: Number(first), last: Number(last) }]
    })
    .sort((a, b) => a.first - b.first || a.last - b.last)
}

/** SHA-256 by name, lower-case hex. */
export const readSums = async (out: ArchivePlace, shard: number): Promise<Map<string, string>> =>
  parseSums(await out.read(shard, sumsFile))

export const openArchive = (bytes: Uint8Array): Promise<Archive | { readonly wrong: string }> =>
  decodeArchive(bytes, inflated)

export const sha256: Sha256 = (bytes) => new Uint8Array(createHash('sha256').update(bytes).digest())

export const digestOf = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

const params = { [zlib.constants.ZSTD_c_compressionLevel]: 9 }
const compressed = (page: Uint8Array): Uint8Array => zlib.zstdCompressSync(page, { params })
const inflated = (page: Uint8Array, limit: number): Uint8Array =>
  zlib.zstdDecompressSync(page, { maxOutputLength: limit })

const broken = (what: string): WritError =>
  new WritError('log_invalid', `${what} is not what was signed: it is not archived, and nothing goes`, {
    cure: '`writ audit verify` names what is broken',
  })
