/** Reads a log from an object store, as it was published there: a shard in each numbered folder below the prefix. */

import { WritError } from '../../../core/fault.ts'
import type { TileReader } from '../../log/tiles.ts'
import type { TreeSource } from '../../verify/tree.ts'
import { probed } from '../logurl.ts'
import { type S3Settings, s3Place } from './place.ts'
import { type Objects, openObjects } from './s3.ts'

/** Names of folders of shards, as numbers in order. */
export const shardsAmong = (names: readonly string[]): readonly number[] =>
  names
    .filter((name) => /^(0|[1-9]\d{0,5})$/.test(name))
    .map(Number)
    .sort((a, b) => a - b)

/** Throws `not_found` where there is no log. */
export async function sourcesInStore(url: string, settings?: S3Settings): Promise<readonly TreeSource[]> {
  const place = s3Place(url, settings)
  const objects = openObjects(place)
  const readerOf = (shard: number): TileReader => objectReader(objects.below(String(shard)))
  if (!place.credentials) return probed(url, readerOf) // Who may read what is public may seldom list it.
  const shards = shardsAmong((await objects.list('', true)).map((folder) => folder.slice(0, -1)))
  if (shards.length > 0) return shards.map((shard) => ({ shard, read: readerOf(shard) }))
  throw new WritError('not_found', `there is no log at ${url}`, {
    cure: `give the bucket and prefix below which 0/checkpoint lies`,
  })
}

export const objectReader =
  (objects: Objects): TileReader =>
  async (path) =>
    (await objects.get(path))?.bytes
