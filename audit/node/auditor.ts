/** The auditor: takes in what partitions hold, keeps the ledger, and has each shard's log signed as it grows. */

import { join } from 'node:path'
import { toHex } from '../../core/bytes.ts'
import { WritError } from '../../core/fault.ts'
import { originOf, partitionOf } from '../../core/log.ts'
import type {
  CheckpointSigner,
  FindReceipt,
  Ingest,
  NowNs,
  RandomBytes,
  Sha256,
  StreamMessage,
  VerifyHead,
} from '../../core/ports.ts'
import { type AnomalyBody, decisionId, type EventBody } from '../../core/record.ts'
import { spiffeId, type TrustDomain } from '../../core/spiffe.ts'
import { formatTime } from '../../core/time.ts'
import {
  type AdmitTools,
  type Admitted,
  admit,
  admitOwn,
  type Cursor,
  ownEpochRow,
  type Tally,
} from '../store/admit.ts'
import { type ArrivedRecord, readMessage } from '../store/arrival.ts'
import { broughtAgain, putBackDisclosures } from '../store/disclosures-again.ts'
import { inArray } from '../store/drizzle.ts'
import {
  fenced,
  insertEntries,
  type Memory,
  moveOffset,
  newMemory,
  prepareEntries,
  upsertEpochs,
  writeGaps,
} from '../store/ledger.ts'
import { findLostSpools, keepLostSpools } from '../store/lost-spools.ts'
import type { OwnChain } from '../store/own.ts'
import { recallBehind, recallCursors, recallLog, recallOwn, recallShard, type ShardState } from '../store/recall.ts'
import { type Db, epochs } from '../store/schema.ts'
import { type LogFolder, openLogFolder } from './folder.ts'
import { type LostDoubts, openLostDoubts, type StreamEnds } from './lost-doubts.ts'
import { openOrders, orderWritten } from './orders.ts'
import { quickSha256 } from './quick.ts'
import { receiptFinder } from './receipts.ts'
import { openReplay, type Replay, resumed } from './replay.ts'
import { isTaken, type Store, storeFault } from './store.ts'
import { openTender } from './tend.ts'
import { catchUp, keepCosigned, requireMemory, signTree } from './tiles.ts'
import type { Timestamps } from './timestamps.ts'
import type { Witnesses } from './witnesses.ts'

export interface AuditorSettings {
  readonly store: Store
  /** One folder per shard below it, each a C2SP tlog-tiles log. */
  readonly logDir: string
  readonly signer: CheckpointSigner
  readonly trustDomain: TrustDomain
  readonly cluster: string
  /** Name and version of the program, for the log. */
  readonly software: string
  readonly verifyHead: VerifyHead
  /** Root certificates (DER) of a trust domain at a time in milliseconds since 1970, none for an unknown one. */
  readonly rootsOf: (trustDomain: TrustDomain, atMs: number) => readonly Uint8Array[]
  readonly now: NowNs
  readonly random: RandomBytes
  readonly sha256: Sha256
  readonly onEvent: (event: AuditorEvent) => void
  /** Time between checkpoints of a log that grows, in milliseconds. Default 1000. */
  readonly checkpointEveryMs?: number
  /** Time between the adding up of what came since, in milliseconds. Default 5000. */
  readonly tendEveryMs?: number
  /**
   * Time for which a run that never ended has said nothing while one goes on that began afterwards without its spool, and
   * time between two looks for that, in milliseconds. Default ten minutes, and 30 seconds.
   */
  readonly lostSpoolAfterMs?: number
  readonly lostSpoolEveryMs?: number
  /**
   * How far the stream goes, where it may have several partitions: what looks lost may be quoted in one that is not read
   * yet. Default none: runs of one partition alone are held against each other.
   */
  readonly streamEnds?: StreamEnds
  /**
   * After a restore: takes in again what was signed and is not in the store, and goes on only where the same tree comes
   * out. Until then nothing is signed. Default false: a store that is behind is refused.
   */
  readonly catchUp?: boolean
  /** Who is asked to cosign checkpoints once they are published. Default nobody. */
  readonly witnesses?: Witnesses
  /** Who is asked to stamp checkpoints with a time. Default nobody. */
  readonly timestamps?: Timestamps
  /** Told of entries in their order, once they are stored; what it does is in the shard's turn. Default nobody. */
  readonly onStored?: (shard: number, from: number, entries: readonly ArrivedRecord[]) => void
}

export type AuditorEvent =
  | { readonly kind: 'ingested'; readonly shard: number; readonly tally: Readonly<Tally> }
  | { readonly kind: 'anomaly'; readonly shard: number; readonly anomaly: AnomalyBody }
  | { readonly kind: 'checkpoint'; readonly shard: number; readonly size: number }
  /** Files or signature of a shard could not be had; tried again with the next checkpoint. */
  | { readonly kind: 'behind'; readonly shard: number; readonly error: WritError }

export interface AuditorStatus {
  readonly shards: readonly {
    readonly shard: number
    readonly size: number
    readonly checkpointed: number
    readonly nextOffset: string | undefined
  }[]
  /** Since this auditor was opened. */
  readonly tally: Readonly<Tally>
}

export interface Auditor {
  readonly ingest: Ingest
  /** Where the partition is to be read on; undefined for its beginning. Makes this auditor look at the store anew. */
  nextOffset(partition: number): Promise<string | undefined>
  readonly findReceipt: FindReceipt
  /**
   * Writes entries of the auditor's own into the present log of a shard's partition, and what `alongside` stores for their
   * ids, all or nothing. Rejects with `unavailable` where nothing was ever taken into it.
   */
  append(shard: number, bodies: readonly EventBody[], alongside?: Alongside): Promise<void>
  /** Whether a shard is of a partition that is this auditor's, as far as it knows. */
  owns(shard: number): boolean
  /** Signs every shard that grew; rejects with the first fault after all were tried. */
  checkpoint(): Promise<void>
  /** Checkpoints on a timer of its own from now on. */
  start(): void
  status(): AuditorStatus
  close(): Promise<void>
}

/** `ids` of the entries, and the index of the first of them. */
export type Alongside = (tx: Db, ids: readonly string[], first: number) => Promise<void>

/** What is kept in memory of a shard; thrown away and read again whenever it may no longer be true. */
interface Shard extends Memory {
  /** Its log: the partition's number, or that of the log that was opened in its place. */
  readonly number: number
  state: ShardState
  own: OwnChain | { readonly previous: Awaited<ReturnType<typeof recallOwn>> }
  /** Least recently used first. */
  readonly cursors: Map<string, Cursor>
  folder: LogFolder | undefined
  /** What was signed and is to come out again. */
  replay: Replay | undefined
  /** By the process's own clock. */
  lostSpoolsDue: number
  readonly doubts: LostDoubts | undefined
}

/** Epochs in memory per shard: about 4 KB each with their certificates. More are read from the store again. */
const maxCursors = 1024

export async function openAuditor(settings: AuditorSettings): Promise<Auditor> {
  const { store, sha256, now, random, onEvent } = settings
  const producer = spiffeId(settings.trustDomain, 'writ/auditor')
  if (!producer) throw new WritError('config_invalid', `${settings.trustDomain} is no trust domain`)
  const { trustDomain, cluster, software, signer } = settings
  const parts = { db: store.db, sha256 }
  const tools: AdmitTools = { ...settings, name: { producer, trustDomain, cluster, software } }
  const owner = toHex(random(8))
  const shards = new Map<number, Shard>()
  /** Partitions that are ours as far as we know. */
  const watched = new Set<number>()
  const turns = new Map<number, Promise<unknown>>()
  const tally: Tally = { records: 0, duplicates: 0, late: 0, gaps: 0, anomalies: 0 }
  const ownEpochs = new Set<string>()
  let timer: ReturnType<typeof setInterval> | undefined
  let closed = false

  /** One thing at a time per shard. */
  async function inTurn<T>(partition: number, work: () => Promise<T>): Promise<T> {
    if (closed) throw new WritError('unavailable', 'the auditor is closed')
    const done = (turns.get(partition) ?? Promise.resolve()).then(work)
    turns.set(
      partition,
      done.catch(() => undefined),
    )
    return done
  }

  async function shardOf(partition: number): Promise<Shard> {
    const known = shards.get(partition)
    if (known) return known
    watched.add(partition)
    const number = await recallLog(store.db, partition).catch(rethrowAsStoreFault)
    const origin = originOf(trustDomain, number)
    const last = await signer.last(origin) // Before the store is read, which only grows meanwhile.
    const state = await recallShard(store.db, number).catch(rethrowAsStoreFault)
    const behind = settings.catchUp === true && last !== undefined && last.size > state.size
    if (!behind) requireMemory(origin, last, state.size, state.checkpointed)
    const previous = await recallOwn(store.db, number, producer!).catch(rethrowAsStoreFault)
    const dir = join(settings.logDir, String(number))
    const replay = behind ? await openReplay(dir, number, state.size, last, parts) : undefined
    // What was signed has no new start in it: the former auditor's chain goes on until all of it is here again.
    const own = replay && previous ? resumed(previous) : { previous }
    const shard: Shard = {
      number,
      state,
      own,
      cursors: new Map(),
      folder: undefined,
      replay,
      lostSpoolsDue: 0,
      doubts: settings.streamEnds && openLostDoubts(store.db, settings.streamEnds),
      ...newMemory(),
    }
    shards.set(partition, shard)
    return shard
  }

  async function ingest(partition: number, messages: readonly StreamMessage[]): Promise<void> {
    const last = messages.at(-1)
    if (!last) return
    const shard = await shardOf(partition)
    const next = laterOffset(shard.state.nextOffset, String(BigInt(last.offset) + 1n))
    const admitted = await judge(shard, messages).catch(rethrowAsStoreFault)
    try {
      shard.replay?.take(admitted.entries)
      const prepared = await prepareEntries(store.db, shard.number, shard.state.size, admitted.entries, shard)
      await store.transaction(async (tx) => {
        await moveOffset(tx, shard.number, shard.state.nextOffset, next, owner)
        await insertEntries(tx, prepared)
        await upsertEpochs(tx, epochRows(admitted, shard.number))
        await writeGaps(tx, admitted.gaps)
        await putBackDisclosures(tx, broughtAgain(admitted.repeated))
      })
    } catch (thrown) {
      shards.delete(partition) // What we know may be wrong now.
      const found = await recallShard(store.db, shard.number).catch(() => undefined)
      // A commit whose answer was lost may have been kept all the same: only this auditor writes its own name.
      if (found && found.owner === owner && found.nextOffset === next && shard.state.nextOffset !== next) return
      // The offset was the same, the next index was not: another auditor took in what had been offered before.
      throw isTaken(thrown) && found && found.size !== shard.state.size ? fenced(partition) : thrown
    }
    await remember(shard, partition, next, admitted)
  }

  async function append(partition: number, bodies: readonly EventBody[], alongside?: Alongside): Promise<void> {
    const shard = await shardOf(partition)
    if (shard.state.nextOffset === undefined)
      throw new WritError('unavailable', `partition ${partition} was never read`)
    if (shard.replay)
      throw new WritError('unavailable', `partition ${partition} is being caught up with what was signed`)
    await writeOwn(shard, partition, bodies, alongside)
  }

  /** In the shard's turn. */
  async function writeOwn(
    shard: Shard,
    partition: number,
    bodies: readonly EventBody[],
    alongside?: Alongside,
  ): Promise<void> {
    const { number, own } = shard
    const { size, nextOffset } = shard.state
    const admitted = admitOwn(bodies, { shard: number, size, own }, tools)
    const ids = admitted.entries.slice(-bodies.length).map(({ event }) => decisionId(event))
    try {
      const prepared = await prepareEntries(store.db, number, size, admitted.entries, shard)
      await store.transaction(async (tx) => {
        if (nextOffset !== undefined) await moveOffset(tx, number, nextOffset, nextOffset, owner)
        await insertEntries(tx, prepared)
        await upsertEpochs(tx, epochRows(admitted, number))
        await alongside?.(tx, ids, size + admitted.entries.length - bodies.length)
      })
    } catch (thrown) {
      shards.delete(partition) // What we know may be wrong now, whether the commit was kept or not.
      throw thrown
    }
    await remember(shard, partition, nextOffset, admitted)
  }

  async function judge(shard: Shard, messages: readonly StreamMessage[]): Promise<Admitted> {
    const { number, state, own } = shard
    const arrivals = messages.map((message) => readMessage(message, state.nextOffset, sha256, quickSha256))
    const records = arrivals.flatMap((arrival) => arrival.records)
    const epochs = new Set<string>()
    for (const { event } of records) epochs.add(event.epoch)
    const cursors = await cursorsOf(shard, epochs)
    const behind = await recallBehind(store.db, records, cursors, sha256)
    for (const epoch of epochs) shard.told.begin(epoch, cursors.get(epoch)?.row.nextSeq ?? 0)
    return admit(arrivals, { shard: number, size: state.size, own, cursors, ...behind }, tools)
  }

  async function cursorsOf(shard: Shard, wanted: ReadonlySet<string>): Promise<ReadonlyMap<string, Cursor>> {
    const unknown = [...wanted].filter((epoch) => !shard.cursors.has(epoch))
    const cursors = await recallCursors(store.db, unknown, sha256)
    for (const epoch of wanted) {
      const known = shard.cursors.get(epoch)
      if (known) cursors.set(epoch, known)
    }
    return cursors
  }

  const epochRows = (admitted: Admitted, number: number) => [
    ...[...admitted.cursors.values()].map(({ row }) => row),
    ownEpochRow(admitted.own, number, producer, formatTime(now())),
  ]

  async function remember(
    shard: Shard,
    partition: number,
    next: string | undefined,
    admitted: Admitted,
  ): Promise<void> {
    const { entries } = admitted
    const from = shard.state.size
    shard.state = { ...shard.state, size: from + entries.length, nextOffset: next, owner }
    shard.own = admitted.own
    if (!shard.replay) ownEpochs.add(admitted.own.epoch)
    else if (shard.replay.done) {
      shard.replay = undefined
      const { epoch, nextSeq, prev } = admitted.own
      shard.own = { previous: { epoch, seq: nextSeq - 1, hash: prev, ended: 'crash' } }
    }
    for (const [epoch, cursor] of admitted.cursors) {
      shard.cursors.delete(epoch)
      shard.cursors.set(epoch, cursor)
    }
    for (const epoch of shard.cursors.keys()) {
      if (shard.cursors.size <= maxCursors) break
      shard.cursors.delete(epoch)
    }
    for (const key of Object.keys(tally) as (keyof Tally)[]) tally[key] += admitted.tally[key]
    settings.onStored?.(shard.number, from, entries)
    onEvent({ kind: 'ingested', shard: partition, tally: admitted.tally })
    for (const anomaly of admitted.anomalies) onEvent({ kind: 'anomaly', shard: partition, anomaly })
    if (shard.folder?.size !== from) return // The next checkpoint brings the files up from the store.
    try {
      await shard.folder.append(entries)
    } catch (thrown) {
      fallBehind(shard, partition, thrown)
    }
  }

  function fallBehind(shard: Shard | undefined, partition: number, thrown: unknown): WritError {
    if (shard) shard.folder = undefined
    const error =
      thrown instanceof WritError
        ? thrown
        : new WritError('log_invalid', `the log folder: ${String(thrown)}`, { cause: thrown })
    onEvent({ kind: 'behind', shard: partition, error })
    return error
  }

  /** What somebody asked to be written: an entry of the auditor's own each, whole with the rows that say so. */
  async function takeOrders(partition: number, shard: Shard): Promise<void> {
    const orders = await openOrders(store.db, partition)
    if (orders.length === 0) return
    const bodies = orders.map(({ body }) => body)
    await writeOwn(shard, partition, bodies, async (tx, _, first) => {
      for (const [i, { id }] of orders.entries()) await orderWritten(tx, id, shard.number, first + i)
    })
  }

  /** Runs whose spool did not come back, and those that did after all. */
  async function takeLostSpools(partition: number, shard: Shard): Promise<void> {
    if (performance.now() < shard.lostSpoolsDue) return
    shard.lostSpoolsDue = performance.now() + (settings.lostSpoolEveryMs ?? 30_000)
    const silentMs = settings.lostSpoolAfterMs ?? 600_000
    const { doubts } = shard
    const found = await findLostSpools(store.db, shard.number, formatTime(now()), silentMs, doubts !== undefined)
    const bodies = doubts ? await doubts.certain(found, performance.now()) : found
    if (bodies.length === 0) return
    await writeOwn(shard, partition, bodies, (tx, _, first) => keepLostSpools(tx, shard.number, first, bodies))
  }

  async function checkpointShard(partition: number): Promise<void> {
    let shard: Shard | undefined
    try {
      shard = await shardOf(partition)
      if (shard.replay) return // Nothing shorter than what was signed is ever signed.
      await takeOrders(partition, shard)
      await takeLostSpools(partition, shard)
      const { state } = shard
      if (state.size === 0) return // A log begins with its first entry: a folder without a checkpoint proves nothing.
      shard.folder ??= await openLogFolder(join(settings.logDir, String(shard.number)), sha256)
      await catchUp(shard.folder, store.db, shard.number, state.size, sha256)
      const signed = await signTree(shard.folder, shard.number, state.checkpointed, { ...settings, db: store.db })
      const size = signed?.size ?? 0
      offer(partition, shard.number, shard.folder)
      if (size === state.checkpointed) return
      shard.state = { ...state, checkpointed: size }
      onEvent({ kind: 'checkpoint', shard: shard.number, size })
    } catch (thrown) {
      const taken = shard !== undefined && (await wasTaken(shard))
      if (taken) watched.delete(partition)
      if (taken || (thrown instanceof WritError && thrown.code === 'fork')) shards.delete(partition)
      if (!taken) throw fallBehind(shard, partition, thrown)
    }
  }

  /** Nothing waits for witnesses; what they bring is published in the shard's turn. */
  function offer(partition: number, number: number, folder: LogFolder): void {
    const signed = folder.published
    if (!signed) return
    settings.timestamps?.offer(number, folder.read)
    settings.witnesses?.offer({
      shard: number,
      signed,
      read: folder.read,
      cosigned: (note, met) =>
        inTurn(partition, async () => {
          const cosigned = { checkpoint: signed.checkpoint, note }
          await shards.get(partition)?.folder?.publishCosigned(cosigned, met) // The folder may have been opened anew.
          await keepCosigned(store.db, number, cosigned)
        }),
    })
  }

  /** Another auditor has gone on with the partition, and signs it too. */
  async function wasTaken({ number, state: before }: Shard): Promise<boolean> {
    const state = await recallShard(store.db, number).catch(() => undefined)
    return state !== undefined && state.owner !== owner && state.nextOffset !== before.nextOffset
  }

  async function checkpoint(): Promise<void> {
    const all = [...watched].map((partition) => inTurn(partition, () => checkpointShard(partition)))
    const failed = (await Promise.allSettled(all)).find((one) => one.status === 'rejected')
    if (failed) throw failed.reason
  }

  let ticking = false
  const tick = async (): Promise<void> => {
    if (ticking || closed) return
    ticking = true
    await checkpoint().catch(() => undefined) // Told by `behind`.
    ticking = false
  }

  const tender = openTender(store, () => [...watched], settings.tendEveryMs ?? 5000)

  return {
    ingest: (partition, messages) => inTurn(partition, () => ingest(partition, messages)),
    nextOffset: (partition) =>
      inTurn(partition, async () => {
        shards.delete(partition)
        return (await shardOf(partition)).state.nextOffset
      }),
    append: (log, bodies, alongside) => inTurn(partitionOf(log), () => append(partitionOf(log), bodies, alongside)),
    findReceipt: receiptFinder(settings),
    owns: (shard) => watched.has(partitionOf(shard)),
    checkpoint,
    start: () => {
      timer ??= setInterval(() => void tick(), settings.checkpointEveryMs ?? 1000)
      tender.start()
    },
    status: () => ({
      shards: [...shards.values()].map(({ number, state: { size, checkpointed, nextOffset } }) => ({
        shard: number,
        size,
        checkpointed,
        nextOffset,
      })),
      tally: { ...tally },
    }),
    close: async () => {
      if (closed) return
      clearInterval(timer)
      await checkpoint().catch(() => undefined)
      closed = true
      await Promise.all([tender.close(), ...turns.values()])
      if (ownEpochs.size === 0) return
      await store.db
        .update(epochs)
        .set({ final: true })
        .where(inArray(epochs.epoch, [...ownEpochs]))
        .catch(() => undefined) // The next auditor will read that this one ended in a crash.
    },
  }
}

const laterOffset = (known: string | undefined, next: string): string =>
  known !== undefined && BigInt(known) > BigInt(next) ? known : next

const rethrowAsStoreFault = (thrown: unknown): never => {
  throw storeFault(thrown)
}
