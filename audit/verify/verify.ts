/**
 * Verifies a log offline, from its files and its public key: first the tree, then what its records say of each other.
 * Memory grows with the number of epochs, not of records. Read this file first.
 */

import { equalBytes, fromHex, toHex, utf8 } from '../../core/bytes.ts'
import { type Checkpoint, logStride } from '../../core/log.ts'
import type { Sha256, VerifyHead } from '../../core/ports.ts'
import { type AuditEvent, parseEvent } from '../../core/record.ts'
import { trustDomainOf } from '../../core/spiffe.ts'
import { consistencyProof, type HashAt, plainSha256, type QuickSha256, verifyConsistency } from '../log/merkle.ts'
import { type Ed25519Verify, formatVerifierKey, type NoteKey } from '../log/note.ts'
import type { LogPolicy } from '../log/policy.ts'
import { minimumIndex, witnessedFile } from '../log/prove.ts'
import {
  carriedPath,
  decodeBundle,
  decodeCarried,
  hashesFromTiles,
  tilePath,
  tileWidth,
  widthOf,
} from '../log/tiles.ts'
import { ahead, partsOf } from './ahead.ts'
import { type Ended, endedFault, readChain } from './chain.ts'
import type { Finding } from './finding.ts'
import { Findings } from './finding.ts'
import type { PartReaders, ReadPart } from './part.ts'
import { isAuditor, RecordsReader, type RecordsSummary, type SavedRecords } from './records.ts'
import { RootsReader, type SavedRoots } from './roots.ts'
import { countStamps, readStamp } from './stamps.ts'
import {
  bytesOf,
  type LeafRange,
  maxMissing,
  type OpenedCheckpoint,
  openCheckpoint,
  openTree,
  type PlacedLeaf,
  readCheckpoint,
  rootOf,
  type TreeSource,
} from './tree.ts'
import { rootsFinder, type TrustPeriod } from './trust.ts'
import { WitnessedReader, type WitnessedSummary } from './witnessed.ts'

/** A leaf as it was verified. `event` is undefined where it is no record. */
export interface VerifiedLeaf {
  readonly shard: number
  readonly index: number
  readonly hash: Uint8Array
  readonly bytes: Uint8Array
  readonly event: AuditEvent | undefined
  /** It lies where entries were pruned: the tables need not have it. */
  readonly pruned?: true
}

export interface VerifyParts {
  readonly sources: readonly TreeSource[]
  readonly key: NoteKey
  /** Keys that had signed logs which others follow. The newest log of a partition has to be signed by `key`. */
  readonly formerKeys?: readonly NoteKey[]
  readonly verifyNote: Ed25519Verify
  readonly verifyHead: VerifyHead
  readonly sha256: Sha256
  /** The same without an object for each hash. Default `sha256`. */
  readonly quick?: QuickSha256
  /** Roots that the caller has reason to trust. Without them the log's own `trust` events are read. */
  readonly pinned?: readonly TrustPeriod[]
  /** Signed checkpoints that somebody kept: this log must extend every one of them. */
  readonly kept?: (shard: number) => AsyncIterable<string> | Iterable<string>
  /** Whose cosignatures the reader asks for. Without it nothing is said of witnesses. */
  readonly policy?: LogPolicy
  /** Why a time stamp is not of this checkpoint; undefined where it is. Without it time stamps are not read. */
  readonly timestampFault?: (token: Uint8Array, note: Uint8Array) => string | undefined
  /** Other threads that read parts of it. Default: all is read in this one, as it is with `onLeaves`. */
  readonly readers?: PartReaders
  /** Is told how many leaves were read, now and then. */
  readonly onProgress?: (leaves: number) => void
  /** Sees every leaf in order, a bundle at a time: what comparisons read. */
  readonly onLeaves?: (leaves: readonly VerifiedLeaf[]) => void | Promise<void>
  /** Is shown each leaf once and in order, whatever the verification makes of it, and without a second reading. */
  readonly watch?: LeafWatch
  /** What a verification of a beginning of this log came to. It is believed where the log extends that beginning. */
  readonly resume?: SavedVerification
  /** Is given what can be resumed from, where nothing was found to be broken. */
  readonly save?: (saved: SavedVerification) => void
}

/** Whoever looks at leaves as they are read, and does not ask whether they hold: that is known at the end. */
export interface LeafWatch {
  /** A shard, and the tree that is read of it; leaves from `from` on will be shown. */
  readonly shard: (shard: number, from: number, tree: Checkpoint) => Promise<void>
  /** Before the leaves of a bundle; undefined where there is nothing to wait for. */
  readonly bundle: (shard: number, first: number) => Promise<void> | undefined
  /** `event`: what it is, where it was parsed. `scanned`: it was not, `scan` has just read it. Its bytes are good until the next bundle. */
  readonly leaf: (leaf: PlacedLeaf, shard: number, event: AuditEvent | undefined, scanned: boolean) => void
  /** How it looks at parts that another thread reads. Without it none are. */
  readonly parts?: {
    /** Whether the leaves of a part are to be looked at there. */
    readonly wants: (shard: number, range: LeafRange) => Promise<boolean>
    /** Instead of each of its leaves: what came of them, undefined where they were not wanted. */
    readonly part: (shard: number, range: LeafRange, gathered: unknown) => Promise<void>
  }
}

export interface ShardSummary {
  readonly shard: number
  readonly origin: string
  readonly size: number
  /** Lower-case hex. */
  readonly root: string
  /** The signed checkpoint. */
  readonly note: string
  /** How many kept checkpoints this log was found to extend. */
  readonly kept: number
  /** What witnesses cosigned of it; undefined where no policy says which. */
  readonly witnessed?: WitnessedSummary
  /** How many time stamps are of checkpoints that this log extends. Whether an authority signed them is not seen here. */
  readonly stamped?: number
}

export interface Verification extends RecordsSummary {
  /** No finding is `broken`. */
  readonly ok: boolean
  readonly findings: readonly Finding[]
  /** Findings beyond those listed. */
  readonly omitted: number
  /** Findings of level `broken`, those omitted among them. */
  readonly broken: number
  readonly verifierKey: string
  readonly shards: readonly ShardSummary[]
  readonly trust: {
    /** Whose word the roots are. From the log itself, the first bundle of a trust domain is taken on trust. */
    readonly from: 'log' | 'pinned'
    readonly roots: readonly { readonly trustDomain: string; readonly sha256: readonly string[] }[]
  }
}

export async function verifyLog(parts: VerifyParts): Promise<Verification> {
  const findings = new Findings()
  const opened = await openAll(parts, findings)
  const minimums = new Map<number, number>()
  for (const { source } of opened) minimums.set(source.shard, await minimumIndex(source.read))
  const log = { parts, opened, minimums, shown: new Map<number, number>() }
  const resume = await resumable(log)
  if (parts.pinned) return readLog(log, knownRoots(parts.pinned, parts.verifyHead), findings, { resume })
  // Leaves that are handed on cannot be taken back, so what vouches for them is known before.
  const known = parts.onLeaves ? undefined : await readOnce(log, findings.copy(), resume)
  if (known) return known
  const trust = new RootsReader(parts.verifyHead, parts.sha256)
  await readTrust(log, trust, Number.POSITIVE_INFINITY)
  trust.finish(findings)
  const { periods } = trust
  const roots = { periods, verifyHead: parts.verifyHead, rootsFor: trust.rootsFor.bind(trust) }
  return readLog(log, roots, findings, { known: trust })
}

interface Log {
  readonly parts: VerifyParts
  readonly opened: readonly Opened[]
  /** By shard, what was pruned before. */
  readonly minimums: ReadonlyMap<number, number>
  /** By shard, index of the next leaf that was shown to nobody yet. */
  readonly shown: Map<number, number>
}

interface Roots {
  readonly periods: readonly TrustPeriod[]
  readonly verifyHead: VerifyHead
  readonly rootsFor: (producer: AuditEvent['producer'], atMs: number) => readonly Uint8Array[]
}

function knownRoots(periods: readonly TrustPeriod[], verifyHead: VerifyHead): Roots {
  const find = rootsFinder(periods)
  return { periods, verifyHead, rootsFor: (producer, atMs) => find(trustDomainOf(producer), atMs) }
}

/** Bundles at the beginning of each shard that are looked at first: there the control plane announces its roots. */
const bundlesAtFirst = 8

/** Everything in one pass. Undefined where a root became known too late for that. */
async function readOnce(
  log: Log,
  findings: Findings,
  resume: SavedVerification | undefined,
): Promise<Verification | undefined> {
  const trust = new RootsReader(log.parts.verifyHead, log.parts.sha256)
  if (resume?.roots) trust.load(resume.roots)
  else await readTrust(log, trust, bundlesAtFirst)
  if (log.opened.length > 1) trust.fix()
  const { periods } = trust
  const roots: Roots = {
    periods,
    verifyHead: (head) => trust.verifyHead(head),
    rootsFor: (producer, atMs) => trust.rootsFor(producer, atMs),
  }
  let saved: SavedVerification | undefined
  const save = log.parts.save && ((one: SavedVerification) => (saved = one))
  const parts = { ...log.parts, ...(save && { save }) }
  const read = await readLog({ ...log, parts }, roots, findings, { trust, known: trust, resume })
  if (!read || !trust.holds()) return undefined
  if (saved) log.parts.save?.(saved)
  return read
}

/** How a log is read: what there is to begin with, and who learns of roots on the way. */
interface Reading {
  readonly trust?: RootsReader
  /** Whose roots vouch for the heads. */
  readonly known?: RootsReader
  readonly resume?: SavedVerification | undefined
}

/** What a verification knows at the end of a log that grows. */
export interface SavedVerification {
  readonly v: typeof savedVersion
  /** What it believed: pinned roots, or the log's own. */
  readonly roots?: SavedRoots
  readonly pinned: string
  readonly shards: readonly {
    readonly shard: number
    readonly size: number
    /** Lower-case hex. */
    readonly root: string
    /** What was pruned before. */
    readonly minimum: number
  }[]
  readonly records: SavedRecords
  readonly findings: readonly Finding[]
}

/** Of what is saved; a verification by another version begins anew. */
const savedVersion = 1

const pinnedText = ({ pinned, sha256 }: VerifyParts): string =>
  pinned === undefined
    ? ''
    : toHex(sha256(utf8(JSON.stringify(pinned.map(({ roots, ...one }) => ({ ...one, roots: roots.map(toHex) }))))))

/** What is saved, where this log begins with it and nothing of that was taken away since. */
async function resumable({ parts, opened, minimums }: Log): Promise<SavedVerification | undefined> {
  const { resume, sha256 } = parts
  if (resume?.v !== savedVersion || resume.pinned !== pinnedText(parts) || parts.onLeaves) return undefined
  for (const { shard, size, root, minimum } of resume.shards) {
    const found = opened.find(({ source }) => source.shard === shard)
    const tree = found && (found.ended?.kept ?? found.checkpoint)
    if (!found || !tree || tree.size < size || minimums.get(shard) !== minimum) return undefined
    const hashAt = hashesFromTiles(sha256, found.source.read, tree.size)
    const proof = await consistencyProof(sha256, size, tree.size, hashAt).catch(() => undefined)
    if (!proof || !verifyConsistency(sha256, size, tree.size, proof, fromHex(root)!, tree.root)) return undefined
  }
  return resume
}

async function readLog(
  log: Log,
  roots: Roots,
  findings: Findings,
  reading: Reading & { readonly trust?: never },
): Promise<Verification>
async function readLog(log: Log, roots: Roots, findings: Findings, reading: Reading): Promise<Verification | undefined>
async function readLog(
  { parts, opened, minimums, shown }: Log,
  { periods, verifyHead, rootsFor }: Roots,
  findings: Findings,
  { trust, known, resume }: Reading,
): Promise<Verification | undefined> {
  const { sha256 } = parts
  const prunedBefore = (shard: number): number => minimums.get(shard) ?? 0
  /** Of leaves and what they say, apart from what is found each time anew. */
  const inRecords = new Findings()
  for (const finding of resume?.findings ?? []) inRecords.add(finding)
  const records = new RecordsReader({ verifyHead, sha256, rootsFor, isAuditor, prunedBefore }, inRecords)
  if (resume) records.load(resume.records)
  const shards: ShardSummary[] = []
  const progress = { count: 0 }
  const quick = parts.quick ?? plainSha256(sha256)
  for (const one of opened) {
    const { source, checkpoint, ended } = one
    const { shard } = source
    const tree = ended?.kept ?? checkpoint
    const { watch } = parts
    const from = resume?.shards.find((saved) => saved.shard === shard)?.size ?? 0
    const announcedFrom = resume?.roots ? from : bundlesAtFirst * tileWidth
    if (watch && !shown.has(shard)) {
      shown.set(shard, from)
      await watch.shard(shard, from, tree)
    }
    const here = await openTree(source, tree, sha256, quick, inRecords)
    await here.above({ from, to: tree.size })
    const isAnnounced = (event: AuditEvent | undefined, index: number): event is AuditEvent =>
      event !== undefined && index >= announcedFrom
    /** Parts one after the other, each with what another thread made of it, where one did. */
    const all = elsewhere(parts, shard, tree, from, prunedBefore(shard), shown)
    for await (const [range, read] of all) {
      if (here.isOver()) break
      if (read && records.fits(read, shard)) {
        for (const step of read.steps) {
          const event = records.step(step, read.bytes, shard)
          if ('odd' in step && isAnnounced(event, step.odd.index)) trust?.take(event, shard, step.odd.index)
        }
        if (watch && (shown.get(shard) ?? 0) < range.to) {
          await watch.parts?.part(shard, range, read.gathered)
          shown.set(shard, range.to)
        }
        progress.count += range.to - range.from
        parts.onProgress?.(progress.count)
        if (trust?.isLost) return undefined
        continue
      }
      for await (const placed of here.leaves(range)) {
        progress.count += placed.length
        parts.onProgress?.(progress.count)
        const pruned = (placed[0]?.index ?? 0) < prunedBefore(shard) && { pruned: true as const }
        if (parts.onLeaves) {
          const leaves = placed.map((leaf) => ({ ...verifiedLeaf(leaf, shard, records.take(leaf, shard)), ...pruned }))
          await parts.onLeaves(leaves)
          continue
        }
        const next = shown.get(shard) ?? 0
        const last = placed.at(-1)
        const isNew = watch !== undefined && last !== undefined && last.index >= next
        if (isNew) {
          const waiting = watch.bundle(shard, placed[0]!.index)
          if (waiting) await waiting
          shown.set(shard, last.index + 1)
        }
        for (const leaf of placed) {
          const event = records.see(leaf, shard)
          if (isNew && leaf.index >= next) watch.leaf(leaf, shard, event, records.seen)
          if (isAnnounced(event, leaf.index)) trust?.take(event, shard, leaf.index)
        }
        if (trust?.isLost) return undefined
        if (placed[0]) source.release?.(placed[0].file)
      }
    }
    const { origin, note } = checkpoint
    const compared = await compareKept(parts, one, findings)
    shards.push({ shard, origin, size: tree.size, root: toHex(tree.root), note, ...compared })
  }
  trust?.finish(findings)
  if (parts.save && inRecords.broken === 0 && inRecords.omitted === 0) {
    parts.save({
      v: savedVersion,
      pinned: pinnedText(parts),
      ...(known && { roots: known.save() }),
      shards: shards.map(({ shard, size, root }) => ({ shard, size, root, minimum: minimums.get(shard) ?? 0 })),
      records: records.save(),
      findings: [...inRecords.list],
    })
  }
  for (const [shard, minimum] of minimums) records.admitsPruning(shard, minimum)
  const summary = records.finish()
  findings.take(inRecords)
  return {
    ok: findings.broken === 0,
    findings: inOrder(findings.list),
    omitted: findings.omitted,
    broken: findings.broken,
    verifierKey: formatVerifierKey(parts.key),
    shards,
    trust: { from: parts.pinned ? 'pinned' : 'log', roots: digestsOf(periods, sha256) },
    ...summary,
  }
}

/** A range of a tree in parts, with what other threads made of those that they may read. */
async function* elsewhere(
  { readers, watch, onLeaves }: VerifyParts,
  shard: number,
  tree: Checkpoint,
  from: number,
  minimum: number,
  shown: ReadonlyMap<number, number>,
): AsyncGenerator<readonly [LeafRange, ReadPart | undefined]> {
  if (!readers || onLeaves || (watch && !watch.parts) || tree.size - from <= readers.leaves) {
    yield [{ from, to: tree.size }, undefined]
    return
  }
  yield* ahead(partsOf(from, tree.size, readers.leaves), readers.atOnce, async (range) => {
    // What was begun here is finished here: a part that begins in between, or was left in between.
    const next = watch ? (shown.get(shard) ?? 0) : range.to
    const isBegun = watch !== undefined && (range.from % readers.leaves !== 0 || (next > range.from && next < range.to))
    if (range.from < minimum || isBegun) return undefined
    const gather = next <= range.from && ((await watch?.parts?.wants(shard, range)) ?? false)
    return readers.read(shard, tree, range, gather)
  })
}

const verifiedLeaf = (leaf: PlacedLeaf, shard: number, event: AuditEvent | undefined): VerifiedLeaf => ({
  ...{ shard, index: leaf.index, hash: fromHex(leaf.hash)!, bytes: bytesOf(leaf), event },
})

interface Opened {
  readonly source: TreeSource
  /** Who may have signed it. */
  readonly keys: readonly NoteKey[]
  readonly checkpoint: OpenedCheckpoint
  /** The checkpoint that the log's own folder keeps as the witnessed one. */
  readonly witnessed: string | undefined
  /** How many time stamps it keeps. */
  readonly stamps: number
  /** What is left of it, where another log follows. */
  readonly ended: Ended | undefined
}

async function openAll(parts: VerifyParts, findings: Findings): Promise<readonly Opened[]> {
  if (parts.sources.length === 0) {
    findings.add({ level: 'broken', code: 'checkpoint_missing', shard: 0, what: 'there is no log' })
  }
  const opened: Omit<Opened, 'ended'>[] = []
  const all = [parts.key, ...(parts.formerKeys ?? [])]
  const shards = new Set(parts.sources.map(({ shard }) => shard))
  for (const source of parts.sources) {
    const keys = shards.has(source.shard + logStride) ? all : [parts.key]
    const witnessed = await source.read(witnessedFile) // Read first: a log that is written meanwhile is ahead of it.
    const stamps = parts.timestampFault ? await countStamps(source.read) : 0
    const checkpoint = await openCheckpoint(source, keys, parts.verifyNote, findings)
    if (checkpoint)
      opened.push({ source, keys, checkpoint, witnessed: witnessed && new TextDecoder().decode(witnessed), stamps })
  }
  const chain = await readChain(opened, all, parts.verifyNote, findings)
  return opened.map((one) => ({ ...one, ended: chain.get(one.source.shard) }))
}

/** Over all shards: a producer's roots may have been announced in a shard that is read after its own. */
async function readTrust({ opened, minimums }: Log, trust: RootsReader, bundles: number): Promise<void> {
  const decoder = new TextDecoder()
  for (const { source, checkpoint: newest, ended } of opened) {
    const size = Math.min((ended?.kept ?? newest).size, bundles * tileWidth)
    const minimum = minimums.get(source.shard) ?? 0
    let missing = 0
    for (let first = 0; first < size && missing <= maxMissing; first += tileWidth) {
      // Nothing is verified here: what cannot be read is named by the pass that verifies.
      const pruned = first + tileWidth <= minimum
      const bundle = pruned
        ? await carriedEntries(source, first / tileWidth)
        : await someEntries(source, first / tileWidth, (ended?.kept ?? newest).size)
      if (bundle.length === 0 && !pruned) missing++
      bundle.forEach((bytes, i) => {
        if (!decoder.decode(bytes).includes('/writ/c')) return // Only the control plane announces trust.
        const read = parseEvent(bytes)
        if ('event' in read) trust.take(read.event, source.shard, first + i)
      })
    }
  }
}

async function someEntries(source: TreeSource, index: number, size: number): Promise<readonly Uint8Array[]> {
  const path = tilePath('entries', index, widthOf(0, index, size))
  const bytes = (await source.read(path)) ?? (await source.read(tilePath('entries', index)))
  return (bytes && decodeBundle(bytes)) ?? []
}

async function carriedEntries(source: TreeSource, index: number): Promise<readonly Uint8Array[]> {
  const file = await source.read(carriedPath(index))
  return ((file && decodeCarried(file)) ?? []).map(({ bytes }) => bytes)
}

/** Each kept checkpoint must be signed by a key of the log and be a beginning of this log. */
async function compareKept(
  parts: VerifyParts,
  { source, keys, checkpoint: newest, witnessed, stamps, ended }: Opened,
  findings: Findings,
): Promise<Pick<ShardSummary, 'kept' | 'witnessed' | 'stamped'>> {
  const { shard } = source
  const reader = parts.policy && new WitnessedReader(parts.policy, shard, parts.verifyNote, findings)
  const checkpoint = ended?.kept ?? newest
  if (!ended) await reader?.take(newest)
  const hashAt = hashesFromTiles(parts.sha256, source.read, checkpoint.size)
  const extended = async (note: string): Promise<boolean> => {
    const old = await keptCheckpoint(parts, shard, keys, checkpoint, hashAt, note, ended)
    if ('wrong' in old) findings.add({ level: 'broken', code: 'checkpoint_forked', shard, what: old.wrong })
    else await reader?.take(old)
    return !('wrong' in old)
  }
  if (ended) await extended(newest.note)
  if (witnessed !== undefined) await extended(witnessed)
  let stamped = 0
  for (let number = 1; number <= stamps; number++) {
    const { note, fault } = await readStamp(source.read, number, parts.timestampFault!)
    const sound = fault === undefined && (await extended(note))
    if (sound) stamped++
    else if (fault !== undefined) findings.add({ level: 'broken', code: 'timestamp_invalid', shard, what: fault })
  }
  let kept = 0
  for await (const note of parts.kept?.(shard) ?? []) if (await extended(note)) kept++
  const summary = reader?.finish(checkpoint.size)
  return { kept, ...(summary && { witnessed: summary }), ...(stamps > 0 && { stamped }) }
}

async function keptCheckpoint(
  parts: VerifyParts,
  shard: number,
  keys: readonly NoteKey[],
  checkpoint: OpenedCheckpoint,
  hashAt: HashAt,
  note: string,
  ended: Ended | undefined,
): Promise<OpenedCheckpoint | { readonly wrong: string }> {
  const old = await readCheckpoint(note, shard, keys, parts.verifyNote)
  if ('wrong' in old) return { wrong: `a kept checkpoint: ${old.wrong}` }
  const admitted = ended !== undefined && old.size > checkpoint.size
  const fault = admitted ? endedFault(ended, old) : await forkOf(parts, checkpoint, hashAt, old)
  return fault === undefined ? old : { wrong: fault }
}

async function forkOf(
  parts: VerifyParts,
  checkpoint: OpenedCheckpoint,
  hashAt: HashAt,
  old: OpenedCheckpoint,
): Promise<string | undefined> {
  if (old.size > checkpoint.size) {
    return `a checkpoint over ${old.size} leaves was signed, and this log has ${checkpoint.size}: it was rolled back`
  }
  const root = await rootOf(hashAt, old.size, parts.sha256)
  if ('wrong' in root) return `the kept checkpoint over ${old.size} leaves cannot be compared: ${root.wrong}`
  if (equalBytes(root, old.root)) return undefined
  return `the kept checkpoint over ${old.size} leaves signs ${toHex(old.root)}; the log has ${toHex(root)} there`
}

/** A verification together with what a comparison of the tables found. */
export function withFindings(verification: Verification, more: Findings): Verification {
  const broken = verification.broken + more.broken
  return {
    ...verification,
    ok: broken === 0,
    broken,
    findings: inOrder([...verification.findings, ...more.list]),
    omitted: verification.omitted + more.omitted,
  }
}

const levels = { broken: 0, warning: 1, note: 2 } as const

/** The gravest first, then by their place in the log. */
function inOrder(findings: readonly Finding[]): readonly Finding[] {
  return [...findings].sort(
    (a, b) => levels[a.level] - levels[b.level] || a.shard - b.shard || (a.index ?? -1) - (b.index ?? -1),
  )
}

function digestsOf(periods: readonly TrustPeriod[], sha256: Sha256): Verification['trust']['roots'] {
  const domains = new Map<string, Set<string>>()
  for (const { trustDomain, roots } of periods) {
    const digests = domains.get(trustDomain) ?? new Set()
    for (const root of roots) digests.add(toHex(sha256(root)))
    domains.set(trustDomain, digests)
  }
  return [...domains].map(([trustDomain, digests]) => ({ trustDomain, sha256: [...digests] }))
}
