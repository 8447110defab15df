/**
 * A compliance report: one gathering at a named checkpoint, each check's rule asked about it, each part of a framework
 * by its checks. Read this file first. Same log, same checkpoint, same settings: same value.
 */

import {
  type CheckDefinition,
  type CheckResult,
  type ComplianceReport,
  type ComplianceScope,
  complianceVersion,
  type Framework,
  type JudgeCheck,
  type MeasuredVerdict,
  type SampledRecord,
} from '../../core/compliance.ts'
import { WritError } from '../../core/fault.ts'
import type { Checkpoint } from '../../core/log.ts'
import { decisionId, parseEvent } from '../../core/record.ts'
import { plainSha256 } from '../log/merkle.ts'
import { entryAt } from '../log/prove.ts'
import { Findings } from '../verify/finding.ts'
import type { PartReaders } from '../verify/part.ts'
import { type LeafRange, readTree } from '../verify/tree.ts'
import { type SavedVerification, type Verification, type VerifyParts, verifyLog } from '../verify/verify.ts'
import { anchorsOf } from './anchors.ts'
import type { Declared } from './files/declared.ts'
import { ComplianceGatherer, type Gathered, type GatherSource } from './gather/gather.ts'
import type { GatheredPart, Period } from './gather/part.ts'
import type { GatherSettings } from './gather/plan.ts'
import { fits } from './gather/scope.ts'
import { KeptParts, type KeptSums } from './kept.ts'
import { limits } from './limits.ts'
import { exceptionStates, inForce, measureCheck, partResult, placesOf, summaryOf } from './measure.ts'
import { type Pin, type PinnedSource, pinSources } from './pinned.ts'
import { reprove, seedOf } from './reprove.ts'
import { type Said, withDeclarations } from './said.ts'

export interface ComplianceParts extends VerifyParts {
  readonly judge: JudgeCheck
  /** Time of a time stamp (RFC 3161), in milliseconds since 1970. Without it time stamps date nothing. */
  readonly stampMs?: (token: Uint8Array) => number | undefined
  /** Leaves of one part of the gathering; a multiple of 256. Default 65,536. */
  readonly partLeaves?: number
  /** Default: everything is read. */
  readonly sums?: KeptSums
  /** Threads that verify parts of the log and gather what is in them, by these settings. Default: all is done in this one. */
  readonly readersFor?: (gather: GatherSettings & Period) => (PartReaders & { close(): Promise<void> }) | undefined
}

export interface ComplianceSettings {
  readonly framework: Framework
  readonly checks: readonly CheckDefinition[]
  readonly declared: Declared
  readonly scope: ComplianceScope
  /** From included, to not; milliseconds since 1970. */
  readonly fromMs: number
  readonly toMs: number
  /** Checkpoints to report at. Default: the newest. */
  readonly pins?: readonly Pin[]
  /** Leaves that are drawn from all of the log and proved. Default 32. */
  readonly draws?: number
  /** 16 hex digits. Default: made from the signed roots. */
  readonly seed?: string
  readonly rules: ComplianceReport['rules']
  /** The report before, to say what changed. */
  readonly previous?: ComplianceReport
}

const maxUnseen = 1000

/** How much of the log a report read; the rest it knew from earlier ones. */
export interface ReportWork {
  readonly leaves: number
  readonly read: number
  /** Why nothing of what was kept was believed; empty where there was no doubt. */
  readonly doubt: string
}

export interface MadeReport {
  readonly report: ComplianceReport
  readonly verification: Verification
  readonly work: ReportWork
}

export async function makeComplianceReport(parts: ComplianceParts, settings: ComplianceSettings): Promise<MadeReport> {
  const made = await attempt(parts, settings, true)
  if (made.work.doubt === '' || !parts.sums) return made
  const again = await attempt(parts, settings, false)
  return { ...again, work: { ...again.work, doubt: made.work.doubt } }
}

/** `believing`: of what was kept, what the tree vouches for. */
async function attempt(parts: ComplianceParts, settings: ComplianceSettings, believing: boolean): Promise<MadeReport> {
  const { framework, scope, fromMs, toMs } = settings
  const used = new Set(framework.parts.flatMap((part) => part.checks))
  const checks = settings.checks.filter(({ id }) => used.has(id))
  const sources = await pinSources(parts.sources, settings.pins)
  if (!sources.some(({ checkpoint }) => checkpoint)) {
    throw new WritError('unavailable', 'this log has no checkpoint yet, and a report is made at one', {
      cure: 'one is signed each second while the auditor runs; try again, or give the log’s folder with --log',
    })
  }
  const { sha256 } = parts
  const seed = settings.seed ?? seedOf(sources.map(rootOf), sha256)
  const kept = parts.sums && new KeptParts(parts.sums, sources, parts, believing)
  let read = 0
  /** The verification began where that of an earlier report had ended. */
  let resumed = false
  let doubt = ''
  const doubted = (what: string): void => {
    if (kept?.used && doubt === '') doubt = what
  }
  const trees = new Map<number, Checkpoint>()
  const source: GatherSource = {
    leaves: async function* (shard, range) {
      const source = sources.find((one) => one.shard === shard)!
      const findings = new Findings()
      const quick = parts.quick ?? plainSha256(sha256)
      for await (const leaves of readTree(source, trees.get(shard)!, sha256, quick, findings, range)) {
        read += leaves.length
        yield leaves
      }
      if (findings.broken > 0) doubted(findings.list[0]!.what)
    },
    ...(kept && { kept: (shard, part) => kept.part(shard, part), keep: (...one) => kept.keep(...one) }),
    doubt: doubted,
  }
  /** `before`: of this very log, so that it is not verified once more. */
  const pass = async (declared: Declared, before?: SavedVerification) => {
    const { partLeaves } = parts
    const of = { checks, declared, scope, fromMs, toMs, seed, sha256, ...(partLeaves && { partLeaves }) }
    const readers = parts.readersFor?.({ checks, declared, scope, fromMs, toMs })
    const elsewhere = readers && {
      atOnce: readers.atOnce,
      part: async (shard: number, range: LeafRange) => {
        const part = await readers.read(shard, trees.get(shard)!, range, true)
        const gathered = part?.gathered as GatheredPart | undefined
        read += (range.to - range.from) * (gathered ? (gathered.inPeriod ? 2 : 1) : 0)
        return gathered
      },
    }
    const gatherer = new ComplianceGatherer(of, { ...source, ...(elsewhere && { elsewhere }) })
    kept?.plan(gatherer.plan.key)
    const resume = before ?? (await kept?.verified())
    let saved: SavedVerification | undefined
    const verification = await verifyLog({
      ...parts,
      sources,
      ...(resume && { resume }),
      ...(readers && { readers }),
      save: (one) => {
        saved = one
        kept?.toSave(one)
      },
      watch: {
        shard: async (shard, from, tree) => {
          trees.set(shard, tree)
          read += tree.size - from
          resumed ||= from > 0 && !before
          await kept?.shard(shard, tree)
          await gatherer.shard(shard, from, tree.size)
        },
        bundle: (shard, first) => gatherer.bundle(shard, first),
        leaf: (leaf, shard, event, scanned) => gatherer.take(leaf, shard, event, scanned),
        parts: {
          wants: (shard, range) => gatherer.wants(shard, range),
          part: (shard, range, gathered) => {
            const one = gathered as GatheredPart | undefined
            read += one?.inPeriod ? range.to - range.from : 0
            return gatherer.part(shard, range, one)
          },
        },
      },
    }).finally(() => readers?.close())
    await gatherer.end()
    return { gatherer, verification, saved }
  }
  const first = await pass(settings.declared)
  const { verification } = first
  const said = first.gatherer.said()
  const declared = withDeclarations(settings.declared, said.declarations)
  // Zones and readers are asked for as leaves go by, and only now is it known that the log has some.
  const { gatherer } = said.declarations.length === 0 ? first : await pass(declared, first.saved)
  const reproved = await reprove(sources, verification.shards, settings.draws ?? 32, seed, sha256)
  const sound = verification.ok && reproved.drawn.every(({ proven }) => proven)
  if (!sound && resumed) doubted('the log does not verify')
  const anchors = await anchorsOf(sources, parts, fromMs)
  const gathered = gatherer.finish({ verification, reproved, anchors }, sound)
  const accepting = inForce(declared.exceptions, toMs)
  const results: CheckResult[] = []
  for (const check of checks) {
    const own = accepting.filter((one) => one.check === check.id)
    const given = declared.parameters[check.id] ?? {}
    const { drawn, ...measured } = measureCheck(check, gathered, given, own, parts.judge)
    results.push({ ...measured, sample: await recordsAt(await placesOf(drawn), sources) })
  }
  if (doubt === '') await kept?.save()
  const leaves = verification.shards.reduce((sum, { size }) => sum + size, 0)
  const report = reportOf({ ...settings, declared }, seed, gathered, said, results, sources, verification)
  return { report, verification, work: { leaves, read, doubt } }
}

const rootOf = ({ shard, checkpoint }: PinnedSource) => {
  const { origin = '', size = 0, root = new Uint8Array(0) } = checkpoint ?? {}
  return {
    shard,
    origin,
    size,
    root: [...root].map((byte) => byte.toString(16).padStart(2, '0')).join(''),
    note: '',
    kept: 0,
  }
}

/** What sampled leaves are called. One that cannot be read is told of by the verification. */
async function recordsAt(
  places: Awaited<ReturnType<typeof placesOf>>,
  sources: readonly PinnedSource[],
): Promise<readonly SampledRecord[]> {
  const records: SampledRecord[] = []
  for (const { shard, index, breaks } of places) {
    const source = sources.find((one) => one.shard === shard)
    const bytes =
      source?.checkpoint && (await entryAt(source.read, index, source.checkpoint.size).catch(() => undefined))
    const read = bytes && parseEvent(bytes)
    const event = read && 'event' in read ? read.event : undefined
    records.push({ shard, index, id: event ? decisionId(event) : '', timestamp: event?.timestamp ?? '', breaks })
  }
  return records
}

function reportOf(
  settings: ComplianceSettings,
  seed: string,
  gathered: Gathered,
  { attested, declarations }: Said,
  results: readonly CheckResult[],
  sources: readonly PinnedSource[],
  verification: Verification,
): ComplianceReport {
  const { framework, declared, scope, fromMs, toMs, rules, previous } = settings
  const { parts: all, ...named } = framework
  const parts = all.map((part) => partResult(part, results))
  return {
    v: complianceVersion,
    title: `${framework.title} ${framework.edition}`.trim(),
    framework: named,
    scope,
    from: new Date(fromMs).toISOString(),
    to: new Date(toMs).toISOString(),
    firstAt: gathered.firstAt,
    lastAt: gathered.lastAt,
    summary: summaryOf(parts),
    seed,
    decisions: gathered.decisions,
    days: gathered.days,
    parts,
    checks: results,
    exceptions: exceptionStates(declared.exceptions, results, toMs),
    attested,
    declarations: declarations.map(({ id, at, by, actor, members }) => ({ id, at, by, actor, members })),
    inventory: inventoryOf(declared, gathered),
    checkpoints: verification.shards.map(({ shard, origin, size, root, note }) => {
      const { witnessed, stamps } = sources.find((one) => one.shard === shard)!.pin
      return { shard, origin, size, root, note, stamps, ...(witnessed !== undefined && { witnessed }) }
    }),
    verifierKey: verification.verifierKey,
    verified: {
      ok: verification.ok,
      broken: verification.broken,
      findings: verification.findings
        .filter(({ level }) => level !== 'note')
        .slice(0, 100)
        .map(({ level, shard, index, code, what }) => `${level} ${shard}/${index ?? '-'} ${code}: ${what}`),
    },
    rules,
    ...(previous && { since: changesSince(previous, results) }),
    limits,
  }
}

function inventoryOf({ inventory }: Declared, { observed }: Gathered): ComplianceReport['inventory'] {
  const { source, workloads } = inventory
  const unseen = workloads.filter((one) => !observed.some((id) => fits(one, id)))
  const undeclared = source === '' ? [] : observed.filter((id) => !workloads.some((one) => fits(one, id)))
  return {
    ...{ source, declared: workloads.length, observed: observed.length },
    ...{ unseen: unseen.slice(0, maxUnseen), undeclared: undeclared.slice(0, maxUnseen) },
  }
}

function changesSince(
  previous: ComplianceReport,
  results: readonly CheckResult[],
): NonNullable<ComplianceReport['since']> {
  const was = new Map<string, MeasuredVerdict>(previous.checks.map(({ id, verdict }) => [id, verdict]))
  const is = new Map<string, MeasuredVerdict>(results.map(({ id, verdict }) => [id, verdict]))
  const changes = [...new Set([...was.keys(), ...is.keys()])].sort().flatMap((check) => {
    const [before, after] = [was.get(check) ?? '', is.get(check) ?? ''] as const
    return before === after ? [] : [{ check, was: before, is: after }]
  })
  return { from: previous.from, to: previous.to, changes }
}
