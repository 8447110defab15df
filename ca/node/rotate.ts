/** An identity that renews itself: one current state, and a timer that replaces it in time. */

import { equalBytes } from '../../core/bytes.ts'
import { messageOf, WritError } from '../../core/fault.ts'
import type { IdentityState, Svid, TrustBundle } from '../../core/identity.ts'
import type { IdentitySource, RandomBytes } from '../../core/ports.ts'
import { type TrustDomain, trustDomainOf } from '../../core/spiffe.ts'
import { newerOf } from '../bundle.ts'
import { parseCertificate } from '../x509.ts'

/** A source whose trust and deny list the wiring feeds. */
export interface LiveIdentity extends IdentitySource {
  /** Replaces the bundles. That of our own trust domain stays where the new ones leave it out. */
  setBundles(bundles: Iterable<TrustBundle>): void
  /** Ids and serial numbers that are refused from now on. */
  setDenied(denied: ReadonlySet<string>): void
  /** Serial numbers of issuers: a certificate of theirs is renewed at once, and again until it is another's. */
  setDistrusted(issuers: readonly string[]): void
  renewing(): Renewing
  close(): void
}

/** How renewing goes. */
export interface Renewing {
  /** Tries that failed since the process began. */
  readonly failures: number
  /** What went wrong last; undefined once it went right. */
  readonly fault: WritError | undefined
}

export type IdentityEvent =
  | { readonly kind: 'loaded' | 'joined' | 'recovered' | 'renewed'; readonly svid: Svid }
  /** The next try follows in `retryInMs`, for as long as it takes. */
  | { readonly kind: 'failed'; readonly fault: WritError; readonly retryInMs: number }

export interface Obtained {
  readonly svid: Svid
  readonly bundles: ReadonlyMap<TrustDomain, TrustBundle>
}

export interface RotationOptions {
  readonly first: Obtained
  /** When the first was had, in milliseconds since 1970. */
  readonly sinceMs: number
  /** A fresh certificate under the same name; `kind` says how it was had. */
  readonly renew: (state: IdentityState) => Promise<Obtained & { readonly kind: 'joined' | 'recovered' | 'renewed' }>
  /** Called before a new certificate or bundle is in use. */
  readonly save: (next: Obtained) => void
  readonly nowMs: () => number
  readonly random: RandomBytes
  readonly onEvent: (event: IdentityEvent) => void
}

/** First wait after a failure, doubled by each further one up to the longest, in milliseconds. */
const firstRetryMs = 1000
const longestRetryMs = 60_000
/** Shortest time between two renewals, in milliseconds, however short the certificates are. */
const shortestWaitMs = 1000
/** Within this time everybody renews what a distrusted issuer signed, so that not all come at once, in milliseconds. */
const spreadMs = 5000
/** Timers count to 2^31; a longer wait is taken in steps of a day. */
const longestTimerMs = 86_400_000

export function startRotation(options: RotationOptions): LiveIdentity {
  const { first, sinceMs, renew, save, nowMs, random, onEvent } = options
  let state: IdentityState = { generation: 1, ...first, denied: new Set() }
  let failures = 0
  let renewing: Renewing = { failures: 0, fault: undefined }
  let timer: NodeJS.Timeout | undefined
  let dueMs = 0
  let turning = false
  let closed = false
  let distrusted: readonly string[] = []
  const subscribers = new Set<(state: IdentityState) => void>()

  const change = (next: Partial<Omit<IdentityState, 'generation'>>): void => {
    state = { ...state, ...next, generation: state.generation + 1 }
    for (const changed of [...subscribers]) changed(state)
  }

  const waitUntil = (atMs: number): void => {
    if (closed) return
    dueMs = atMs
    const waitMs = Math.max(0, atMs - nowMs())
    timer = setTimeout(
      () => (waitMs > longestTimerMs ? waitUntil(atMs) : void turn()),
      Math.min(waitMs, longestTimerMs),
    )
    timer.unref() // An identity alone is no reason for a process to live on.
  }

  const attempt = async (): Promise<Awaited<ReturnType<typeof renew>> | WritError> => {
    try {
      const next = await renew(state)
      if (next.svid.id !== state.svid.id) {
        return new WritError(
          'identity_unavailable',
          `the new certificate names ${next.svid.id}, not ${state.svid.id}`,
          {
            cure: 'use a join token that was made for this workload',
          },
        )
      }
      // What was told meanwhile is not taken back.
      const newest = [...next.bundles].map(([of, bundle]) => [of, newerOf(state.bundles.get(of), bundle)] as const)
      const whole = { ...next, bundles: new Map(newest) }
      if (!closed) save(whole)
      return whole
    } catch (cause) {
      return cause instanceof WritError ? cause : new WritError('internal', messageOf(cause), { cause })
    }
  }

  /** Ends the wait for the next renewal where it is longer than that of a distrusted certificate. */
  const hasten = (): void => {
    const atMs = nowMs() + spreadMs * fraction(random)
    if (turning || dueMs <= atMs || !isBy(state.svid, distrusted)) return
    clearTimeout(timer)
    waitUntil(atMs)
  }

  const turn = async (): Promise<void> => {
    turning = true
    const next = await attempt()
    turning = false
    if (closed) return
    if (next instanceof WritError) {
      const retryInMs = retryMs(failures++, state.svid, random)
      renewing = { failures: renewing.failures + 1, fault: next }
      onEvent({ kind: 'failed', fault: next, retryInMs })
      waitUntil(nowMs() + retryInMs)
      return
    }
    failures = 0
    renewing = { ...renewing, fault: undefined }
    change({ svid: next.svid, bundles: next.bundles })
    onEvent({ kind: next.kind, svid: next.svid })
    waitUntil(Math.max(renewAtMs(nowMs(), next.svid.notAfterMs, random), nowMs() + shortestWaitMs))
    hasten() // Whoever gave it had not heard yet.
  }

  waitUntil(renewAtMs(sinceMs, first.svid.notAfterMs, random))

  return {
    current: () => state,
    subscribe(changed) {
      subscribers.add(changed)
      return () => subscribers.delete(changed)
    },
    setBundles(list) {
      const own = state.bundles.get(trustDomainOf(first.svid.id))
      const bundles = new Map(own ? [[own.trustDomain, own]] : [])
      for (const bundle of list) {
        bundles.set(bundle.trustDomain, newerOf(state.bundles.get(bundle.trustDomain), bundle))
      }
      if (sameBundles(bundles, state.bundles)) return
      save({ svid: state.svid, bundles })
      change({ bundles })
    },
    setDenied(denied) {
      if (denied.size === state.denied.size && [...denied].every((one) => state.denied.has(one))) return
      change({ denied: new Set(denied) })
    },
    setDistrusted(issuers) {
      distrusted = issuers
      hasten()
    },
    renewing: () => renewing,
    close() {
      closed = true
      clearTimeout(timer)
      subscribers.clear()
    },
  }
}

/** Whether a certificate of its chain above the leaf has one of these serial numbers. */
function isBy({ chain }: Svid, issuers: readonly string[]): boolean {
  if (issuers.length === 0) return false
  return chain.slice(1).some((der) => {
    const read = parseCertificate(der)
    return 'certificate' in read && issuers.includes(read.certificate.serial)
  })
}

/** A number from 0 up to 1. */
const fraction = (random: RandomBytes): number => {
  const [a = 0, b = 0] = random(2)
  return (a * 256 + b) / 65_536
}

/**
 * Half of the life since it was had, give or take a tenth of that, so that workloads that started together do not renew
 * together. Not since `notBeforeMs`: certificates are backdated, and for a short one that alone is more than half.
 */
export function renewAtMs(sinceMs: number, notAfterMs: number, random: RandomBytes): number {
  return sinceMs + ((notAfterMs - sinceMs) / 2) * (0.9 + 0.2 * fraction(random))
}

/** Doubles up to a minute, or to a tenth of the certificate's life where that is shorter; then between half and all. */
function retryMs(failures: number, { notBeforeMs, notAfterMs }: Svid, random: RandomBytes): number {
  const longest = Math.max(firstRetryMs, Math.min(longestRetryMs, (notAfterMs - notBeforeMs) / 10))
  return Math.min(longest, firstRetryMs * 2 ** Math.min(failures, 16)) * (0.5 + 0.5 * fraction(random))
}

function sameBundles(a: IdentityState['bundles'], b: IdentityState['bundles']): boolean {
  if (a.size !== b.size) return false
  for (const [domain, bundle] of a) {
    const other = b.get(domain)
    if (!other || other.sequence !== bundle.sequence || other.roots.length !== bundle.roots.length) return false
    if (!bundle.roots.every((root, i) => equalBytes(root, other.roots[i]!))) return false
  }
  return true
}
