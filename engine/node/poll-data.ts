/**
 * Data from a file or a server, looked at again and again: checked before it is in force, kept for the next start. What
 * cannot be used, or cannot be had, leaves in force what is, and that grows older.
 */

import { createHash } from 'node:crypto'
import { open } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { messageOf, WritError } from '../../core/fault.ts'
import type { Json } from '../../core/json.ts'
import type { PolicyDataVersion } from '../../core/policy.ts'
import type { NowNs } from '../../core/ports.ts'
import { isYaml, readDocument } from '../data.ts'
import { requestBundle } from './bundle-request.ts'
import { type DataState, openDataStore, within } from './data-store.ts'

export interface DataSourceOptions {
  readonly name: string
  /** A file's path is whole. */
  readonly from: { readonly file: string } | { readonly url: string }
  readonly tokenFile?: string
  /** Time between two looks, in milliseconds. */
  readonly refreshMs: number
  /** Longest document, in bytes. */
  readonly maxBytes: number
  /** Folder for the versions that are kept. */
  readonly dir: string
  /** Versions kept by their digest, for records name them. Default 100, and no more than 256 MiB. */
  readonly keep?: number
  readonly now: NowNs
  /** At least 0, less than 1. */
  readonly random: () => number
  /** Resolves after that time or when aborted. Default a timer. */
  readonly pause?: (ms: number, signal: AbortSignal) => Promise<void>
  readonly onEvent: (event: DataEvent) => void
}

export type DataEvent =
  /** A version is in force from now on: kept from before, or new. */
  | { readonly kind: 'in_force'; readonly how: 'restored' | 'given'; readonly version: PolicyDataVersion }
  /** What came cannot be used, or nothing came. Told once for each reason, until it is mended. */
  | { readonly kind: 'problem'; readonly refused: boolean; readonly why: string }

export interface DataVersion {
  readonly version: PolicyDataVersion
  readonly bytes: Uint8Array
  readonly value: Json
}

export interface DataStatus {
  readonly name: string
  /** File or URL. */
  readonly from: string
  readonly revision?: string
  readonly sha256?: string
  /** When it was last seen to be the newest. */
  readonly checked_at?: string
  /** Time since then, in seconds. */
  readonly age_s?: number
  /** Why the last look brought nothing. */
  readonly problem?: string
  readonly kept: number
}

export interface DataSource {
  /** What is in force, or undefined while there is none. */
  current(): DataVersion | undefined
  /** Time since the version in force was last seen to be the newest, in milliseconds. */
  ageMs(): number | undefined
  status(): DataStatus
  close(): Promise<void>
}

const mostBytes = 256 * 1024 ** 2
/** A server that is away is asked this soon again, then less and less often. In milliseconds. */
const firstRetryMs = 1000

/** Resolves with what was kept in force, before anything is looked at. */
export async function openDataSource(options: DataSourceOptions): Promise<DataSource> {
  const { name, from, refreshMs, maxBytes, onEvent, keep = 100, pause = timer } = options
  const place = 'url' in from ? from.url : from.file
  const store = openDataStore(options.dir)
  const nowMs = (): number => Number(options.now() / 1_000_000n)
  const closing = new AbortController()
  let state: DataState = { v: 1, place, etag: undefined, checkedMs: 0, kept: [] }
  let current: DataVersion | undefined
  let problem: string | undefined

  const read = (bytes: Uint8Array, sha256: string): DataVersion => {
    const value = readDocument(bytes, isYaml(place))
    return { version: { name, revision: sha256.slice(0, 16), sha256 }, bytes, value }
  }
  const putInForce = (version: DataVersion, how: 'restored' | 'given'): void => {
    current = version
    onEvent({ kind: 'in_force', how, version: version.version })
  }

  async function restore(): Promise<void> {
    const kept = await store.state()
    if (!kept) return
    const [first] = kept.kept
    const bytes = first && (await store.version(first.sha256))
    if (!first || !bytes) return
    try {
      putInForce(read(bytes, first.sha256), 'restored')
      // What came from elsewhere stays until the new place gives something.
      state = { ...kept, place, etag: kept.place === place ? kept.etag : undefined }
    } catch (thrown) {
      onEvent({ kind: 'problem', refused: true, why: messageOf(thrown) })
    }
  }

  const get = async (): Promise<{ readonly bytes: Uint8Array; readonly etag: string | undefined } | undefined> => {
    if (!('url' in from)) return { bytes: await readBounded(from.file, maxBytes), etag: undefined }
    const { tokenFile } = options
    const asked = { url: from.url, maxBytes, ...(tokenFile === undefined ? {} : { tokenFile }) }
    const answer = await requestBundle(asked, { etag: state.etag, waitS: 0 }, closing.signal)
    return answer.kind === 'unchanged' ? undefined : answer
  }

  /** A look that ends well means that what is in force is the newest. */
  async function look(): Promise<void> {
    const beganMs = nowMs()
    const found = await get()
    if (!found) return settle({ ...state, checkedMs: beganMs })
    const sha256 = createHash('sha256').update(found.bytes).digest('hex')
    if (sha256 === current?.version.sha256) return settle({ ...state, etag: found.etag, checkedMs: beganMs })
    const version = read(found.bytes, sha256)
    await store.keepVersion(sha256, found.bytes)
    const others = state.kept.filter((one) => one.sha256 !== sha256)
    const kept = [{ sha256, bytes: found.bytes.length, atMs: beganMs }, ...others]
    await settle({ v: 1, place, etag: found.etag, checkedMs: beganMs, kept: within(kept, keep, mostBytes) })
    putInForce(version, 'given')
  }

  /** On the disk first, so that what is in force is what the next start begins with. */
  async function settle(next: DataState): Promise<void> {
    await store.keepState(next)
    state = next
  }

  async function poll(): Promise<void> {
    let failures = 0
    while (!closing.signal.aborted) {
      let delayMs = refreshMs
      try {
        await look()
        failures = 0
        problem = undefined
      } catch (thrown) {
        if (closing.signal.aborted) return
        const why = messageOf(thrown)
        const refused = thrown instanceof WritError && thrown.code === 'policy_invalid'
        if (why !== problem) onEvent({ kind: 'problem', refused, why })
        problem = why
        const backOff = firstRetryMs * 2 ** Math.min(failures++, 30)
        delayMs = Math.min(refreshMs, backOff / 2 + (backOff / 2) * options.random())
      }
      await pause(delayMs, closing.signal)
    }
  }

  await restore()
  const polled = poll()
  const ageMs = (): number | undefined => (current ? Math.max(0, nowMs() - state.checkedMs) : undefined)

  return {
    current: () => current,
    ageMs,
    status: () => ({
      name,
      from: place,
      ...(current ? { revision: current.version.revision, sha256: current.version.sha256 } : {}),
      ...(current ? { checked_at: new Date(state.checkedMs).toISOString() } : {}),
      ...(current ? { age_s: Math.floor((ageMs() ?? 0) / 1000) } : {}),
      ...(problem === undefined ? {} : { problem }),
      kept: state.kept.length,
    }),
    async close() {
      closing.abort()
      await polled
    },
  }
}

async function readBounded(path: string, maxBytes: number): Promise<Uint8Array> {
  const file = await open(path).catch((cause: unknown) => {
    throw new WritError('unavailable', `it cannot be read: ${messageOf(cause)}`, { cause })
  })
  try {
    const { size } = await file.stat()
    if (size > maxBytes) throw tooLong(maxBytes)
    const bytes = new Uint8Array(await file.readFile())
    if (bytes.length > maxBytes) throw tooLong(maxBytes) // It grew while it was read.
    return bytes
  } finally {
    await file.close()
  }
}

const tooLong = (maxBytes: number): WritError =>
  new WritError('policy_invalid', `it is longer than ${maxBytes} bytes`, {
    cure: 'Raise maxBytes, or make it shorter.',
  })

const timer = (ms: number, signal: AbortSignal): Promise<void> =>
  sleep(ms, undefined, { signal }).catch(() => undefined)
