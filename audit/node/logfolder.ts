/** Reads a log that lies in a folder, one shard in each numbered folder below, and the key that it is verified with. */

import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs'
import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { WritError } from '../../core/fault.ts'
import type { Sha256 } from '../../core/ports.ts'
import { isS3 } from '../keep/place.ts'
import { type NoteKey, parseVerifierKey } from '../log/note.ts'
import type { TileReader } from '../log/tiles.ts'
import type { TreeSource } from '../verify/tree.ts'
import { isMissing } from './durable.ts'
import { isUrl, sourcesAt } from './logurl.ts'
import type { S3Settings } from './objects/place.ts'
import { shardsAmong, sourcesInStore } from './objects/source.ts'
import { isPacked, maxFileBytes, packedPath, unpackAtOnce } from './packed.ts'

/**
 * The shards below a folder, in order, below an http(s) URL, or below `s3://bucket/prefix`. Throws `not_found` where there
 * is no such folder, or no log.
 */
export async function sourcesIn(place: string, s3?: S3Settings): Promise<readonly TreeSource[]> {
  if (isUrl(place)) return sourcesAt(place)
  if (isS3(place)) return sourcesInStore(place, s3)
  const shards = await shardsIn(place)
  if (shards) {
    return shards.map((shard) => ({ shard, read: boundedReader(join(place, String(shard))), isNear: true, release }))
  }
  throw new WritError('not_found', `there is no log in ${place}`, {
    cure: 'give the folder of the log with --log, or that of the process with --state',
  })
}

/** Numbers of the shards below a folder, in order; undefined where there is no such folder. */
export async function shardsIn(dir: string): Promise<readonly number[] | undefined> {
  try {
    return shardsAmong(await readdir(dir))
  } catch (thrown) {
    if (isMissing(thrown)) return undefined
    throw thrown
  }
}

/** Files that are read before others in this process have their turn: whole bundles take some milliseconds each. */
const filesAtOnce = 8

/**
 * A folder that a stranger made may hold anything: what is no file of a log is as good as missing. Read and inflated in
 * this thread: to hand a file to the pool and back takes longer than that.
 */
function boundedReader(dir: string): TileReader {
  let files = 0
  return async (path) => {
    if (++files % filesAtOnce === 0) await setImmediate()
    const packed = isPacked(path) && readBounded(join(dir, packedPath(path)))
    return packed ? unpackAtOnce(packed) : readBounded(join(dir, path))
  }
}

/** What is smaller may lie in a pool beside other things. */
const ownBytes = 131_072

/** Bundles are large: left to the garbage collector, each dozen of them makes it go through everything there is. */
function release({ buffer }: Uint8Array): void {
  if (buffer instanceof ArrayBuffer && buffer.byteLength > ownBytes) buffer.transfer(0)
}

/** Whoever opens a pipe waits for its other end, unless it says not to. */
const flags = constants.O_RDONLY | constants.O_NONBLOCK

function readBounded(path: string): Uint8Array | undefined {
  let file: number | undefined
  try {
    file = openSync(path, flags)
    const found = fstatSync(file)
    return found.isFile() && found.size <= maxFileBytes ? readAll(file, found.size) : undefined
  } catch (thrown) {
    if (isMissing(thrown) || (thrown as NodeJS.ErrnoException).code === 'EISDIR') return undefined
    throw thrown
  } finally {
    if (file !== undefined) closeSync(file)
  }
}

function readAll(file: number, size: number): Uint8Array {
  const bytes = new Uint8Array(size)
  let length = 0
  while (length < size) {
    const read = readSync(file, bytes, length, size - length, null)
    if (read === 0) break
    length += read
  }
  return bytes.subarray(0, length)
}

/** A verifier key given as itself or as the file that holds it. */
export async function readVerifierKey(textOrFile: string, sha256: Sha256): Promise<NoteKey> {
  const given = parseVerifierKey(sha256, textOrFile.trim())
  if (given) return given
  const found = await stat(textOrFile).catch(() => undefined)
  if (!found?.isFile() || found.size > 65_536) {
    throw new WritError('usage', `${JSON.stringify(textOrFile)} is neither a verifier key nor a file that holds one`, {
      cure: 'give log.pub of the auditor, or its text: <name>+<id>+<base64>',
    })
  }
  const key = parseVerifierKey(sha256, (await readFile(textOrFile, 'utf8')).trim())
  if (key) return key
  throw new WritError('usage', `${textOrFile} holds no verifier key`, {
    cure: 'it is one line: <name>+<id>+<base64>, as the auditor writes it to log.pub',
  })
}
