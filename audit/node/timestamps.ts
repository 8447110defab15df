/**
 * Has an authority stamp the newest checkpoint of each shard every hour (RFC 3161), and keeps what was stamped with the
 * answer, in the log's folder: `timestamps/000001.note` and `.tsr`. Nothing waits for it.
 */

import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { utf8 } from '../../core/bytes.ts'
import { messageOf } from '../../core/fault.ts'
import type { RandomBytes, Sha256 } from '../../core/ports.ts'
import { checkpointFile, newestCheckpoint, witnessedFile } from '../log/prove.ts'
import type { TileReader } from '../log/tiles.ts'
import { isMissing, makeFolder, syncFolder, writeWhole } from './durable.ts'
import { maxTokenBytes, timestampFault, timestampRequest } from './timestamp.ts'

export interface TimestampsSettings {
  /** https, or http on loopback. */
  readonly url: string
  /** Time between two stamps of a shard, in milliseconds. */
  readonly everyMs: number
  /** A numbered folder per shard below it. */
  readonly logDir: string
  readonly sha256: Sha256
  readonly random: RandomBytes
  readonly nowMs: () => number
  readonly onEvent: (event: TimestampEvent) => void
  /** Longest wait for the authority, in milliseconds. Default 10 000. */
  readonly timeoutMs?: number
}

export type TimestampEvent =
  | { readonly kind: 'stamped'; readonly shard: number; readonly file: string }
  | { readonly kind: 'stamp_failed'; readonly shard: number; readonly why: string }

export interface Timestamps {
  /** A shard that may be due. */
  offer(shard: number, read: TileReader): void
  settled(): Promise<void>
  close(): Promise<void>
}

/** After a failure the authority is left alone for this long, in milliseconds, or for the usual time if that is shorter. */
const pauseMs = 60_000

/** Pairs in a folder, about 114 years of hours. */
const maxStamps = 999_999

export const stampsFolder = 'timestamps'
export const stampName = (number: number): string => String(number).padStart(6, '0')

export function openTimestamps(settings: TimestampsSettings): Timestamps {
  const { sha256, nowMs } = settings
  const due = new Map<number, { next: number; atMs: number }>()
  const running = new Map<number, Promise<void>>()
  const closing = new AbortController()

  async function stamp(shard: number, read: TileReader): Promise<void> {
    const dir = join(settings.logDir, String(shard), stampsFolder)
    const state = due.get(shard) ?? (await standing(dir, settings.everyMs))
    due.set(shard, state)
    if (nowMs() < state.atMs || state.next > maxStamps) return
    const found = (await newestCheckpoint(read, witnessedFile)) ?? (await newestCheckpoint(read, checkpointFile))
    if (!found) return
    state.atMs = nowMs() + Math.min(pauseMs, settings.everyMs)
    const imprint = sha256(utf8(found.note))
    const nonce = settings.random(8)
    const token = await post(timestampRequest(imprint, nonce))
    const fault = timestampFault(token, imprint, nonce)
    if (fault !== undefined) throw new Error(fault)
    await makeFolder(dir)
    const file = join(dir, stampName(state.next))
    await writeWhole(`${file}.tsr`, token)
    await writeWhole(`${file}.note`, found.note) // Last: who reads goes by the notes.
    await syncFolder(dir)
    state.next++
    state.atMs = nowMs() + settings.everyMs
    settings.onEvent({ kind: 'stamped', shard, file })
  }

  async function post(body: Uint8Array): Promise<Uint8Array> {
    const response = await fetch(settings.url, {
      method: 'POST',
      body: new Uint8Array(body),
      headers: { 'content-type': 'application/timestamp-query' },
      redirect: 'error',
      signal: AbortSignal.any([closing.signal, AbortSignal.timeout(settings.timeoutMs ?? 10_000)]),
    })
    if (response.status !== 200) throw new Error(`the authority answered ${response.status}`)
    const chunks: Uint8Array[] = []
    let length = 0
    for await (const chunk of response.body ?? []) {
      length += chunk.length
      if (length > maxTokenBytes) throw new Error(`the authority answers more than ${maxTokenBytes} bytes`)
      chunks.push(chunk)
    }
    return Uint8Array.from(Buffer.concat(chunks))
  }

  return {
    offer: (shard, read) => {
      if (closing.signal.aborted || running.has(shard)) return
      const state = due.get(shard)
      if (state && nowMs() < state.atMs) return
      const one = stamp(shard, read)
        .catch((thrown: unknown) => {
          if (!closing.signal.aborted) settings.onEvent({ kind: 'stamp_failed', shard, why: messageOf(thrown) })
        })
        .finally(() => running.delete(shard))
      running.set(shard, one)
    },
    settled: async () => {
      await Promise.all(running.values())
    },
    close: async () => {
      closing.abort()
      await Promise.all(running.values())
    },
  }
}

/** Where the process before left off. */
async function standing(dir: string, everyMs: number): Promise<{ next: number; atMs: number }> {
  const last = await lastStamp(dir)
  if (last === 0) return { next: 1, atMs: 0 }
  const { mtimeMs } = await stat(join(dir, `${stampName(last)}.note`))
  return { next: last + 1, atMs: mtimeMs + everyMs }
}

/** Number of the last stamp, 0 where there is none. */
async function lastStamp(dir: string): Promise<number> {
  const names = await readdir(dir).catch((thrown: unknown) => {
    if (isMissing(thrown)) return []
    throw thrown
  })
  return names.reduce((last, name) => Math.max(last, Number(/^(\d{6})\.note$/.exec(name)?.[1] ?? 0)), 0)
}

/** All stamps of these shards with what they are of, by their path below `timestamps` of an evidence folder. */
export async function stampsOf(logDir: string, shards: readonly number[]): Promise<ReadonlyMap<string, Uint8Array>> {
  const files = new Map<string, Uint8Array>()
  for (const shard of shards) {
    const dir = join(logDir, String(shard), stampsFolder)
    const last = await lastStamp(dir)
    // The newest are of the most: a checkpoint covers all before it.
    for (let number = Math.max(1, last - 99); number <= last; number++) {
      for (const end of ['note', 'tsr']) {
        const bytes = await readFile(join(dir, `${stampName(number)}.${end}`)).catch(() => undefined)
        if (bytes) files.set(`${shard}/${stampName(number)}.${end}`, bytes)
      }
    }
  }
  return files
}
