/** Holds an archive against the log: every leaf in it is hashed again and compared with the tiles, which vouch for it. */

import { equalBytes, toHex } from '../../core/bytes.ts'
import { messageOf } from '../../core/fault.ts'
import type { Sha256 } from '../../core/ports.ts'
import { parseEvent } from '../../core/record.ts'
import { type Archive, type ArchivedLeaf, columnsOf } from '../archive/file.ts'
import { type HashAt, leafHash } from '../log/merkle.ts'
import { keptFile, minimumIndex, newestCheckpoint } from '../log/prove.ts'
import { hashesFromTiles, tileWidth } from '../log/tiles.ts'
import { type FindingCode, Findings, span } from '../verify/finding.ts'
import type { TreeSource } from '../verify/tree.ts'
import {
  type ArchiveFile,
  archivedFiles,
  archivedShards,
  digestOf,
  openArchive,
  readArchiveFile,
  readSums,
} from './archive.ts'

export interface ArchiveVerified {
  readonly findings: Findings
  readonly files: number
  readonly leaves: number
}

/** The tiles themselves are for `verifyPlace` to judge: what is found here is what is not as they say. */
export async function verifyArchive(
  out: string,
  sources: readonly TreeSource[],
  sha256: Sha256,
): Promise<ArchiveVerified> {
  const findings = new Findings()
  let [files, leaves] = [0, 0]
  const known = new Map(sources.map((source) => [source.shard, source]))
  const shards = await archivedShards(out)
  if (shards.length === 0) {
    findings.add({ level: 'broken', code: 'archive_missing', shard: 0, what: `there is no archive in ${out}` })
  }
  for (const shard of shards) {
    const source = known.get(shard)
    const newest = source && ((await newestCheckpoint(source.read, keptFile)) ?? (await newestCheckpoint(source.read)))
    if (!source || !newest) {
      const what = `the archive has shard ${shard}, and the log that would vouch for it is not there`
      findings.add({ level: 'broken', code: 'archive_invalid', shard, what })
      continue
    }
    const { size } = newest.checkpoint
    const hashAt = hashesFromTiles(sha256, source.read, size)
    const sums = await readSums(out, shard)
    const listed = await archivedFiles(out, shard)
    const tell: Tell = (code, what, index) =>
      findings.add({ level: 'broken', code, shard, ...(index !== undefined && { index }), what })
    for (const name of sums.keys()) {
      if (!listed.some((file) => file.name === name))
        tell('archive_missing', `${name} is gone`, Number(name.slice(0, 12)))
    }
    let next = 0
    for (const file of listed) {
      files++
      if (file.first > next && next > 0)
        tell('archive_missing', `no file has entries ${span(next, file.first - 1)}`, next)
      if (file.first < next) tell('archive_invalid', `${file.name} begins before the file before it ends`, file.first)
      next = Math.max(next, file.last + 1)
      const archive = await openFile(out, shard, file, sums.get(file.name), tell)
      if (!archive) continue
      leaves += archive.leaves.length
      await verifyLeaves(archive, { file, size, hashAt, sha256, tell })
    }
    const minimum = await minimumIndex(source.read)
    if (next < minimum)
      tell('archive_missing', `entries ${span(next, minimum - 1)} were pruned and are in no file`, next)
  }
  return { findings, files, leaves }
}

type Tell = (code: FindingCode, what: string, index?: number) => void

async function openFile(
  out: string,
  shard: number,
  file: ArchiveFile,
  sum: string | undefined,
  tell: Tell,
): Promise<Archive | undefined> {
  const { name, first, last } = file
  const bytes = await readArchiveFile(out, shard, name).catch((thrown: unknown) => messageOf(thrown))
  if (typeof bytes === 'string') {
    tell('archive_invalid', `${name} cannot be read: ${bytes}`, first)
    return undefined
  }
  if (digestOf(bytes) !== sum) {
    tell(
      'archive_invalid',
      sum === undefined ? `no sum is kept of ${name}` : `${name} is not the file that was written`,
      first,
    )
  }
  const archive = await openArchive(bytes)
  if ('wrong' in archive) {
    tell('archive_invalid', `${name} cannot be read: ${archive.wrong}`, first)
    return undefined
  }
  const { head } = archive
  if (head.shard === shard && head.first === first && head.last === last) return archive
  tell('archive_invalid', `${name} says that it is ${head.first} to ${head.last} of shard ${head.shard}`, first)
  return undefined
}

interface Held {
  readonly file: ArchiveFile
  readonly size: number
  readonly hashAt: HashAt
  readonly sha256: Sha256
  readonly tell: Tell
}

async function verifyLeaves({ head, leaves }: Archive, { file, size, hashAt, sha256, tell }: Held): Promise<void> {
  if (file.last >= size) {
    tell('archive_invalid', `${file.name} has entries that no checkpoint of the log covers`, size)
    return
  }
  const hashOf = async (level: number, index: number): Promise<Uint8Array | undefined> => {
    try {
      return await hashAt(level, index)
    } catch {
      return undefined
    }
  }
  for (const [i, node] of head.nodes.entries()) {
    const at = file.first / tileWidth + i
    const said = await hashOf(8, at)
    if (said && toHex(said) !== node)
      tell('archive_invalid', `${file.name} has another hash of bundle ${at}`, at * tileWidth)
  }
  for (const [i, leaf] of leaves.entries()) {
    const place = file.first + i
    const said = await hashOf(0, place)
    if (!said) {
      tell('tile_missing', `no tile vouches for archived leaf ${place}`, place)
      return
    }
    if (leaf.index !== place) tell('row_differs', `${file.name} has index ${leaf.index} where ${place} belongs`, place)
    if (!equalBytes(leafHash(sha256, leaf.bytes), said)) {
      tell('leaf_mismatch', `archived leaf ${place} does not hash to what its tile says`, place)
      continue
    }
    const differs = differing(leaf)
    if (differs) tell('row_differs', `column ${differs} in ${file.name} is not what its leaf says`, place)
  }
}

/** The leaf is what was signed; what stands beside it has to follow from it. */
function differing({ bytes, columns }: ArchivedLeaf): string | undefined {
  const parsed = parseEvent(bytes)
  const expected = columnsOf('event' in parsed ? parsed.event : undefined)
  return (Object.keys(expected) as (keyof typeof expected)[]).find((name) => expected[name] !== columns[name])
}
