/** A report: a verification and its checks, in one value that is written as JSON or HTML. Same log, same bytes. */

import { quorumText, witnessName } from '../log/policy.ts'
import type { Findings } from '../verify/finding.ts'
import type { VerifyParts } from '../verify/verify.ts'
import { type Verification, verifyLog, withFindings } from '../verify/verify.ts'
import { limits } from './catalogue.ts'
import type { Check } from './check.ts'
import { completeness, integrity } from './checks/log.ts'
import { certificateLife, defaultDeny, mutualTls, provenCallers } from './checks/traffic.ts'
import { defaultMaxLifeMs, type Evidence, Gatherer, type Range } from './evidence.ts'
import { reprove, seedOf } from './reprove.ts'

export interface ReportSettings {
  readonly range: Range
  /** Longest life of a leaf certificate, in milliseconds. Default 24 h. */
  readonly maxLifeMs?: number
  /** Leaves that M09 draws. Default 32. */
  readonly draws?: number
  /** Seed of the draw. Default: made from the signed roots. */
  readonly seed?: string
}

export interface Report {
  readonly v: 1
  readonly title: string
  /** What was asked for, RFC 3339; empty where that end is open. */
  readonly from: string
  readonly to: string
  /** What was found in it. */
  readonly firstAt: string
  readonly lastAt: string
  /** `4 of 5 checks measured, 4 pass`. */
  readonly summary: string
  readonly decisions: { readonly allow: number; readonly deny: number; readonly fault: number }
  readonly checks: readonly Check[]
  readonly verifierKey: string
  readonly shards: Verification['shards']
  readonly trust: Verification['trust']
  /** Whose word was asked for, as the policy has it. What was found is in each shard's `witnessed`; absent: nobody's. */
  readonly witnesses?: { readonly quorum: string; readonly names: readonly string[] }
  readonly verification: {
    readonly ok: boolean
    readonly broken: number
    /** The gravest first; as many as a reader can use. */
    readonly findings: Verification['findings']
    readonly omitted: number
  }
  readonly producers: readonly Producer[]
  /** Producers beyond those listed. */
  readonly moreProducers: number
  readonly limits: readonly string[]
}

/** One workload over all its runs. */
export interface Producer {
  readonly id: string
  readonly runs: number
  readonly records: number
  readonly missing: number
  readonly unattested: number
  readonly firstAt: string
  readonly lastAt: string
}

const maxProducers = 500
const maxReportFindings = 100

/**
 * Verifies the log and measures it in one pass, so that no number rests on a leaf that was not verified. `more` gives
 * what else was found in that pass: differences between tables and log.
 */
export async function makeReport(
  parts: VerifyParts,
  settings: ReportSettings,
  more?: () => Promise<Findings>,
): Promise<{ readonly report: Report; readonly verification: Verification }> {
  const maxLifeMs = settings.maxLifeMs ?? defaultMaxLifeMs
  const gatherer = new Gatherer(settings.range, maxLifeMs)
  const verified = await verifyLog({
    ...parts,
    onLeaves: async (leaves) => {
      for (const leaf of leaves) gatherer.take(leaf)
      await parts.onLeaves?.(leaves)
    },
  })
  const verification = more ? withFindings(verified, await more()) : verified
  const { shards } = verification
  const seed = settings.seed ?? seedOf(shards, parts.sha256)
  const reproved = await reprove(parts.sources, shards, settings.draws ?? 32, seed, parts.sha256)
  const evidence = gatherer.finish()
  const whole = integrity(verification, reproved)
  const sound = whole.verdict !== 'fail'
  const checks = [
    mutualTls(evidence, sound),
    provenCallers(evidence, sound),
    certificateLife(evidence, sound, maxLifeMs),
    defaultDeny(evidence, sound),
    completeness(evidence, verification),
    whole,
  ]
  const { policy } = parts
  const witnesses = policy && { quorum: quorumText(policy), names: policy.witnesses.map(witnessName) }
  return { report: { ...reportOf(checks, evidence, verification), ...(witnesses && { witnesses }) }, verification }
}

function reportOf(checks: readonly Check[], evidence: Evidence, verification: Verification): Report {
  const producers = producersOf(verification)
  const { range, firstAt, lastAt, verdicts } = evidence
  const { findings } = verification
  return {
    v: 1,
    title: 'Report on access decisions',
    from: timeOf(range.fromMs),
    to: timeOf(range.toMs),
    firstAt,
    lastAt,
    summary: summaryOf(checks),
    decisions: verdicts,
    checks,
    verifierKey: verification.verifierKey,
    shards: verification.shards,
    trust: verification.trust,
    verification: {
      ok: verification.ok,
      broken: verification.broken,
      findings: findings.slice(0, maxReportFindings),
      omitted: verification.omitted + Math.max(0, findings.length - maxReportFindings),
    },
    producers: producers.slice(0, maxProducers),
    moreProducers: Math.max(0, producers.length - maxProducers),
    limits,
  }
}

/** Never a share of a framework: only how many checks could be measured, and how many of those hold. */
export function summaryOf(checks: readonly Check[]): string {
  const measured = checks.filter(({ verdict }) => verdict === 'pass' || verdict === 'fail').length
  const passed = checks.filter(({ verdict }) => verdict === 'pass').length
  return `${measured} of ${checks.length} checks measured, ${passed} pass`
}

function producersOf({ epochs }: Verification): readonly Producer[] {
  const producers = new Map<string, Producer>()
  for (const epoch of epochs) {
    const known = producers.get(epoch.producer)
    producers.set(epoch.producer, {
      id: epoch.producer,
      runs: (known?.runs ?? 0) + 1,
      records: (known?.records ?? 0) + epoch.records,
      missing: (known?.missing ?? 0) + epoch.missing,
      unattested: (known?.unattested ?? 0) + epoch.unattested,
      firstAt: known && known.firstAt < epoch.firstAt ? known.firstAt : epoch.firstAt,
      lastAt: known && known.lastAt > epoch.lastAt ? known.lastAt : epoch.lastAt,
    })
  }
  return [...producers.values()].sort((a, b) => (a.id < b.id ? -1 : 1))
}

const timeOf = (ms: number | undefined): string => (ms === undefined ? '' : new Date(ms).toISOString())
