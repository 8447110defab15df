/** The archive of what leaves a log: a folder with one folder a shard, in it Parquet files of leaves and their SHA-256. */

import { createHash } from 'node:crypto'
import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
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
import { leafHash, rootAt } from '../log/merkle.ts'
import { keptFile, minimumIndex, newestCheckpoint } from '../log/prove.ts'
import { hashesFromTiles, readBundle, type TileReader, tileWidth } from '../log/tiles.ts'
import { isMissing, makeFolder, syncFolder, writeWhole } from './durable.ts'

/** As `sha256sum` writes and checks it. */
export const sumsFile = 'SHA256SUMS'

/** A file of `maxArchiveLeaves` leaves is some 5 MiB. */
const maxFileBytes = 1 << 30

export interface ArchiveFile {
  readonly name: string
  readonly first: number
  readonly last: number
}

export interface ArchiveParts {
  readonly read: TileReader
  readonly shard: number
  /** Folder of the archive. */
  readonly out: string
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
  const end = (await archivedFiles(out, shard)).at(-1)
  const from = Math.max(end ? end.last + 1 : 0, await minimumIndex(read))
  const result = { shard, from, before: Math.max(from, before), files: 0, bytes: 0 }
  if (!newest || from >= before) return result
  const hashAt = hashesFromTiles(sha256, read, size)
  if (!equalBytes(await rootAt(sha256, size, hashAt), newest.checkpoint.root))
    throw broken(`the tiles of shard ${shard}`)
  await makeFolder(join(out, String(shard)))
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

async function writeFile(out: string, head: ArchiveHead, leaves: readonly Uint8Array[]): Promise<number> {
  const dir = join(out, String(head.shard))
  const name = nameOf(head.first, head.last)
  await writeWhole(join(dir, name), encodeArchive(head, leaves, compressed))
  const bytes = await readArchiveFile(out, head.shard, name)
  const again = await decodeArchive(bytes, inflated)
  const same = 'leaves' in again && again.leaves.every((leaf, i) => equalBytes(leaf.bytes, leaves[i]!))
  if (!same) throw broken(join(dir, name))
  const sums = await readSums(out, head.shard)
  sums.set(name, digestOf(bytes))
  await writeWhole(join(dir, sumsFile), [...sums].map(([of, sum]) => `${sum}  ${of}\n`).join(''))
  await syncFolder(dir)
  return bytes.length
}

const nameOf = (first: number, last: number): string => `${digits(first)}-${digits(last)}.parquet`
const digits = (index: number): string => String(index).padStart(12, '0')

/** The files of a shard, in order; none where there is no archive. */
export async function archivedFiles(out: string, shard: number): Promise<readonly ArchiveFile[]> {
  return (await namesIn(join(out, String(shard))))
    .flatMap((name) => {
      const [, first, last] = /^(\d{12})-(\d{12})\.parquet$/.exec(name) ?? []
      return first === undefined ? [] : [{ name, first: Number(first), last: Number(last) }]
    })
    .sort((a, b) => a.first - b.first || a.last - b.last)
}

/** Shards that an archive has. */
export async function archivedShards(out: string): Promise<readonly number[]> {
  const names = (await namesIn(out)).filter((name) => /^(0|[1-9]\d{0,5})$/.test(name))
  return names.map(Number).sort((a, b) => a - b)
}

async function namesIn(dir: string): Promise<readonly string[]> {
  try {
    return await readdir(dir)
  } catch (thrown) {
    if (isMissing(thrown)) return []
    throw thrown
  }
}

/** SHA-256 by name, lower-case hex. */
export async function readSums(out: string, shard: number): Promise<Map<string, string>> {
  const text = await readFile(join(out, String(shard), sumsFile), 'latin1').catch(() => '')
  return new Map([...text.matchAll(/^([0-9a-f]{64}) {2}([\w.-]+)$/gm)].map(([, sum, name]) => [name!, sum!]))
}

export async function readArchiveFile(out: string, shard: number, name: string): Promise<Uint8Array> {
  const path = join(out, String(shard), name)
  if ((await stat(path)).size > maxFileBytes) throw broken(path)
  return new Uint8Array(await readFile(path))
}

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
