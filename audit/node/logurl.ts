/** Reads a log over HTTP (C2SP tlog-tiles): a shard in each numbered path below the URL. Servers are strangers. */

import { messageOf, WritError } from '../../core/fault.ts'
import type { TileReader } from '../log/tiles.ts'
import type { TreeSource } from '../verify/tree.ts'
import { readWhole } from './bounded.ts'
import { maxFileBytes, unreadable } from './packed.ts'

/** Time for one file to come whole, in milliseconds. */
const fileMs = 30_000
/** Times that a file is asked for before the server counts as away. */
const tries = 3
const maxShards = 1024

export const isUrl = (place: string): boolean => /^https?:\/\//.test(place)

/** The shards below `url`: 0 and on, until there is none. Throws `not_found` where there is not even the first. */
export async function sourcesAt(url: string): Promise<readonly TreeSource[]> {
  const base = url.replace(/\/+$/, '')
  return probed(base, (shard) => urlReader(`${base}/${shard}`))
}

/** The same of a place that cannot be listed, whatever it is read by. */
export async function probed(base: string, readerOf: (shard: number) => TileReader): Promise<readonly TreeSource[]> {
  const sources: TreeSource[] = []
  while (sources.length < maxShards) {
    const shard = sources.length
    const read = readerOf(shard)
    if (!(await read('checkpoint'))) break
    sources.push({ shard, read })
  }
  if (sources.length > 0) return sources
  throw new WritError('not_found', `there is no log at ${base}`, {
    cure: `give the URL below which ${base}/0/checkpoint lies`,
  })
}

/** Undefined is a clear "not here" (404, 410, or 403 as object stores say it); anything else that fails throws. */
export function urlReader(base: string, maxBytes: number = maxFileBytes): TileReader {
  return async (path) => {
    const url = `${base}/${path}`
    for (let attempt = 1; ; attempt++) {
      try {
        return await readOnce(url, maxBytes)
      } catch (thrown) {
        if (attempt < tries) continue
        throw new WritError('unavailable', `${url}: ${messageOf(thrown)}`, { cause: thrown })
      }
    }
  }
}

async function readOnce(url: string, maxBytes: number): Promise<Uint8Array | undefined> {
  const answer = await fetch(url, {
    signal: AbortSignal.timeout(fileMs),
    headers: { 'accept-encoding': 'gzip, identity' },
  })
  if (!answer.ok || !answer.body) {
    await answer.body?.cancel()
    if ([403, 404, 410].includes(answer.status)) return undefined
    throw new Error(`HTTP status ${answer.status}`)
  }
  const bytes = await readWhole(answer, maxBytes)
  if (bytes === 'too_long') return undefined // No file of a log.
  return bytes === 'damaged' ? unreadable : bytes
}
