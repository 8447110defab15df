/**
 * Words of compliance: what a check and a framework are, what a report says. Checks and frameworks come as files; what
 * they mean is audit/report's business.
 */

import type { Json } from './json.ts'

/** Version of the report's JSON; a reader reads its own and the one before. */
export const complianceVersion = 2

/**
 * What a check says. `insufficient-data` is never a pass. `not-observable` is said of what telemetry of a mesh cannot
 * show: of parts of a framework, and of checks whose records lack what they would be measured by.
 */
export type MeasuredVerdict = 'pass' | 'fail' | 'insufficient-data' | 'not-applicable' | 'not-observable'

export const measuredVerdicts: readonly MeasuredVerdict[] = [
  'pass',
  'fail',
  'insufficient-data',
  'not-applicable',
  'not-observable',
]

/** A number that decides, with its unit and the reason for its default. */
export interface CheckParameter {
  readonly value: number
  readonly unit: string
  /** Who says so: a paragraph, or our own reason. */
  readonly source: string
}

/** What a member of a record has to be. A text names one value; `$name` is the parameter of that name. */
export type Condition =
  | string
  | number
  | boolean
  | { readonly in: readonly (string | number | boolean)[] }
  | { readonly not: string | number | boolean | readonly (string | number | boolean)[] }
  | { readonly exists: boolean }
  | { readonly startsWith: string }
  | { readonly over: number | string }
  | { readonly under: number | string }

/** Records of a kind whose members are all as they say, or as one of `any` says. */
export interface TallyRule {
  readonly kind: string
  /** By path, its steps after dots: `peer.proof`. One that begins with `@` is worked out: see `docs/COMPLIANCE.md`. */
  readonly where?: Readonly<Record<string, Condition>>
  readonly any?: readonly Readonly<Record<string, Condition>>[]
  /** Path of whom a record is about, by whom it is counted too. Default `@edge` for decisions, else `producer`. */
  readonly by?: string
}

/** A check as its file has it. */
export interface CheckDefinition {
  readonly id: string
  readonly title: string
  /** What is measured, in one sentence or two. */
  readonly measures: string
  readonly parameters: Readonly<Record<string, CheckParameter>>
  /** Counted by name, each with a sample. */
  readonly tallies: Readonly<Record<string, TallyRule>>
  /** Gatherings of ours that a filter cannot say: `completeness`, `integrity`, … */
  readonly facts: readonly string[]
  /** Declared inputs without which there is not enough to tell. */
  readonly needs: readonly string[]
  /** Entry point of the rule that judges: `writ/checks/m02/result`. */
  readonly rule: string
  readonly notCovered: readonly string[]
  /** What to do where it fails. */
  readonly cure: string
}

/** A leaf of the log. */
export interface LeafPlace {
  readonly shard: number
  readonly index: number
}

/** So many, some to look up, and whom they are about. */
export interface Tally {
  readonly count: number
  readonly sample: readonly LeafPlace[]
  /** The most frequent first; those beyond the bound are in `otherSubjects`. */
  readonly subjects: readonly { readonly name: string; readonly count: number }[]
  readonly otherSubjects: number
}

/** What a check's rule is asked about. */
export interface CheckEvidence {
  readonly check: string
  readonly parameters: Readonly<Record<string, number>>
  readonly tallies: Readonly<Record<string, Omit<Tally, 'sample'>>>
  readonly facts: { readonly [name: string]: Json }
  /** Declared inputs that are there. */
  readonly declared: readonly string[]
  /** The log verifies: numbers of one that does not prove nothing. */
  readonly sound: boolean
}

export interface Amount {
  readonly value: number
  readonly of: string
}

/** What a rule answers. */
export interface CheckAnswer {
  readonly verdict: MeasuredVerdict
  readonly finding: string
  readonly numerator: Amount
  readonly denominator: Amount
  readonly threshold: string
  readonly exclusions: readonly string[]
  /** Tallies or facts whose records break the rule, and those that keep it: what is sampled. */
  readonly broken: readonly string[]
  readonly kept: readonly string[]
}

/** An exception that a person answers for. */
export interface ComplianceException {
  readonly id: string
  readonly check: string
  /** Whom it is about: a subject as the report names it; `*` at its end stands for any. */
  readonly subject: string
  readonly approver: string
  readonly risk: string
  readonly reason: string
  /** RFC 3339: from then on it counts no more. */
  readonly expires: string
}

export interface ExceptionState extends ComplianceException {
  /** `ran-out` by the end of the report's time. `unmatched`: nothing that broke the check is what it speaks of. */
  readonly state: 'in-force' | 'ran-out' | 'unmatched'
  /** How many of what broke the check it speaks of. */
  readonly matched: number
}

export interface SampledRecord extends LeafPlace {
  /** `epoch-seq`. */
  readonly id: string
  readonly timestamp: string
  /** It broke the check. */
  readonly breaks: boolean
}

/** A check as it was measured. */
export interface CheckResult extends Omit<CheckAnswer, 'broken' | 'kept'> {
  readonly id: string
  readonly title: string
  readonly measures: string
  readonly parameters: Readonly<Record<string, CheckParameter & { readonly given: boolean }>>
  /** Every subject that broke it is spoken of by an exception in force. The verdict stays what it is. */
  readonly accepted: boolean
  readonly subjects: readonly { readonly name: string; readonly count: number; readonly exception?: string }[]
  readonly sample: readonly SampledRecord[]
  readonly notCovered: readonly string[]
  readonly cure: string
  readonly rows: CheckEvidence
}

/** A part of a requirement that checks speak for, or that no telemetry can. */
export interface FrameworkPart {
  /** The framework's own id: `SC-8(1)`, `10.2.1.4`. */
  readonly id: string
  /** What it is about, in our own words. */
  readonly about: string
  /** Which part of it the checks speak for. */
  readonly part: string
  /** Default none: then `notObservable` says why. */
  readonly checks: readonly string[]
  readonly notObservable?: string
  /** A person compared it with the framework's text. Default false. */
  readonly confirmed: boolean
}

export interface Framework {
  /** `pci-dss`: what is typed. */
  readonly id: string
  readonly title: string
  /** Of the framework itself: `4.0.1`. */
  readonly edition: string
  /** Of our mapping, and the day that somebody looked at it last. */
  readonly version: string
  readonly reviewed: string
  readonly parts: readonly FrameworkPart[]
  /** Whose ids they are: a list in `ids/`, against which they are held. */
  readonly ids?: string
}

/** A part as the report has it: the worst of what its checks say. */
export interface PartResult extends FrameworkPart {
  readonly verdict: MeasuredVerdict
  /** It fails, and every check that fails is accepted. */
  readonly accepted: boolean
}

export interface ComplianceScope {
  readonly name: string
  /** A workload is in scope that fits one of each that is named. Default every one. */
  readonly services: readonly string[]
  readonly namespaces: readonly string[]
  readonly zones: readonly string[]
  readonly workloads: readonly string[]
}

/** What a person answered for in the log, in the time of a report. It changes no verdict. */
export interface Attested {
  /** Of its entry. */
  readonly id: string
  readonly at: string
  /** `access_review` or `evidence`. */
  readonly about: string
  /** A check, a part of a framework, a scope. */
  readonly subject: string
  readonly statement: string
  readonly by: string
  readonly actor: string
  readonly documents: readonly { readonly name: string; readonly sha256: string }[]
}

/** What somebody declared in the log, beside the declared file. */
export interface Declaration {
  readonly id: string
  readonly at: string
  readonly by: string
  readonly actor: string
  /** What it declares: `zones`, `approvals`, … */
  readonly members: readonly string[]
}

export interface ComplianceReport {
  readonly v: typeof complianceVersion
  readonly title: string
  readonly framework: Omit<Framework, 'parts'>
  readonly scope: ComplianceScope
  /** RFC 3339; from included, to not. */
  readonly from: string
  readonly to: string
  readonly firstAt: string
  readonly lastAt: string
  /** `12 of 14 mapped parts measured, 9 pass, 3 fail (1 accepted)`. */
  readonly summary: string
  /** Leaves are drawn by it. */
  readonly seed: string
  readonly decisions: { readonly allow: number; readonly deny: number; readonly fault: number }
  /** By day: what a chart shows. */
  readonly days: readonly {
    readonly day: string
    readonly allow: number
    readonly deny: number
    readonly fault: number
  }[]
  readonly parts: readonly PartResult[]
  readonly checks: readonly CheckResult[]
  readonly exceptions: readonly ExceptionState[]
  readonly attested: readonly Attested[]
  readonly declarations: readonly Declaration[]
  readonly inventory: {
    /** Where the denominator comes from; empty where nobody declared it. */
    readonly source: string
    readonly declared: number
    readonly observed: number
    /** Declared, and nothing of it was seen: what no number here speaks of. */
    readonly unseen: readonly string[]
    /** Seen, and not declared. */
    readonly undeclared: readonly string[]
  }
  readonly checkpoints: readonly {
    readonly shard: number
    readonly origin: string
    readonly size: number
    readonly root: string
    readonly note: string
    /** The checkpoint that witnesses had cosigned then, and how many time stamps there were. */
    readonly witnessed?: string
    readonly stamps: number
  }[]
  readonly verifierKey: string
  readonly verified: { readonly ok: boolean; readonly broken: number; readonly findings: readonly string[] }
  /** Of the rules that judged: revision and digest of their bundle. */
  readonly rules: readonly { readonly bundle: string; readonly revision: string; readonly sha256: string }[]
  /** What changed since the report that it was compared with. */
  readonly since?: {
    readonly from: string
    readonly to: string
    readonly changes: readonly {
      readonly check: string
      readonly was: MeasuredVerdict | ''
      readonly is: MeasuredVerdict | ''
    }[]
  }
  readonly limits: readonly string[]
}

/** Asks a rule of a check. Never throws. */
export type JudgeCheck = (
  rule: string,
  evidence: CheckEvidence,
) => { readonly ok: true; readonly value: Json } | { readonly ok: false; readonly detail: string }
