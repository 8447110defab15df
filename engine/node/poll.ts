/**
 * A policy from a bundle server: polled as OPA polls, checked before it is put in force, kept for the next start. What
 * cannot be used, or cannot be had, leaves in force what is.
 */

import { createHash } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { messageOf, WritError } from '../../core/fault.ts'
import type { PolicyBundle, PolicyRef } from '../../core/policy.ts'
import type { NowNs } from '../../core/ports.ts'
import { readBundle } from '../bundle.ts'
import { bundleUrl } from '../bundle-url.ts'
import { askingHost } from '../http-send.ts'
import { parseReference } from '../oci.ts'
import { afterGood, afterRollback, delayAfter, type Polling, pollingDefaults, type SourceState } from '../poll.ts'
import type { BundleVerification, SignedBy } from '../verification.ts'
import { type BundleAnswer, requestBundle } from './bundle-request.ts'
import { openBundleStore } from './bundle-store.ts'
import { requestOci } from './oci-request.ts'
import { loadBundle } from './open.ts'

export interface BundleSourceOptions {
  /** Name of the bundle. */
  readonly name: string
  /** What is asked: OPA's bundle service API, or an OCI registry. Default `http`. */
  readonly type?: 'http' | 'oci'
  /** Of the service: `https://bundles.example`. Plain HTTP only on this machine. */
  readonly url: string
  /**
   * Path below it, by default `bundles/<name>`, as in OPA. Of a registry: repository with tag or digest, by default
   * `<name>:latest`.
   */
  readonly resource?: string
  readonly tokenFile?: string
  /** Default: unsigned bundles are taken too. */
  readonly verification?: BundleVerification
  readonly polling?: Partial<Polling>
  /** Folder for the bundles that are kept. */
  readonly dir: string
  /** How many revisions are kept to go back to, the one in force among them. Default 5. */
  readonly keep?: number
  /** Longest bundle, in bytes. Default 32 MiB. */
  readonly maxPackedBytes?: number
  /** A policy that calls `http.send` is taken too. Default false. */
  readonly asksHttp?: boolean
  readonly now: NowNs
  /** At least 0, less than 1. */
  readonly random: () => number
  /** Resolves after that time or when aborted. Default a timer. */
  readonly pause?: (ms: number, signal: AbortSignal) => Promise<void>
  readonly onEvent: (event: SourceEvent) => void
}

export type SourceEvent =
  /** A bundle is in force from now on: kept from before, given by the server, or gone back to. */
  | {
      readonly kind: 'in_force'
      readonly how: 'restored' | 'given' | 'rolled_back'
      readonly ref: PolicyRef
      readonly signedBy?: SignedBy
    }
  /** A bundle cannot be used. */
  | { readonly kind: 'refused'; readonly sha256: string; readonly why: string }
  /** There is no answer to be had. Told once for each reason, until there is one. */
  | { readonly kind: 'unreachable'; readonly why: string }

interface Checked extends PolicyBundle {
  readonly signedBy?: SignedBy
}

export interface SourceStatus {
  readonly bundle: string
  readonly url: string
  readonly signed: boolean
  readonly revision?: string
  readonly sha256?: string
  /** Whether the server has given a newer one, which was rolled back from. */
  readonly rolled_back: boolean
  /** When the server last gave a good answer. */
  readonly answered_at?: string
  /** Why the last attempt brought nothing. */
  readonly problem?: string
  readonly kept: readonly { readonly revision: string; readonly sha256: string; readonly at: string }[]
}

export interface BundleSource {
  /** What is in force, or undefined while there is none. */
  current(): PolicyBundle | undefined
  status(): SourceStatus
  /** Puts a kept revision in force until the server gives a new one. Throws `not_found`, `policy_invalid`. */
  rollback(revision: string): Promise<PolicyRef>
  close(): Promise<void>
}

/** Resolves with what was kept in force, before anything is asked. Throws `config_invalid` for a URL that is not allowed. */
export async function openBundleSource(options: BundleSourceOptions): Promise<BundleSource> {
  const { name, onEvent, keep = 5, maxPackedBytes = 32 * 1024 ** 2, pause = timer } = options
  const polling = { ...pollingDefaults, ...options.polling }
  const { url, request } = placeOf(options, maxPackedBytes)
  const store = openBundleStore(options.dir)
  const nowMs = (): number => Number(options.now() / 1_000_000n)
  const closing = new AbortController()
  let state: SourceState = { v: 1, url, served: undefined, inForce: undefined, kept: [] }
  let current: PolicyBundle | undefined
  let longPoll = false
  let answeredMs: number | undefined
  let problem: string | undefined

  /** Opens it as a proxy would, so that nothing is published that no proxy can run. */
  const check = async (bytes: Uint8Array, sha256: string): Promise<Checked> => {
    const { verification } = options
    const limits = { maxPackedBytes, sha256, ...(verification ? { verification } : {}) }
    const how = { now: options.now, ...limits, ...(options.asksHttp && { host: askingHost }) }
    const { ref } = await loadBundle(bytes, name, how)
    const { signedBy } = verification?.keyless ? await readBundle(bytes, name, limits) : {}
    return { ref, bytes, ...(signedBy && { signedBy }) }
  }
  const putInForce = ({ signedBy, ...bundle }: Checked, how: 'restored' | 'given' | 'rolled_back'): void => {
    current = bundle
    onEvent({ kind: 'in_force', how, ref: bundle.ref, ...(signedBy && { signedBy }) })
  }

  /** One thing at a time: a rollback and an answer never cross. */
  let turn: Promise<unknown> = Promise.resolve()
  const inTurn = <T>(step: () => Promise<T>): Promise<T> => {
    const mine = turn.then(step)
    turn = mine.catch(() => undefined)
    return mine
  }

  async function restore(): Promise<void> {
    const kept = await store.state()
    if (!kept) return
    // What is damaged or no longer trusted is fetched anew, whole.
    state = { ...kept, url, served: kept.url === url ? kept.served : undefined }
    if (kept.inForce === undefined) return
    try {
      putInForce(await checkKept(kept.inForce), 'restored')
    } catch (thrown) {
      state = { ...state, served: undefined, inForce: undefined }
      onEvent({ kind: 'refused', sha256: kept.inForce, why: messageOf(thrown) })
    }
  }

  async function checkKept(sha256: string): Promise<Checked> {
    const bytes = await store.version(sha256)
    if (!bytes) throw new WritError('policy_invalid', `the bundle ${sha256} in ${options.dir} is gone or damaged`)
    return check(bytes, sha256)
  }

  /** Whether it was news. */
  async function take(bytes: Uint8Array, etag: string | undefined): Promise<boolean> {
    const sha256 = createHash('sha256').update(bytes).digest('hex')
    if (state.served?.sha256 === sha256) {
      if (state.served.etag !== etag) await settle({ ...state, served: { sha256, etag } })
      return false
    }
    const bundle = await check(bytes, sha256).catch((thrown: unknown) => {
      if (messageOf(thrown) !== problem) onEvent({ kind: 'refused', sha256, why: messageOf(thrown) })
      throw thrown
    })
    await store.keepVersion(sha256, bytes)
    await settle(afterGood(state, { sha256, revision: bundle.ref.revision, atMs: nowMs() }, etag, keep))
    putInForce(bundle, 'given')
    return true
  }

  /** On the disk first, so that what is in force is what the next start begins with. */
  async function settle(next: SourceState): Promise<void> {
    await store.keepState(next)
    state = next
  }

  async function ask(): Promise<{ readonly news: boolean; readonly waitedS: number; readonly tookMs: number }> {
    const etag = state.served?.etag
    const waitedS = longPoll && etag !== undefined ? polling.waitS : 0
    const beganMs = nowMs()
    const answer = await request({ etag, waitS: waitedS }, closing.signal).catch((thrown: unknown) => {
      const why = messageOf(thrown)
      if (why !== problem && !closing.signal.aborted) onEvent({ kind: 'unreachable', why })
      throw thrown
    })
    const tookMs = nowMs() - beganMs
    if (answer.kind === 'bundle') longPoll = answer.longPoll
    const news = answer.kind === 'bundle' && (await inTurn(() => take(answer.bytes, answer.etag)))
    return { news, waitedS, tookMs }
  }

  async function poll(): Promise<void> {
    let failures = 0
    while (!closing.signal.aborted) {
      let delayMs: number
      try {
        const answered = await ask()
        failures = 0
        problem = undefined
        answeredMs = nowMs()
        delayMs = delayAfter({ kind: 'answered', ...answered }, polling, options.random())
      } catch (thrown) {
        problem = messageOf(thrown)
        delayMs = delayAfter({ kind: 'failed', failures: ++failures }, polling, options.random())
      }
      await pause(delayMs, closing.signal)
    }
  }

  await restore()
  const polled = poll()

  return {
    current: () => current,
    status: () => ({
      bundle: name,
      url,
      signed: options.verification !== undefined,
      ...(current ? { revision: current.ref.revision, sha256: current.ref.sha256 } : {}),
      rolled_back: state.served !== undefined && state.served.sha256 !== state.inForce,
      ...(answeredMs === undefined ? {} : { answered_at: new Date(answeredMs).toISOString() }),
      ...(problem === undefined ? {} : { problem }),
      kept: state.kept.map(({ revision, sha256, atMs }) => ({ revision, sha256, at: new Date(atMs).toISOString() })),
    }),
    rollback: (revision) =>
      inTurn(async () => {
        const next = afterRollback(state, revision)
        if (next?.inForce === undefined) {
          throw new WritError('not_found', `no revision ${revision} of ${name} is kept`, {
            cure: `One of ${state.kept.map((one) => one.revision).join(', ')}.`,
          })
        }
        const bundle = await checkKept(next.inForce)
        await settle(next)
        putInForce(bundle, 'rolled_back')
        return bundle.ref
      }),
    async close() {
      closing.abort()
      await polled
      await turn
    },
  }
}

type Request = (
  known: { readonly etag: string | undefined; readonly waitS: number },
  signal: AbortSignal,
) => Promise<BundleAnswer>

/** Where the bundle is, as text that tells it from all other places, and how it is asked for there. */
function placeOf(
  { name, type, url, resource, tokenFile }: BundleSourceOptions,
  maxBytes: number,
): { readonly url: string; readonly request: Request } {
  const common = { maxBytes, ...(tokenFile === undefined ? {} : { tokenFile }) }
  if (type !== 'oci') {
    const whole = bundleUrl(url, resource ?? `bundles/${name}`)
    return { url: whole, request: (known, signal) => requestBundle({ ...common, url: whole }, known, signal) }
  }
  const named = resource ?? `${name}:latest`
  const reference = parseReference(named)
  if (!reference) throw new WritError('config_invalid', `${named} is no repository with a tag or a digest`)
  return {
    url: bundleUrl(url, named),
    request: ({ etag }, signal) => requestOci({ ...common, ...reference, url }, etag, signal),
  }
}

const timer = (ms: number, signal: AbortSignal): Promise<void> =>
  sleep(ms, undefined, { signal }).catch(() => undefined)
