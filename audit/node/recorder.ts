/** Keeps the records of one worker: from an event body to the spool and on to the stream. The audit's door for a proxy. */

import { WritError } from '../../core/fault.ts'
import type { FindReceipt, KeyVault, NowNs, RandomBytes, RecordSink, Sha256, Stream } from '../../core/ports.ts'
import { type Epoch, newEpoch } from '../../core/record.ts'
import type { AuditSettings } from '../../core/snapshot.ts'
import type { SpiffeId, TrustDomain } from '../../core/spiffe.ts'
import type { OnNotice } from '../stream/notice.ts'
import { newProducer } from '../stream/producer.ts'
import { type Pump, startPump } from './pump.ts'
import { openPosition } from './pump-position.ts'
import { type Live, newLive, type ProducerPorts } from './recorder-live.ts'
import { type Writer, writeTicks } from './recorder-write.ts'
import { openSealer } from './seal.ts'
import { openSizing } from './sizing.ts'
import { Spool } from './spool.ts'
import { diskFiles, type SpoolFiles } from './spool-files.ts'
import { startRelease, type VerifyReceipt } from './spool-release.ts'

export interface RecorderOptions {
  /** The spool's folder; one per worker. */
  readonly dir: string
  readonly settings: AuditSettings
  readonly trustDomain: TrustDomain
  readonly cluster: string
  /** Name and version of the program: `writ 0.1.0`. */
  readonly software: string
  readonly stream: Stream
  /** Without both nothing is released, and the spool fills up. */
  readonly findReceipt?: FindReceipt
  readonly verifyReceipt?: VerifyReceipt
  readonly now: NowNs
  readonly random: RandomBytes
  readonly sha256: Sha256
  readonly onEvent: OnNotice
  /** Where the keys of disclosures are kept. Without one personal fields are digests that nobody can open. */
  readonly vault?: KeyVault
  /** Longest wait for the stream in `replicated`, in milliseconds; then the record is refused. Default 10 000. */
  readonly acknowledgeWithinMs?: number
  /** Age at which a segment that holds anything is closed, in milliseconds, so that it can go. Default 60 000. */
  readonly rollAfterMs?: number
  /** Time between two looks for receipts, in milliseconds. Default 1000. */
  readonly releaseEveryMs?: number
  /** Time after which records that the stream accepted and no log holds are sent again, in ms. Default 600 000. */
  readonly resendAfterMs?: number
  /** How long records of a busy spool are gathered for the stream, in milliseconds. Default 200: a checkpoint comes each second. */
  readonly gatherMs?: number
  /** Bytes of records that wait in memory for the stream; of more, the disk is read. Default 16 MiB. */
  readonly tailBytes?: number
  /** The disk. Default the machine's. */
  readonly files?: SpoolFiles
}

export interface RecorderStatus {
  /** Bytes of records that no checkpoint is known to cover. */
  readonly bytes: number
  /** At which records are refused. */
  readonly maxBytes: number
  /** Age of the oldest of them, in milliseconds. */
  readonly oldestMs: number
  /** Bytes written and not yet synced. */
  readonly unsynced: number
  /** Records the stream acknowledged since the start. */
  readonly published: number
  /** Records kept since the start that the stream has not acknowledged. */
  readonly pending: number
  /** Records that could not be kept. */
  readonly refused: number
  /** Outcomes and counted refusals that could not be kept. */
  readonly lost: number
  /** Attempts that the stream did not take. */
  readonly failures: number
  readonly perEpoch: readonly {
    readonly producer: SpiffeId
    readonly epoch: Epoch
    /** Number of the next record. */
    readonly next: number
    /** Records the stream has of it. */
    readonly acknowledged: number
  }[]
}

export interface Recorder {
  /** Begins an epoch: resolves once its `start` is on the disk. One per workload at a time. */
  producer(of: ProducerPorts): Promise<RecordSink & { close(): Promise<void> }>
  status(): RecorderStatus
  /** Resolves once the stream has everything that was kept so far. */
  flushed(): Promise<void>
  /** Writes final heads, syncs, gives the stream so much time to take the rest, and leaves the folder. */
  close(options: { readonly timeoutMs: number }): Promise<void>
}

/** Rejects with `audit_unavailable` where the folder cannot be used, `in_use` where another process has it. */
export async function openRecorder(options: RecorderOptions): Promise<Recorder> {
  const { settings, now, random, sha256, onEvent } = options
  const nowMs = () => Number(now() / 1_000_000n)
  const spool = new Spool({
    dir: options.dir,
    maxBytes: settings.spoolMaxBytes,
    segmentBytes: settings.segmentBytes,
    syncEveryMs: settings.syncEveryMs,
    ...(options.tailBytes !== undefined && { tailBytes: options.tailBytes }),
    now,
    random,
    sha256,
    files: options.files ?? diskFiles,
    onNotice: onEvent,
  })
  const sizing = openSizing({ dir: options.dir, settings, onNotice: onEvent, held: spool.bytes })
  const sealer = options.vault && openSealer(options.vault, nowMs, onEvent)
  const lives = new Map<Epoch, Live>()
  const writer = writeTicks({
    spool,
    settings,
    nowMs,
    acknowledgeWithinMs: options.acknowledgeWithinMs ?? 10_000,
    onNotice: onEvent,
  })
  const position = openPosition(options.dir, nowMs)
  const pump = startPump({
    spool,
    stream: options.stream,
    position,
    random,
    onNotice: onEvent,
    gatherMs: settings.durability === 'replicated' ? 0 : (options.gatherMs ?? 200), // Callers wait for what is replicated.
    onAcknowledged(epoch, seq) {
      const live = lives.get(epoch)
      if (!live) return
      writer.acknowledged(live, seq)
      if (live.ended && seq + 1 >= live.producer.next) lives.delete(epoch)
    },
  })
  spool.onReadable = pump.wake
  const { findReceipt, verifyReceipt } = options
  const release =
    findReceipt && verifyReceipt
      ? startRelease({
          ...{ spool, pump, position, findReceipt, verifyReceipt, nowMs, random, onNotice: onEvent },
          running: () => lives.keys(),
          rollAfterMs: options.rollAfterMs ?? 60_000,
          everyMs: options.releaseEveryMs ?? 1000,
          resendAfterMs: options.resendAfterMs ?? 600_000,
        })
      : undefined
  const ticks = setInterval(
    () => {
      for (const live of lives.values()) live.tick()
      writer.expire()
      sizing.measure(spool.written, nowMs())
      sizing.filled(spool.bytes, nowMs())
    },
    Math.min(Math.max(settings.headEveryMs / 4, 5), 100),
  )
  let closing: Promise<void> | undefined

  const close = async (timeoutMs: number): Promise<void> => {
    await Promise.all([...lives.values()].map((live) => live.sink.close()))
    clearInterval(ticks)
    writer.flush()
    await spool.syncedAll().catch(() => {}) // Refused to those who waited; what is written is still sent.
    await within(pump.drained(), timeoutMs)
    await sealer?.close()
    await release?.stop()
    await pump.stop()
    writer.stop()
    await sizing.save().catch(() => undefined) // A measure for the next run, no more.
    await spool.close()
  }

  return {
    async producer(of) {
      if (closing) throw new WritError('audit_unavailable', 'the recorder is closed')
      if ([...lives.values()].some((live) => live.producer.id === of.id && !live.ended)) {
        throw new WritError('in_use', `${of.id} already keeps records here`)
      }
      const { trustDomain: td, cluster } = options
      const epoch = newEpoch(random)
      const producer = newProducer({ td, cluster, id: of.id, epoch }, now())
      const channel = spool.channel(of.id, epoch)
      const live = newLive({
        producer,
        channel,
        ports: of,
        spool,
        writer,
        settings,
        now,
        sha256,
        onNotice: onEvent,
        seal: sealer?.seal,
      })
      lives.set(epoch, live)
      try {
        await live.start(options.software, spool.previous(of.id))
      } catch (thrown) {
        live.abandon()
        lives.delete(epoch)
        throw thrown
      }
      return live.sink
    },
    status: () => statusOf(spool, pump, writer, lives, nowMs()),
    async flushed() {
      writer.flush()
      await spool.syncedAll()
      await pump.drained()
    },
    close({ timeoutMs }) {
      closing ??= close(timeoutMs)
      return closing
    },
  }
}

function statusOf(
  spool: Spool,
  pump: Pump,
  writer: Writer,
  lives: ReadonlyMap<Epoch, Live>,
  nowMs: number,
): RecorderStatus {
  const perEpoch = [...lives.values()].map(({ producer, acknowledged }) => {
    return { producer: producer.id, epoch: producer.epoch, next: producer.next, acknowledged }
  })
  const oldest = spool.segments.find((segment) => segment.last.size > 0)
  return {
    bytes: spool.bytes,
    maxBytes: spool.bytes + spool.room,
    oldestMs: oldest ? Math.max(nowMs - oldest.createdMs, 0) : 0,
    unsynced: spool.unsynced,
    published: pump.published,
    pending: perEpoch.reduce((sum, { next, acknowledged }) => sum + next - acknowledged, 0),
    refused: writer.refused,
    lost: writer.lost,
    failures: pump.failures,
    perEpoch,
  }
}

async function within(promise: Promise<void>, ms: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, ms)
  })
  await Promise.race([promise, late])
  clearTimeout(timer)
}
