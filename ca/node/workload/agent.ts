/** The identities of all workloads of one host: kept fresh by entry, and given to whoever proves an entry's selectors. */

import { messageOf, WritError } from '../../../core/fault.ts'
import type { Svid } from '../../../core/identity.ts'
import type { IdentitySource, RandomBytes } from '../../../core/ports.ts'
import type { SpiffeId } from '../../../core/spiffe.ts'
import type { HeldIdentities, HeldToken, RevisedEntry, Selector, WorkloadIdentities } from '../../../core/workload.ts'
import { matching } from '../../entries.ts'
import { type LiveIdentity, type Obtained, type Renewing, startRotation } from '../rotate.ts'
import { bundlesFor } from './api.ts'

export interface AgentOptions {
  /** The agent's own identity, with the bundles of the mesh. */
  readonly source: IdentitySource
  readonly issue: (entry: RevisedEntry) => Promise<Obtained>
  readonly mint: (entry: RevisedEntry, audiences: readonly string[]) => Promise<HeldToken>
  readonly nowMs: () => number
  readonly random: RandomBytes
  readonly onProblem: (text: string) => void
}

export interface Agent {
  /** Puts other entries in force. Certificates of entries that did not change stay. */
  setEntries(entries: readonly RevisedEntry[]): void
  /** Serial numbers of issuers whose certificates are renewed at once. */
  setDistrusted(issuers: readonly string[]): void
  /** What somebody with these selectors is served from, now and after every change. */
  identitiesOf(selectors: ReadonlySet<Selector>): WorkloadIdentities
  /** How each entry's certificate is kept fresh. */
  kept(): readonly KeptEntry[]
  /** Resolves when each entry has its certificate, or has failed to get it once. */
  settled(): Promise<void>
  close(): void
}

export interface KeptEntry {
  readonly id: SpiffeId
  /** In use; undefined while there is none yet. */
  readonly svid: Svid | undefined
  readonly renewing: Renewing
}

interface Kept {
  readonly entry: RevisedEntry
  source: LiveIdentity | undefined
  /** What it had before its entry changed, until the new certificate is there. */
  readonly before: LiveIdentity | undefined
  first: Promise<void>
  ended: boolean
  /** Of tries to get a first certificate. */
  starting: Renewing
  timer?: NodeJS.Timeout
}

/** Waits between two tries to get a first certificate, in milliseconds. */
const firstRetryMs = 1000
const longestRetryMs = 30_000

export function openAgent(options: AgentOptions): Agent {
  const { source, nowMs, random, onProblem } = options
  let kept = new Map<string, Kept>()
  let distrusted: readonly string[] = []
  const subscribers = new Set<() => void>()
  const changed = (): void => {
    for (const one of [...subscribers]) one()
  }
  const unsubscribe = source.subscribe(changed)

  function keep(entry: RevisedEntry, last: Kept | undefined): Kept {
    const before = last?.entry.id === entry.id ? (last.source ?? last.before) : undefined
    const starting: Renewing = { failures: 0, fault: undefined }
    const one: Kept = { entry, source: undefined, before, first: Promise.resolve(), ended: false, starting }
    one.first = start()
    return one

    async function start(failures = 0): Promise<void> {
      try {
        const first = await options.issue(entry)
        if (one.ended) return
        one.source = startRotation({
          first,
          sinceMs: nowMs(),
          renew: async () => ({ ...(await options.issue(entry)), kind: 'renewed' }),
          save: () => {}, // Keys of workloads are in memory alone.
          nowMs,
          random,
          onEvent: (event) => {
            if (event.kind === 'failed') onProblem(`${entry.id}: ${event.fault.message}`)
          },
        })
        one.source.setDistrusted(distrusted)
        one.source.subscribe(changed)
        changed()
      } catch (thrown) {
        if (one.ended) return
        const fault = thrown instanceof WritError ? thrown : new WritError('internal', messageOf(thrown))
        one.starting = { failures: failures + 1, fault }
        onProblem(`${entry.id}: ${fault.message}`)
        const waitMs = Math.min(longestRetryMs, firstRetryMs * 2 ** failures) * (0.5 + random(1)[0]! / 512)
        one.timer = setTimeout(() => void start(failures + 1), waitMs)
        one.timer.unref()
      }
    }
  }

  function end(one: Kept): void {
    one.ended = true
    clearTimeout(one.timer)
    one.source?.close()
  }

  function heldOf(selectors: ReadonlySet<Selector>): HeldIdentities {
    const { bundles, svid } = source.current()
    const entries = matching(
      [...kept.values()].map(({ entry }) => entry),
      svid.id,
      selectors,
    )
    const svids = entries.flatMap((entry) => {
      const one = kept.get(entry.name)
      const state = (one?.source ?? one?.before)?.current()
      // What has ended is worth nothing to a workload, and it must not take it for good.
      if (!state || nowMs() > state.svid.notAfterMs) return []
      return [{ svid: state.svid, hint: entry.hint ?? '', federatesWith: entry.federatesWith ?? [] }]
    })
    return { svids, bundles: bundlesFor(svids, bundles) }
  }

  return {
    setEntries(entries) {
      const next = new Map<string, Kept>()
      for (const entry of entries) {
        const before = kept.get(entry.name)
        next.set(entry.name, before?.entry.revision === entry.revision ? before : keep(entry, before))
      }
      for (const [name, one] of kept) if (next.get(name) !== one) end(one)
      kept = next
      changed()
    },
    setDistrusted(issuers) {
      distrusted = issuers
      for (const { source } of kept.values()) source?.setDistrusted(issuers)
    },
    identitiesOf: (selectors) => ({
      current: () => heldOf(selectors),
      subscribe(callback) {
        subscribers.add(callback)
        return () => subscribers.delete(callback)
      },
      async mintJwt(id: SpiffeId, audiences) {
        const entries = [...kept.values()].map(({ entry }) => entry)
        const entry = matching(entries, source.current().svid.id, selectors).find((one) => one.id === id)
        if (entry) return options.mint(entry, audiences)
        throw new WritError('forbidden', `${id} is no identity of this workload`)
      },
    }),
    kept: () =>
      [...kept.values()].map(({ entry, source, before, starting }) => {
        const { svid } = (source ?? before)?.current() ?? {}
        const later = source?.renewing() ?? { failures: 0, fault: starting.fault }
        return {
          ...{ id: entry.id, svid },
          renewing: { failures: starting.failures + later.failures, fault: later.fault },
        }
      }),
    settled: async () => void (await Promise.all([...kept.values()].map(({ first }) => first))),
    close() {
      unsubscribe()
      for (const one of kept.values()) end(one)
      subscribers.clear()
    },
  }
}
