/** Keeps the newest bundle of each federated trust domain, under its own name and for no other. */

import { join } from 'node:path'
import { messageOf } from '../../core/fault.ts'
import type { FederatedDomain } from '../../core/federation.ts'
import type { TrustBundle } from '../../core/identity.ts'
import { canonicalJson } from '../../core/json.ts'
import type { TrustDomain } from '../../core/spiffe.ts'
import { bundleJson, defaultRefreshS, readBundle } from '../bundle.ts'
import { fetchBundle } from './fetch-bundle.ts'
import { privateFolder, readText, replaceText } from './files.ts'

export interface FederationOptions {
  /** Holds `<trust domain>.json`, one each. Created with mode 0700 if missing. */
  readonly dir: string
  readonly own: () => TrustBundle
  readonly nowMs: () => number
  /** Called before another bundle is in force; where it rejects, the one before stays. */
  readonly onBundle: (bundle: TrustBundle) => Promise<unknown>
  readonly onProblem: (trustDomain: TrustDomain, problem: string | undefined) => void
  /** Shortest time between two polls, in milliseconds, whatever a bundle hints at. Default 10 000. */
  readonly shortestMs?: number
}

export interface Federation {
  /** Bundles in force, one of each domain that was had. */
  bundles(): readonly TrustBundle[]
  /** Follows these domains from now on. Bundles of others are out of force at once. */
  follow(domains: readonly FederatedDomain[]): void
  /** Calls back after each change, until the returned function is called. */
  subscribe(changed: () => void): () => void
  close(): void
}

/** Longest time between two polls, in milliseconds: a day. */
const longestMs = 86_400_000

interface Followed {
  readonly domain: FederatedDomain
  bundle: TrustBundle | undefined
  failing: boolean
  ended: boolean
  timer?: NodeJS.Timeout
}

export function openFederation(options: FederationOptions): Federation {
  const { dir, own, nowMs, onBundle, onProblem, shortestMs = 10_000 } = options
  privateFolder(dir)
  let followed = new Map<TrustDomain, Followed>()
  const subscribers = new Set<() => void>()
  const changed = (): void => {
    for (const one of [...subscribers]) one()
  }
  const fileOf = (trustDomain: TrustDomain): string => join(dir, `${trustDomain}.json`)

  /** What was stored is newer than what the operator gave at the beginning. */
  function begin(domain: FederatedDomain): Followed {
    const text = readText(fileOf(domain.trustDomain))
    const read = text === undefined ? undefined : readBundle(text, domain.trustDomain)
    const stored = read && 'bundle' in read ? read.bundle : undefined
    const first = domain.first
    const bundle = stored && first && first.sequence > stored.sequence ? first : (stored ?? first)
    const one: Followed = { domain, bundle, failing: false, ended: false }
    void poll(one)
    return one
  }

  async function poll(one: Followed): Promise<void> {
    try {
      const next = await fetchBundle({ domain: one.domain, bundleOf, nowMs })
      if (one.ended) return
      if (isNews(one.bundle, next)) await take(one, next)
      if (one.failing) onProblem(one.domain.trustDomain, undefined)
      one.failing = false
    } catch (thrown) {
      if (one.ended) return
      if (!one.failing) onProblem(one.domain.trustDomain, messageOf(thrown))
      one.failing = true
    }
    // Also after a failure the next interval, and not at once (section 4.1).
    const hintMs = (one.bundle?.refreshHintS ?? defaultRefreshS) * 1000
    one.timer = setTimeout(() => void poll(one), Math.min(Math.max(hintMs, shortestMs), longestMs))
    one.timer.unref()
  }

  async function take(one: Followed, next: TrustBundle): Promise<void> {
    await onBundle(next)
    if (one.ended) return
    replaceText(fileOf(next.trustDomain), `${canonicalJson(bundleJson(next))}\n`)
    one.bundle = next
    changed()
  }

  const bundleOf = (trustDomain: TrustDomain): TrustBundle | undefined =>
    trustDomain === own().trustDomain ? own() : followed.get(trustDomain)?.bundle

  return {
    bundles: () => [...followed.values()].flatMap(({ bundle }) => bundle ?? []),
    follow(domains) {
      const before = followed
      followed = new Map()
      // In the map before it is polled: the bundle to begin with judges the first answer.
      for (const domain of domains) {
        const known = before.get(domain.trustDomain)
        const same = known && JSON.stringify(known.domain, bytes) === JSON.stringify(domain, bytes)
        if (same) followed.set(domain.trustDomain, known)
      }
      for (const [name, one] of before) if (followed.get(name) !== one) end(one)
      for (const domain of domains) {
        if (!followed.has(domain.trustDomain)) followed.set(domain.trustDomain, begin(domain))
      }
      changed()
    },
    subscribe(callback) {
      subscribers.add(callback)
      return () => subscribers.delete(callback)
    },
    close() {
      for (const one of followed.values()) end(one)
      subscribers.clear()
    },
  }
}

function end(one: Followed): void {
  one.ended = true
  clearTimeout(one.timer)
}

const bytes = (_: string, value: unknown): unknown => (value instanceof Uint8Array ? [...value] : value)

/** Another content of the same or a later sequence: an older one is a replay, and changes nothing. */
export function isNews(known: TrustBundle | undefined, next: TrustBundle): boolean {
  if (!known) return true
  if (next.sequence < known.sequence) return false
  return canonicalJson(bundleJson(known)) !== canonicalJson(bundleJson(next))
}
