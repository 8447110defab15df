/**
 * A shard's log in an object store, brought up to what its folder has published. Tiles and bundles are written once, and
 * before the checkpoint that names them; the checkpoint is written over the one that was looked at and over no other.
 * So whoever publishes another tree there is refused, and what strangers read is at each moment one whole log.
 */

import { join } from 'node:path'
import { equalBytes, fromUtf8, toHex, utf8 } from '../../../core/bytes.ts'
import { WritError } from '../../../core/fault.ts'
import type { Checkpoint } from '../../../core/log.ts'
import type { Sha256 } from '../../../core/ports.ts'
import { parseCheckpoint } from '../../log/checkpoint.ts'
import { rootAt } from '../../log/merkle.ts'
import { parseNote } from '../../log/note.ts'
import {
  checkpointFile,
  keptFile,
  minimumFile,
  minimumIndex,
  newestCheckpoint,
  witnessedFile,
} from '../../log/prove.ts'
import {
  carriedPath,
  encodeBundle,
  findBundle,
  hashesFromTiles,
  tilePath,
  tileWidth,
  widthOf,
} from '../../log/tiles.ts'
import { readIfThere, tileReader } from '../folder.ts'
import { pack, packedPath, unpack } from '../packed.ts'
import { stampName, stampsFolder } from '../timestamps.ts'
import { inParallel } from './parallel.ts'
import type { Objects } from './s3.ts'

export interface MirrorParts {
  /** Folder of the shard. */
  readonly dir: string
  /** Below what is its own. */
  readonly objects: Objects
  readonly sha256: Sha256
}

export interface Mirror {
  /** Brings the store up to the folder; the size of the tree that is there then, undefined where there is none yet. */
  round(): Promise<number | undefined>
}

/** Requests at a time. */
const atOnce = 8

/** Index before which entries were taken away here too: what says `minimum` is done only then. */
const removedFile = 'minimum.done'

/** What is known to be in the store. */
interface Known {
  size: number
  note: string
  /** Of the checkpoint; undefined where there is none. */
  etag: string | undefined
  removed: number
  stamps: number
  readonly notes: Map<string, string>
}

interface Newest {
  readonly note: string
  readonly checkpoint: Checkpoint
}

export function mirrorOf({ dir, objects, sha256 }: MirrorParts): Mirror {
  const read = tileReader(dir)
  let known: Known | undefined
  /** Whether the store was seen to refuse what it has to. */
  let held = false

  /** What is there already has to be the beginning of what the folder has. */
  async function look({ checkpoint: { origin, size } }: Newest): Promise<Known> {
    const there = await objects.get(checkpointFile)
    const removed = await objects.get(removedFile)
    const stamps = (await objects.list(`${stampsFolder}/`)).filter((name) => name.endsWith('.note')).length
    const rest = { removed: indexOf(removed?.bytes), stamps, notes: new Map<string, string>() }
    if (!there) return { size: 0, note: '', etag: undefined, ...rest }
    const note = fromUtf8(there.bytes) ?? ''
    const found = parseCheckpoint(parseNote(note)?.text ?? '')
    if (found?.origin !== origin) {
      throw new WritError(
        'fork',
        `the store has ${found ? `the log ${found.origin}` : 'something else'} where ${origin} belongs`,
        {
          cure: 'give each log a bucket or prefix of its own',
        },
      )
    }
    if (found.size > size) throw ahead(origin, found.size, size)
    const root = await rootAt(sha256, found.size, hashesFromTiles(sha256, read, size))
    if (!equalBytes(root, found.root)) {
      throw forked(
        `${origin} has the root ${toHex(found.root)} at ${found.size} in the store, and ${toHex(root)} in the folder`,
      )
    }
    return { size: found.size, note, etag: there.etag, ...rest }
  }

  /** What is there already has to be the same; of what is packed, what it unpacks to. */
  async function putOnce(key: string, bytes: Uint8Array, encoding?: 'gzip'): Promise<void> {
    if ((await objects.put(key, bytes, { when: 'new', immutable: true, ...(encoding && { encoding }) })) !== undefined)
      return
    const there = await objects.get(key)
    if (!there) throw new WritError('unavailable', `${key} came and went while it was written`)
    if (!equalBytes(there.bytes, encoding ? await unpack(bytes) : bytes))
      throw forked(`${key} is another one in the store`)
  }

  /** The bundle as it lies, or packed now where it lies as it is; nothing where it was pruned meanwhile. */
  async function putBundle(index: number): Promise<void> {
    const path = tilePath('entries', index)
    const plain = await readIfThere(join(dir, path))
    const packed = plain ? await pack(plain) : await readIfThere(join(dir, packedPath(path)))
    if (packed) return putOnce(path, packed, 'gzip')
    if ((index + 1) * tileWidth > (await minimumIndex(read))) throw gone(path)
  }

  /** What the tree of `to` has more than that of `from`: whole tiles, then what its right edge needs. */
  async function putTiles(from: number, to: number, minimum: number): Promise<void> {
    function* jobs(): Generator<() => Promise<void>> {
      const bundle = Math.max(Math.floor(from / tileWidth), minimum / tileWidth)
      for (let index = bundle; (index + 1) * tileWidth <= to; index++) yield () => putBundle(index)
      for (let level = 0; tileWidth ** level <= to; level++) {
        const first = Math.floor(from / tileWidth ** (level + 1))
        for (let index = first; widthOf(level, index, to) > 0; index++)
          if (widthOf(level, index, from) < widthOf(level, index, to)) yield () => putTile(level, index, to)
      }
      if (to % tileWidth > 0) yield () => putEdge(Math.floor(to / tileWidth), to)
    }
    await inParallel(jobs(), atOnce)
  }

  async function putTile(level: number, index: number, size: number): Promise<void> {
    const width = widthOf(level, index, size)
    const path = tilePath(level, index, width)
    const bytes = (await read(path)) ?? (await read(tilePath(level, index)))?.subarray(0, width * 32)
    if (!bytes) throw gone(path)
    await putOnce(path, bytes)
  }

  async function putEdge(index: number, size: number): Promise<void> {
    const path = tilePath('entries', index, size % tileWidth)
    const entries = await findBundle(read, index, size)
    if (entries) return putOnce(path, encodeBundle(entries))
    if ((index + 1) * tileWidth > (await minimumIndex(read))) throw gone(path)
  }

  /** Partial tiles that a whole one has taken the place of. */
  async function removePartials(from: number, to: number): Promise<void> {
    for (let level = 0; from > 0 && tileWidth ** level <= to; level++) {
      const index = Math.floor(from / tileWidth ** (level + 1))
      if (widthOf(level, index, to) < tileWidth) continue
      for (const of of level === 0 ? (['entries', 0] as const) : [level]) {
        for (const key of await objects.list(`${tilePath(of, index)}.p/`)) await objects.remove(key)
      }
    }
  }

  /** A store that writes whatever the condition would let two publish over each other. The same note changes nothing. */
  async function requireConditions({ note }: Known): Promise<void> {
    for (const when of ['new', { etag: '"00000000000000000000000000000000"' }] as const) {
      if ((await objects.put(checkpointFile, utf8(note), { when })) === undefined) continue
      throw new WritError(
        'config_invalid',
        'the store takes no heed of If-None-Match or If-Match when it is written to',
        {
          cure: 'use one that does: without, two auditors could publish over each other',
        },
      )
    }
    held = true
  }

  async function publish(to: Newest, minimum: number): Promise<Known> {
    const now = (known ??= await look(to))
    const { size } = to.checkpoint
    if (now.size > size) throw ahead(to.checkpoint.origin, now.size, size)
    if (now.note === to.note) return now
    await putTiles(now.size, size, minimum)
    const when = now.etag === undefined ? 'new' : { etag: now.etag }
    const etag = await objects.put(checkpointFile, utf8(to.note), { when })
    if (etag === undefined) {
      known = undefined // Somebody was there, maybe we ourselves with an answer that was lost: to be looked at again.
      throw new WritError('unavailable', 'the checkpoint in the store was written over by another process', {
        cure: 'one auditor publishes a log: see whether a second one runs',
      })
    }
    const before = now.size
    Object.assign(now, { size, note: to.note, etag })
    await removePartials(before, size)
    return now
  }

  /** First what stays, then the minimum, then what goes, as in the folder. */
  async function prune(now: Known, minimum: number): Promise<void> {
    if (minimum <= now.removed) return
    const each = (work: (index: number) => Promise<void>) => {
      function* jobs(): Generator<() => Promise<void>> {
        for (let index = now.removed / tileWidth; index < minimum / tileWidth; index++) yield () => work(index)
      }
      return inParallel(jobs(), atOnce)
    }
    await each(async (index) => {
      const carried = await read(carriedPath(index))
      if (carried) await objects.put(carriedPath(index), carried, { when: 'any' })
    })
    await objects.put(minimumFile, utf8(`${minimum}\n`), { when: 'any' })
    await each((index) => objects.remove(tilePath('entries', index)))
    await objects.put(removedFile, utf8(`${minimum}\n`), { when: 'any' })
    now.removed = minimum
  }

  /** What others said of the log, and what is left of one that ended. */
  async function putWords(now: Known, minimum: number): Promise<void> {
    for (const path of [witnessedFile, keptFile]) {
      const said = await newestCheckpoint(read, path)
      if (!said || now.notes.get(path) === said.note) continue
      if (said.checkpoint.size > now.size) {
        if (path === witnessedFile) continue // Once the store has that tree.
        await putTiles(now.size, said.checkpoint.size, minimum)
      }
      await objects.put(path, utf8(said.note), { when: 'any' })
      now.notes.set(path, said.note)
    }
    for (;;) {
      const name = `${stampsFolder}/${stampName(now.stamps + 1)}`
      const [note, token] = [await read(`${name}.note`), await read(`${name}.tsr`)]
      if (!note || !token) return
      await objects.put(`${name}.tsr`, token, { when: 'any' })
      await objects.put(`${name}.note`, note, { when: 'any' })
      now.stamps++
    }
  }

  return {
    round: async () => {
      const minimum = await minimumIndex(read) // Before the checkpoint, which then covers the entry that says so.
      const newest = await newestCheckpoint(read)
      if (!newest) return undefined
      const now = await publish(newest, minimum)
      if (!held) await requireConditions(now)
      await prune(now, minimum)
      await putWords(now, minimum)
      return now.size
    },
  }
}

function indexOf(bytes: Uint8Array | undefined): number {
  const text = bytes ? fromUtf8(bytes)?.trim() : undefined
  return text !== undefined && /^\d{1,15}$/.test(text) && Number(text) % tileWidth === 0 ? Number(text) : 0
}

const gone = (path: string): WritError =>
  new WritError('unavailable', `${path} went away while it was read`, {
    cure: 'it is tried again with what is there then',
  })

const forked = (what: string): WritError =>
  new WritError('fork', `${what}: two logs were written under one name`, {
    cure: 'see whether another auditor publishes there; keep both as evidence, and publish below another prefix',
  })

const ahead = (origin: string, there: number, here: number): WritError =>
  new WritError('fork', `${origin}: the store has ${there} entries, the folder ${here}`, {
    cure: 'another auditor publishes there, or this folder is an old copy: what is there is the newer log',
  })
