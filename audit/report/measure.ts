/** From evidence to results: the rule of each check is asked, exceptions are held beside what it says. */

import { z } from 'zod'
import type {
  CheckAnswer,
  CheckDefinition,
  CheckEvidence,
  CheckResult,
  ComplianceException,
  ExceptionState,
  FrameworkPart,
  JudgeCheck,
  LeafPlace,
  MeasuredVerdict,
  PartResult,
} from '../../core/compliance.ts'
import { measuredVerdicts } from '../../core/compliance.ts'
import type { Gathered, Tallied } from './gather/gather.ts'
import { fits } from './gather/scope.ts'

/** Leaves of one check that are sampled. */
const maxSample = 40

const amount = z.object({ value: z.number(), of: z.string() })
const answerShape = z.object({
  ...{ verdict: z.enum(measuredVerdicts as [MeasuredVerdict]), finding: z.string(), threshold: z.string() },
  ...{ numerator: amount, denominator: amount, exclusions: z.array(z.string()) },
  ...{ broken: z.array(z.string()), kept: z.array(z.string()) },
})

/** A result whose sample is not looked up yet. */
export type Measured = Omit<CheckResult, 'sample'> & {
  /** What is sampled: tallies that break the rule, and those that keep it. */
  readonly drawn: readonly (Tallied & { readonly breaks: boolean })[]
}

export function measureCheck(
  check: CheckDefinition,
  gathered: Gathered,
  given: Readonly<Record<string, number>>,
  exceptions: readonly ComplianceException[],
  judge: JudgeCheck,
): Measured {
  const evidence = gathered.evidence.get(check.id)!
  const tallies = gathered.tallies.get(check.id)!
  const answer = answerOf(check, evidence, judge)
  const broken = answer.broken.flatMap((name) => tallies.get(name) ?? [])
  const kept = answer.kept.flatMap((name) => tallies.get(name) ?? [])
  const subjects = answer.verdict === 'fail' ? subjectsOf(broken, exceptions) : []
  const lost = broken.some(({ otherSubjects }) => otherSubjects > 0)
  const accepted = subjects.length > 0 && !lost && subjects.every(({ exception }) => exception !== undefined)
  const { broken: _, kept: __, ...said } = answer
  return {
    ...said,
    id: check.id,
    title: check.title,
    measures: check.measures,
    parameters: Object.fromEntries(
      Object.entries(check.parameters).map(([name, one]) => [
        name,
        { ...one, value: evidence.parameters[name]!, given: given[name] !== undefined },
      ]),
    ),
    accepted,
    subjects,
    drawn:
      answer.verdict === 'fail'
        ? broken.map((one) => ({ ...one, breaks: true }))
        : kept.map((one) => ({ ...one, breaks: false })),
    notCovered: check.notCovered,
    cure: check.cure,
    rows: evidence,
  }
}

/** What is declared decides before the rule does; what the rule cannot say is never a pass. */
function answerOf(check: CheckDefinition, evidence: CheckEvidence, judge: JudgeCheck): CheckAnswer {
  const lacking = check.needs.filter((name) => !evidence.declared.includes(name))
  const nothing = { value: 0, of: 'measured' }
  const unsure = (finding: string): CheckAnswer => ({
    ...{ verdict: 'insufficient-data', finding, numerator: nothing, denominator: nothing, threshold: '' },
    ...{ exclusions: [], broken: [], kept: [] },
  })
  if (lacking.length > 0) return unsure(`Nobody declared ${lacking.join(' and ')}, without which this cannot be told.`)
  const judged = judge(check.rule, evidence)
  if (!judged.ok) return unsure(`The rule of this check could not be evaluated: ${judged.detail}`)
  const read = answerShape.safeParse(judged.value)
  if (!read.success) {
    const { path, message } = read.error.issues[0]!
    return unsure(`The rule of this check answered something else than a result: ${path.join('.')}: ${message}`)
  }
  // A rule by others may forget to ask; numbers of a log that does not verify prove nothing.
  if (read.data.verdict === 'pass' && !evidence.sound) {
    return {
      ...read.data,
      verdict: 'insufficient-data',
      finding: 'The log that the numbers come from does not verify.',
    }
  }
  return read.data
}

function subjectsOf(broken: readonly Tallied[], exceptions: readonly ComplianceException[]): Measured['subjects'] {
  const sums = new Map<string, number>()
  for (const { subjects } of broken) {
    for (const { name, count } of subjects) sums.set(name, (sums.get(name) ?? 0) + count)
  }
  return [...sums]
    .sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1))
    .map(([name, count]) => {
      const exception = exceptions.find(({ subject }) => fits(subject, name))
      return { name, count, ...(exception && { exception: exception.id }) }
    })
}

/** Leaves of one check that are sampled, each once, in the order of the log. */
export async function placesOf(
  drawn: Measured['drawn'],
): Promise<readonly (LeafPlace & { readonly breaks: boolean })[]> {
  const places = new Map<string, LeafPlace & { readonly breaks: boolean }>()
  for (const { draw, breaks } of drawn) {
    for (const { shard, index } of await draw()) {
      if (places.size < maxSample) places.set(`${shard}/${index}`, { shard, index, breaks })
    }
  }
  return [...places.values()].sort((a, b) => a.shard - b.shard || a.index - b.index)
}

/** Of the check of an exception, those that are in force at the end of the time; one that ran out accepts nothing. */
export const inForce = (exceptions: readonly ComplianceException[], toMs: number): readonly ComplianceException[] =>
  exceptions.filter(({ expires }) => Date.parse(expires) > toMs)

export function exceptionStates(
  exceptions: readonly ComplianceException[],
  results: readonly Pick<CheckResult, 'id' | 'subjects'>[],
  toMs: number,
): readonly ExceptionState[] {
  return exceptions.map((one) => {
    const subjects = results.find(({ id }) => id === one.check)?.subjects ?? []
    const matched = subjects.filter(({ name }) => fits(one.subject, name)).reduce((sum, { count }) => sum + count, 0)
    const ranOut = Date.parse(one.expires) <= toMs
    return { ...one, matched, state: ranOut ? 'ran-out' : matched === 0 ? 'unmatched' : 'in-force' }
  })
}

/** The worst of what its checks say; what does not apply says nothing beside what does. */
export function partResult(part: FrameworkPart, results: readonly CheckResult[]): PartResult {
  const own = part.checks.flatMap((id) => results.find((result) => result.id === id) ?? [])
  const has = (verdict: MeasuredVerdict): boolean => own.some((result) => result.verdict === verdict)
  const missing = own.length < part.checks.length
  const order = ['fail', 'insufficient-data', 'not-observable', 'pass', 'not-applicable'] as const
  const verdict = part.checks.length === 0 ? 'not-observable' : (order.find(has) ?? 'insufficient-data')
  const failed = own.filter((result) => result.verdict === 'fail')
  return {
    ...part,
    verdict: missing && verdict !== 'fail' ? 'insufficient-data' : verdict,
    accepted: failed.length > 0 && failed.every(({ accepted }) => accepted),
  }
}

/** Never a share of a framework: only how many parts could be measured, and how many of those hold. */
export function summaryOf(parts: readonly PartResult[]): string {
  const count = (...verdicts: readonly MeasuredVerdict[]): number =>
    parts.filter(({ verdict }) => verdicts.includes(verdict)).length
  const mapped = parts.length - parts.filter(({ checks }) => checks.length === 0).length
  const accepted = parts.filter((part) => part.accepted).length
  const failed = count('fail')
  const measured = `${count('pass', 'fail')} of ${mapped} mapped parts measured, ${count('pass')} pass`
  return failed === 0 ? measured : `${measured}, ${failed} fail${accepted > 0 ? ` (${accepted} accepted)` : ''}`
}
