/** Holds an archive against the log: every leaf in it is hashed again and compared with the tiles, which vouch for it. */

import { equalBytes, toHex } from '../../core/bytes.ts'
import { messageOf } from '../../core/fault.ts'
import type { Sha256 } from '../../core/ports.ts'
import { decisionId, parseEvent } from '../../core/record.ts'
import { type Archive, type ArchivedLeaf, type ArchiveHead, columnsOf } from '../archive/file.ts'
import { parseCheckpoint } from '../log/checkpoint.ts'
import { type HashAt, leafHash, rootAt } from '../log/merkle.ts'
import { type NoteKey, openNote } from '../log/note.ts'
import { keptFile, minimumIndex, newestCheckpoint } from '../log/prove.ts'
import { hashesFromTiles, tileWidth } from '../log/tiles.ts'
import { digestsOf } from '../store/disclosures.ts'
import { type FindingCode, type FindingLevel, Findings, span } from '../verify/finding.ts'
import type { TreeSource } from '../verify/tree.ts'
import { type ArchiveFile, archivedFiles, digestOf, openArchive } from './archive.ts'
import { keysFile, readKeys } from './archive-keys.ts'
import { type ArchivePlace, formatSums, parseSums, sumsFile } from './archive-place.ts'
import { verifyEd25519 } from './ed25519.ts'

export interface ArchiveVerified {
  readonly findings: Findings
  readonly files: number
  readonly leaves: number
}

export interface ArchiveVerifying {
  readonly sha256: Sha256
  /** Of the log, and of logs before it: they signed the checkpoints that files carry. */
  readonly keys: readonly NoteKey[]
}

/** The tiles themselves are for `verifyPlace` to judge: what is found here is what is not as they say. */
export async function verifyArchive(
  out: ArchivePlace,
  sources: readonly TreeSource[],
  parts: ArchiveVerifying,
): Promise<ArchiveVerified> {
  const findings = new Findings()
  let [files, leaves] = [0, 0]
  const known = new Map(sources.map((source) => [source.shard, source]))
  const shards = await out.shards([...known.keys()])
  if (shards.length === 0) {
    findings.add({ level: 'broken', code: 'archive_missing', shard: 0, what: `there is no archive in ${out.name}` })
  }
  for (const { shard, read } of shards.length > 0 ? sources : []) {
    const minimum = shards.includes(shard) ? 0 : await minimumIndex(read)
    if (minimum === 0) continue
    const what = `entries ${span(0, minimum - 1)} were pruned, and the archive has nothing of the log`
    findings.add({ level: 'broken', code: 'archive_missing', shard, index: 0, what })
  }
  for (const shard of shards) {
    const source = known.get(shard)
    const newest = source && ((await newestCheckpoint(source.read, keptFile)) ?? (await newestCheckpoint(source.read)))
    if (!source || !newest) {
      const what = `the archive has shard ${shard}, and the log that would vouch for it is not there`
      findings.add({ level: 'broken', code: 'archive_invalid', shard, what })
      continue
    }
    const tell: Tell = (code, what, index, level = 'broken') =>
      findings.add({ level, code, shard, ...(index !== undefined && { index }), what })
    const hashAt = hashesFromTiles(parts.sha256, source.read, newest.checkpoint.size)
    const held = { ...parts, ...newest.checkpoint, shard, out, hashAt, tell }
    const read = await verifyShard(held, await minimumIndex(source.read))
    files += read.files
    leaves += read.leaves
  }
  return { findings, files, leaves }
}

interface Held extends ArchiveVerifying {
  readonly out: ArchivePlace
  readonly shard: number
  /** Of the tree that vouches. */
  readonly origin: string
  readonly size: number
  readonly hashAt: HashAt
  readonly tell: Tell
}

async function verifyShard(held: Held, minimum: number): Promise<{ readonly files: number; readonly leaves: number }> {
  const { out, shard, tell } = held
  const summed = await out.read(shard, sumsFile)
  const sums = parseSums(summed)
  if (summed && !equalBytes(summed, formatSums(sums))) {
    tell('archive_invalid', `${sumsFile} has more in it than one line a file, in order`)
  }
  const listed = await archivedFiles(out, shard)
  for (const name of sums.keys()) {
    if (!listed.some((file) => file.name === name || keysFile(file) === name))
      tell('archive_missing', `${name} is gone`, Number(name.slice(0, 12)))
  }
  let [next, leaves] = [0, 0]
  const begin = Math.min(listed[0]?.first ?? 0, minimum)
  if (begin > 0) {
    const what = `entries ${span(0, begin - 1)} are in no file: they were pruned before there was an archive, or it lost them`
    tell('archive_missing', what, 0, 'warning')
  }
  for (const file of listed) {
    if (file.first > next && next > 0)
      tell('archive_missing', `no file has entries ${span(next, file.first - 1)}`, next)
    if (file.first < next) tell('archive_invalid', `${file.name} begins before the file before it ends`, file.first)
    next = Math.max(next, file.last + 1)
    const archive = await openFile(held, file, sums.get(file.name))
    if (!archive) continue
    leaves += archive.leaves.length
    await verifyHead(archive.head, file, held)
    await verifyLeaves(archive, file, held)
    await verifyKeys(archive, file, sums.get(keysFile(file)), held)
  }
  if (next < minimum) tell('archive_missing', `entries ${span(next, minimum - 1)} were pruned and are in no file`, next)
  return { files: listed.length, leaves }
}

type Tell = (code: FindingCode, what: string, index?: number, level?: FindingLevel) => void

async function openFile(
  { out, shard, tell }: Held,
  { name, first, last }: ArchiveFile,
  sum: string | undefined,
): Promise<Archive | undefined> {
  const bytes = await out.read(shard, name).catch((thrown: unknown) => messageOf(thrown))
  if (bytes === undefined || typeof bytes === 'string') {
    tell('archive_invalid', `${name} cannot be read: ${bytes ?? 'it is gone, or longer than 1 GiB'}`, first)
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

/** The checkpoint that a file carries is a signed one of this log, over all that is in it, and of the tree that vouches. */
async function verifyHead(
  { nodes, checkpoint: note }: ArchiveHead,
  file: ArchiveFile,
  { origin, size, keys, hashAt, sha256, tell }: Held,
): Promise<void> {
  const wrong = (what: string): void => tell('archive_invalid', `${file.name}: ${what}`, file.first)
  const bundles = Math.floor((file.last + 1) / tileWidth) - file.first / tileWidth
  if (nodes.length !== Math.max(1, bundles)) wrong(`${nodes.length} hashes of bundles, where ${bundles} belong`)
  const opened = await openNote(note, keys, verifyEd25519)
  if (!opened.ok) return wrong(`its checkpoint: ${opened.detail}`)
  const checkpoint = parseCheckpoint(opened.text)
  const own = (of: string): string => of.replace(/\/kept$/, '')
  if (!checkpoint || own(checkpoint.origin) !== own(origin)) return wrong('its checkpoint is not one of this log')
  if (checkpoint.size <= file.last) wrong(`its checkpoint covers ${checkpoint.size} entries and not all of it`)
  if (checkpoint.size > size) return
  const root = await rootAt(sha256, checkpoint.size, hashAt).catch(() => undefined)
  if (root && !equalBytes(root, checkpoint.root))
    wrong(`its checkpoint has another root than the log at ${checkpoint.size}`)
}

async function verifyLeaves({ head, leaves }: Archive, file: ArchiveFile, held: Held): Promise<void> {
  const { size, hashAt, sha256, tell } = held
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

/** No leaf names its key: what is held is that the file is the one that was written, and of these records. */
async function verifyKeys(
  { leaves }: Archive,
  file: ArchiveFile,
  sum: string | undefined,
  { out, shard, tell }: Held,
): Promise<void> {
  const name = keysFile(file)
  const bytes = await out.read(shard, name).catch(() => undefined)
  if (!bytes && sum === undefined) return
  const wrong = (what: string): void => tell('archive_invalid', `${name} ${what}`, file.first)
  if (!bytes) return tell('archive_missing', `${name} is gone`, file.first)
  if (digestOf(bytes) !== sum) return wrong('is not the file that was written')
  const rows = await readKeys(bytes)
  if ('wrong' in rows) return wrong(`cannot be read: ${rows.wrong}`)
  const sealed = new Set(leaves.flatMap(({ bytes: leaf }) => sealedRecord(leaf)))
  const stray = rows.find(({ epoch, seq }) => !sealed.has(`${epoch}-${seq}`))
  if (stray) wrong(`names ${stray.epoch}-${stray.seq}, which is no record with digests in ${file.name}`)
}

function sealedRecord(leaf: Uint8Array): readonly string[] {
  const parsed = parseEvent(leaf)
  if ('wrong' in parsed || Object.keys(digestsOf(parsed.event)).length === 0) return []
  return [decisionId(parsed.event)]
}

/** The leaf is what was signed; what stands beside it has to follow from it. */
function differing({ bytes, columns }: ArchivedLeaf): string | undefined {
  const parsed = parseEvent(bytes)
  const expected = columnsOf('event' in parsed ? parsed.event : undefined)
  return (Object.keys(expected) as (keyof typeof expected)[]).find((name) => expected[name] !== columns[name])
}
