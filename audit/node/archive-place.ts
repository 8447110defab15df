/** Where an archive lies: in a folder, in an object store, or below an http(s) URL, where it can be read alone. */

import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { equalBytes } from '../../core/bytes.ts'
import { WritError } from '../../core/fault.ts'
import { isS3 } from '../keep/place.ts'
import { isMissing, makeFolder, syncFolder, writeWhole } from './durable.ts'
import { readIfThere } from './folder.ts'
import { isUrl, urlReader } from './logurl.ts'
import { requireCredentials, type S3Settings, s3Place } from './objects/place.ts'
import { type Objects, openObjects } from './objects/s3.ts'
import { shardsAmong } from './objects/source.ts'

/** Of each archive folder, as `sha256sum` writes and checks it: what its files are. */
export const sumsFile = 'SHA256SUMS'

/** A file of `maxArchiveLeaves` leaves is some 5 MiB. */
const maxFileBytes = 1 << 30

/** A folder a shard, in each files and their sums. */
export interface ArchivePlace {
  /** As it was given. */
  readonly name: string
  /** Shards that are in it; of a place that cannot be listed, those among `known`. */
  shards(known: readonly number[]): Promise<readonly number[]>
  /** Names of what lies there; of a place that cannot be listed, what the sums name. */
  names(shard: number): Promise<readonly string[]>
  /** Undefined where there is none, or one of over 1 GiB. */
  read(shard: number, name: string): Promise<Uint8Array | undefined>
  /** Written once: rejects with `fork` where there is another one. */
  write(shard: number, name: string, bytes: Uint8Array): Promise<void>
  /** Changes the sums; again from the start where somebody else did meanwhile. */
  changeSums(shard: number, change: (before: Uint8Array | undefined) => Uint8Array): Promise<void>
}

export function archivePlace(where: string, s3?: S3Settings): ArchivePlace {
  if (isS3(where)) return inStore(where, s3)
  return isUrl(where) ? atUrl(where) : inFolder(where)
}

function inFolder(name: string): ArchivePlace {
  const place: ArchivePlace = {
    name,
    shards: async () => shardsAmong(await namesIn(name)),
    names: (shard) => namesIn(join(name, String(shard))),
    read: async (shard, file) => {
      const path = join(name, String(shard), file)
      const found = await stat(path).catch(() => undefined)
      return found && found.size <= maxFileBytes ? readIfThere(path) : undefined
    },
    write: async (shard, file, bytes) => {
      const there = await place.read(shard, file)
      if (there && !equalBytes(there, bytes)) throw another(`${name}/${shard}/${file}`)
      await makeFolder(join(name, String(shard)))
      await writeWhole(join(name, String(shard), file), bytes)
      await syncFolder(join(name, String(shard)))
    },
    changeSums: async (shard, change) => {
      await writeWhole(join(name, String(shard), sumsFile), change(await place.read(shard, sumsFile)))
      await syncFolder(join(name, String(shard)))
    },
  }
  return place
}

async function namesIn(dir: string): Promise<readonly string[]> {
  try {
    return await readdir(dir)
  } catch (thrown) {
    if (isMissing(thrown)) return []
    throw thrown
  }
}

/** Tries to change the sums before it counts as failed: one process archives a shard. */
const changes = 5

function inStore(name: string, s3: S3Settings | undefined): ArchivePlace {
  const place = s3Place(name, s3)
  const objects = openObjects(place)
  const of = (shard: number): Objects => objects.below(String(shard))
  return {
    name,
    // Who may read what is public may seldom list it.
    shards: async (known) =>
      place.credentials
        ? shardsAmong((await objects.list('', true)).map((folder) => folder.slice(0, -1)))
        : withSums(known, async (shard) => (await of(shard).get(sumsFile)) !== undefined),
    names: async (shard) =>
      place.credentials ? of(shard).list('') : namesInSums((await of(shard).get(sumsFile))?.bytes),
    read: async (shard, file) => (await of(shard).get(file, maxFileBytes))?.bytes,
    write: async (shard, file, bytes) => {
      requireCredentials(place)
      if ((await of(shard).put(file, bytes, { when: 'new', immutable: true })) !== undefined) return
      const there = await of(shard).get(file, maxFileBytes)
      if (!there || !equalBytes(there.bytes, bytes)) throw another(`${name}/${shard}/${file}`)
    },
    changeSums: async (shard, change) => {
      for (let tried = 0; tried < changes; tried++) {
        const there = await of(shard).get(sumsFile)
        const when = there ? { etag: there.etag } : 'new'
        if ((await of(shard).put(sumsFile, change(there?.bytes), { when })) !== undefined) return
      }
      throw new WritError('unavailable', `${name}/${shard}/${sumsFile} was written over each time`, {
        cure: 'one process archives a log: see whether another one does',
      })
    },
  }
}

function atUrl(name: string): ArchivePlace {
  const base = name.replace(/\/+$/, '')
  const read = (shard: number, file: string) => urlReader(`${base}/${shard}`, maxFileBytes)(file)
  const readOnly = async (): Promise<never> => {
    throw new WritError('usage', `${name} can be read and not written`, { cure: 'give a folder or s3://bucket/prefix' })
  }
  return {
    name,
    read,
    shards: (known) => withSums(known, async (shard) => (await read(shard, sumsFile)) !== undefined),
    names: async (shard) => namesInSums(await read(shard, sumsFile)),
    write: readOnly,
    changeSums: readOnly,
  }
}

async function withSums(
  known: readonly number[],
  hasSums: (shard: number) => Promise<boolean>,
): Promise<readonly number[]> {
  const found: number[] = []
  for (const shard of known) if (await hasSums(shard)) found.push(shard)
  return found
}

const namesInSums = (bytes: Uint8Array | undefined): readonly string[] => [...parseSums(bytes).keys()]

/** SHA-256 by name, lower-case hex. Lines that are none are left out. */
export function parseSums(bytes: Uint8Array | undefined): Map<string, string> {
  const text = bytes ? Buffer.from(bytes).toString('latin1') : ''
  return new Map([...text.matchAll(/^([0-9a-f]{64}) {2}([\w.-]+)$/gm)].map(([, sum, name]) => [name!, sum!]))
}

/** In the order of their names. */
export const formatSums = (sums: ReadonlyMap<string, string>): Uint8Array =>
  Buffer.from(
    [...sums]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, sum]) => `${sum}  ${name}\n`)
      .join(''),
    'latin1',
  )

const another = (what: string): WritError =>
  new WritError('fork', `${what} is there with other bytes: it is not written over`, {
    cure: '`writ audit verify --archive` says which of the two is the log; archive into another place',
  })
