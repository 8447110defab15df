/**
 * A backup: the log up to a signed checkpoint, as its own static files, where the stream is to be read on, what came
 * beside its records, sealed, and what is public of the signer. Rows are not in it: all of them are made again from the log, and held against it.
 */

import { readdir, readFile, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { Encrypter } from 'age-encryption'
import { toHex } from '../../core/bytes.ts'
import { WritError } from '../../core/fault.ts'
import { isObject, parseJson } from '../../core/json.ts'
import { partitionOf } from '../../core/log.ts'
import type { Sha256 } from '../../core/ports.ts'
import { hashBytes } from '../log/merkle.ts'
import { checkpointFile, keptFile, minimumFile, minimumIndex, newestCheckpoint, witnessedFile } from '../log/prove.ts'
import { carriedPath, encodeBundle, readBundle, type TileReader, tilePath, tileWidth, widthOf } from '../log/tiles.ts'
import { recallShard } from '../store/recall.ts'
import { type Db, offsets } from '../store/schema.ts'
import { copyDisclosures, type DisclosurePiece, dropDisclosures, pieceFile, readPiece } from './backup-disclosures.ts'
import { makeFolder, syncFolder, writeWhole } from './durable.ts'
import { sourcesIn } from './logfolder.ts'
import { openOrders } from './orders.ts'
import type { Store } from './store.ts'

export const backupVersion = 1
export const manifestFile = 'manifest.json'
export const keyFile = 'log.key.age'

export interface BackupManifest {
  readonly v: typeof backupVersion
  readonly at: string
  readonly verifierKey: string
  readonly shards: readonly BackupShard[]
  /** Who can read the signing key that is in it. */
  readonly recipients: readonly string[]
  /** SHA-256 of the key file, hex. */
  readonly keySha256?: string
}

export interface BackupShard {
  readonly shard: number
  readonly size: number
  /** The signed checkpoint that the backup stands at. */
  readonly note: string
  /** From here on the stream is to be read again; what comes twice is known by its number. */
  readonly nextOffset?: string
  /** Files that are there for this checkpoint and no other: their SHA-256, hex. Whole tiles the tree itself vouches for. */
  readonly files: Readonly<Record<string, string>>
  /** What came beside its records, sealed; a backup of an earlier release has none. */
  readonly disclosures?: readonly DisclosurePiece[]
}

export interface BackupParts {
  readonly store: Store
  readonly logDir: string
  readonly verifierKey: string
  /** The signing key, only ever written encrypted to `recipients` (age, `age1…`). Default: it is not in the backup. */
  readonly secret?: { readonly path: string; readonly recipients: readonly string[] }
  readonly sha256: Sha256
  readonly at: string
  /** Longest wait for a checkpoint over all that the store has, in milliseconds. Default 30 000. */
  readonly waitMs?: number
}

/** Whole tiles that `out` has already are not written again: a second backup to one place takes what is new. */
export async function makeBackup(out: string, parts: BackupParts): Promise<BackupManifest> {
  const { store, logDir, sha256 } = parts
  await makeFolder(out, 0o700)
  // Replaying from an earlier place does no harm, from a later one loses records: what was stored up to here is waited for.
  const places = new Map((await store.db.select().from(offsets)).map((row) => [row.shard, row.nextOffset]))
  const shards: BackupShard[] = []
  const earlier = await earlierPieces(out)
  for (const { shard, read } of await sourcesIn(logDir)) {
    const minimum = await minimumIndex(read) // Before the checkpoint, which then covers the entry that says so.
    const kept = await newestCheckpoint(read, keptFile)
    const newest = kept ?? (await covering(read, shard, parts))
    if (!newest) continue
    const { size } = newest.checkpoint
    const dir = join(out, 'log', String(shard))
    const files: Record<string, string> = {}
    const put = async (path: string, bytes: Uint8Array): Promise<void> => {
      files[path] = toHex(sha256(bytes))
      await write(join(dir, path), bytes)
    }
    await copyTiles(read, dir, { size, minimum }, put)
    if (minimum > 0) await put(minimumFile, new TextEncoder().encode(`${minimum}\n`))
    await put(checkpointFile, await noteBytes(read, checkpointFile, kept ? undefined : newest.note))
    for (const path of [keptFile, witnessedFile]) {
      const bytes = await read(path)
      if (bytes) await put(path, bytes)
    }
    const nextOffset = places.get(shard)
    const disclosures = await copyDisclosures(out, shard, size, earlier.get(shard) ?? [], parts)
    const resume = nextOffset !== undefined && { nextOffset }
    shards.push({ shard, size, note: newest.note, ...resume, files, ...(disclosures.length > 0 && { disclosures }) })
  }
  if (shards.length === 0) {
    throw new WritError('not_found', `${logDir} has no checkpoint yet: there is nothing to keep`, {
      cure: 'give the state folder of the auditor with --state',
    })
  }
  const sealed = parts.secret && (await sealKey(parts.secret))
  if (sealed) await write(join(out, keyFile), sealed, 0o600)
  await write(join(out, 'log.pub'), new TextEncoder().encode(`${parts.verifierKey}\n`))
  const manifest: BackupManifest = {
    v: backupVersion,
    at: parts.at,
    verifierKey: parts.verifierKey,
    shards,
    recipients: parts.secret?.recipients ?? [],
    ...(sealed && { keySha256: toHex(sha256(sealed)) }),
  }
  await write(join(out, manifestFile), new TextEncoder().encode(`${JSON.stringify(manifest, null, 2)}\n`))
  await syncFolder(out)
  await dropDisclosures(out, manifest.shards)
  return manifest
}

/** What the backup that is there names: its pieces are never written over, and go once the next manifest stands. */
async function earlierPieces(out: string): Promise<ReadonlyMap<number, readonly DisclosurePiece[]>> {
  const text = await readFile(join(out, manifestFile), 'utf8').catch(() => '')
  const manifest = parseJson(text) as unknown as BackupManifest | undefined
  return new Map((manifest?.shards ?? []).map(({ shard, disclosures }) => [shard, disclosures ?? []]))
}

/** The newest checkpoint, once it covers all that the store has, and all that the auditor was told to write of holds. */
async function covering(read: TileReader, shard: number, { store: { db }, waitMs = 30_000 }: BackupParts) {
  let { size } = await recallShard(db, shard)
  let open = await unwrittenHolds(db, shard)
  for (let waited = 0; ; waited += 100) {
    const newest = await newestCheckpoint(read)
    if (open.length === 0 && (newest?.checkpoint.size ?? 0) >= size) return newest
    if (waited >= waitMs) {
      throw new WritError(
        'unavailable',
        open.length > 0
          ? `the log does not say of the hold ${open[0]} yet: it would not be in the backup`
          : `the store has ${size} entries, and ${newest?.checkpoint.size ?? 0} are signed`,
        {
          cure: 'let the auditor run: it signs each second; then try again',
        },
      )
    }
    await new Promise((resolve) => setTimeout(resolve, 100))
    if (open.length === 0) continue
    open = await unwrittenHolds(db, shard)
    size = (await recallShard(db, shard)).size
  }
}

/** Cases that were held or lifted, of which the auditor has not written the entry. */
async function unwrittenHolds(db: Db, shard: number): Promise<readonly string[]> {
  return (await openOrders(db, partitionOf(shard))).flatMap(({ body }) => ('case' in body ? [body.case] : []))
}

/**
 * Every file that a tree of `size` needs: whole ones that are there stay, partial ones are cut to the size. Below `minimum`
 * is what a pruning left; what it took goes from the backup too.
 */
async function copyTiles(
  read: TileReader,
  dir: string,
  { size, minimum }: { readonly size: number; readonly minimum: number },
  put: (path: string, bytes: Uint8Array) => Promise<void>,
): Promise<void> {
  const whole = async (path: string): Promise<void> => {
    if (await stat(join(dir, path)).catch(() => undefined)) return
    const bytes = await read(path)
    if (!bytes) throw missing(path)
    await write(join(dir, path), bytes)
  }
  for (let level = 0; widthOf(level, 0, size) > 0; level++) {
    for (let index = 0; ; index++) {
      const width = widthOf(level, index, size)
      if (width === 0) break
      if (width === tileWidth) await whole(tilePath(level, index))
      else {
        const bytes = (await read(tilePath(level, index, width))) ?? (await read(tilePath(level, index)))
        if (!bytes || bytes.length < width * hashBytes) throw missing(tilePath(level, index, width))
        await put(tilePath(level, index, width), bytes.subarray(0, width * hashBytes))
      }
      if (level > 0) continue
      if ((index + 1) * tileWidth <= minimum) {
        const carried = await read(carriedPath(index))
        if (carried) await put(carriedPath(index), carried)
        await rm(join(dir, tilePath('entries', index)), { force: true })
        continue
      }
      if (width === tileWidth) await whole(tilePath('entries', index))
      else await put(tilePath('entries', index, width), encodeBundle(await readBundle(read, index, size)))
    }
  }
}

async function noteBytes(read: TileReader, path: string, note: string | undefined): Promise<Uint8Array> {
  if (note !== undefined) return new TextEncoder().encode(note)
  const bytes = await read(path)
  if (!bytes) throw missing(path)
  return bytes
}

async function sealKey({ path, recipients }: NonNullable<BackupParts['secret']>): Promise<Uint8Array> {
  const encrypter = new Encrypter()
  for (const recipient of recipients) {
    try {
      encrypter.addRecipient(recipient)
    } catch (thrown) {
      throw new WritError('usage', `${recipient} is no age recipient`, {
        cure: 'age1…, as age-keygen prints it',
        cause: thrown,
      })
    }
  }
  return encrypter.encrypt(await readFile(path))
}

async function write(path: string, bytes: Uint8Array, mode?: number): Promise<void> {
  await makeFolder(dirname(path))
  await writeWhole(path, bytes, mode)
}

const missing = (path: string): WritError =>
  new WritError('log_invalid', `${path} is missing from the log`, {
    cure: 'let the auditor run until its next checkpoint, which makes it again from the store; then try again',
  })

/** Throws `log_invalid` where it is not whole, `version` where it is of another program. */
export async function readManifest(dir: string, sha256: Sha256): Promise<BackupManifest> {
  const text = await readFile(join(dir, manifestFile), 'utf8').catch(() => undefined)
  const value = text === undefined ? undefined : parseJson(text)
  if (!isObject(value)) {
    throw new WritError('not_found', `${dir} holds no backup`, { cure: 'give the folder that writ audit backup wrote' })
  }
  if (value['v'] !== backupVersion) {
    throw new WritError('version', `the backup in ${dir} is of version ${JSON.stringify(value['v'])}`, {
      cure: 'restore it with the release that made it',
    })
  }
  const manifest = value as unknown as BackupManifest
  if (!Array.isArray(manifest.shards) || typeof manifest.verifierKey !== 'string') throw torn(dir, manifestFile)
  for (const one of manifest.shards) {
    if (!isObject(one) || !Number.isSafeInteger(one.shard) || !isObject(one.files)) throw torn(dir, manifestFile)
    const { shard, files } = one
    for (const [path, digest] of Object.entries(files)) {
      const bytes = path.includes('..')
        ? undefined
        : await readFile(join(dir, 'log', String(shard), path)).catch(() => undefined)
      if (!bytes || toHex(sha256(bytes)) !== digest) throw torn(dir, `log/${shard}/${path}`)
    }
  }
  for (const { shard, disclosures = [] } of manifest.shards) {
    for (const piece of disclosures) {
      if ((await readPiece(dir, shard, piece, sha256)) === undefined) throw torn(dir, pieceFile(shard, piece))
    }
  }
  return manifest
}

const torn = (dir: string, path: string): WritError =>
  new WritError('log_invalid', `${path} in ${dir} is missing or not the one that was backed up`, {
    cure: 'take another copy of the backup',
  })

/** Whether a folder is not there or has nothing in it. */
export const isEmptyFolder = async (dir: string): Promise<boolean> => (await readdir(dir).catch(() => [])).length === 0
