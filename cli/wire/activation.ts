/** Puts the policies of a snapshot in force in one sidecar: each opened whole, with the data that it reads beside its bundle. */

import { toHex } from '../../core/bytes.ts'
import { messageOf, WritError } from '../../core/fault.ts'
import type { PolicyDataUse, PolicyRef, PolicyUse } from '../../core/policy.ts'
import type { NowNs, RecordSink } from '../../core/ports.ts'
import { type MeshSnapshot, usesOf } from '../../core/snapshot.ts'
import { type AsOf, type DataPart, readDocument } from '../../engine/data.ts'
import { askingHost } from '../../engine/http-send.ts'
import type { Policies } from '../../engine/index.ts'
import { loadBundle } from '../../engine/node/open.ts'
import type { Freshness, LastGood } from './last-good.ts'
import { sha256 } from './machine.ts'
import type { MeshClient } from './mesh-client.ts'

export interface ActivationOptions {
  readonly policies: Policies
  readonly client: Pick<MeshClient, 'bundle' | 'data' | 'dataFreshness'>
  readonly lastGood: LastGood
  readonly sink: RecordSink
  readonly now: NowNs
  readonly onWarning: (text: string) => void
}

export interface Activation {
  /** Rejects where one cannot be had or opened; those before it are in force then, each whole. */
  activate(snapshot: MeshSnapshot): Promise<void>
  /** When control last saw that a version is the newest, by this machine's clock. */
  readonly asOf: AsOf
  /** Asks control again. Where it is away, what is known grows older. */
  refresh(): Promise<void>
  /** Time until control is asked again, in milliseconds; undefined where no policy reads such data. */
  refreshEveryMs(): number | undefined
}

/** Longest time between two questions, in milliseconds; a short maxAge is asked for four times within itself. */
const longestMs = 5000
const shortestMs = 250

export async function openActivation(options: ActivationOptions): Promise<Activation> {
  const { policies, client, lastGood, sink } = options
  const nowMs = (): number => Number(options.now() / 1_000_000n)
  const active = new Map<string, string>()
  /** Name and digest of the data in force, and of what is about to be. */
  const told = new Set<string>()
  let known: Freshness = await lastGood.freshness()
  let uses: readonly PolicyDataUse[] = []

  const bytesOf = async (digest: string, kind: 'bundle' | 'data'): Promise<Uint8Array> => {
    const kept = await lastGood[kind](digest)
    const bytes = kept && toHex(sha256(kept)) === digest ? kept : await client[kind](digest)
    const found = toHex(sha256(bytes))
    if (found !== digest) throw new WritError('policy_invalid', `a ${kind} is ${found} where ${digest} was due`)
    if (bytes !== kept) await lastGood[kind === 'bundle' ? 'keepBundle' : 'keepData'](digest, bytes)
    return bytes
  }

  const partOf = async ({ bundle: _, ...use }: PolicyDataUse): Promise<DataPart> => {
    if (!use.version) return use
    return { ...use, value: readDocument(await bytesOf(use.version.sha256, 'data'), true) }
  }

  async function activateOne(ref: PolicyRef, beside: readonly PolicyDataUse[], asks: boolean): Promise<void> {
    const key = JSON.stringify([ref.sha256, beside, asks])
    if (active.get(ref.bundle) === key) return
    const bytes = await bytesOf(ref.sha256, 'bundle')
    const parts = await Promise.all(beside.map(partOf))
    const policy = await loadBundle(bytes, ref.bundle, { now: options.now, parts, ...(asks && { host: askingHost }) })
    // Kept before it takes effect, so that no decision names a policy or data that the log does not know.
    if (policies.get(ref.bundle)?.ref.sha256 !== ref.sha256) {
      await sink.keep({ kind: 'policy', action: 'activated', ...ref })
    }
    for (const { name, version } of beside) {
      const which = `${name} ${version?.sha256}`
      if (!version || told.has(which)) continue
      const { revision, sha256 } = version
      await sink.keep({ kind: 'policy', action: 'data_activated', bundle: ref.bundle, data: name, revision, sha256 })
      told.add(which)
    }
    policies.put(policy)
    forget(beside)
    active.set(ref.bundle, key)
  }

  /** Versions that others of their name have taken the place of. */
  function forget(beside: readonly PolicyDataUse[]): void {
    for (const { name, version } of beside) {
      for (const which of told)
        if (which.startsWith(`${name} `) && which !== `${name} ${version?.sha256}`) told.delete(which)
    }
  }

  async function refresh(): Promise<void> {
    if (uses.length === 0) return
    const askedMs = nowMs() // Before the answer: rather a little too old than too young.
    const answer = await client.dataFreshness()
    const next = new Map<string, number>()
    // What is in force stays known until what control has by now is in force here too.
    for (const [which, asOfMs] of known) if (told.has(which)) next.set(which, asOfMs)
    for (const { name, sha256, ageMs } of answer) {
      const which = `${name} ${sha256}`
      // An answer that was overtaken by a younger one makes nothing older.
      next.set(which, Math.max(askedMs - ageMs, known.get(which) ?? 0))
    }
    known = next
    await lastGood.keepFreshness(next)
  }

  return {
    async activate(snapshot) {
      const data = snapshot.data ?? []
      uses = data
      await refresh().catch(() => undefined) // So that what is new has an age from the start.
      const inForce = usesIn(snapshot)
      for (const ref of snapshot.bundles) {
        const beside = data.filter(({ bundle }) => bundle === ref.bundle)
        await activateOne(ref, beside, mayAsk(inForce, ref.bundle)).catch((thrown: unknown) => {
          if (inForce.some(({ bundle }) => bundle === ref.bundle)) throw thrown
          // A candidate that cannot be opened harms nobody: it is as good as missing.
          policies.drop(ref.bundle)
          active.delete(ref.bundle)
          options.onWarning(`on trial: ${messageOf(thrown)}`)
        })
      }
    },
    asOf: ({ name, sha256 }) => known.get(`${name} ${sha256}`),
    refresh,
    refreshEveryMs() {
      if (uses.length === 0) return undefined
      const shortest = Math.min(...uses.map(({ maxAgeMs }) => maxAgeMs ?? Number.POSITIVE_INFINITY))
      return Math.max(shortestMs, Math.min(longestMs, shortest / 4))
    },
  }
}

/** What its listeners ask, for their routes too. */
const usesIn = ({ workloads }: MeshSnapshot): readonly PolicyUse[] =>
  workloads.flatMap(({ listeners }) => listeners).flatMap(usesOf)

/** Whether any binding lets this bundle's policy call `http.send`, in force or on trial; without one it is not opened. */
const mayAsk = (uses: readonly PolicyUse[], bundle: string): boolean =>
  uses.some((use) => use.http !== undefined && (use.bundle === bundle || use.trial?.bundle === bundle))

export const refreshProblem = (thrown: unknown): string =>
  `cannot learn how old the data is that its policies read: ${messageOf(thrown)}`
