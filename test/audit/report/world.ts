/** A log in which all checks hold, ways to break one of them, and the report of it. */

import { generateKeyPairSync, sign } from 'node:crypto'
import { cosign, cosignerKey, formatCosignerKey } from '../../../audit/log/cosignature.ts'
import { parseNote } from '../../../audit/log/note.ts'
import { type LogPolicy, parsePolicy } from '../../../audit/log/policy.ts'
import {
  type ComplianceParts,
  type ComplianceSettings,
  type MadeReport,
  makeComplianceReport,
} from '../../../audit/report/compliance.ts'
import { readDeclared } from '../../../audit/report/files/declared.ts'
import { everything } from '../../../audit/report/gather/scope.ts'
import { type Catalogue, readCatalogue } from '../../../audit/report/node/catalogue.ts'
import { type CheckRules, openCheckRules } from '../../../cli/wire/compliance.ts'
import { fromUtf8, toBase64, utf8 } from '../../../core/bytes.ts'
import type { CheckResult, ComplianceReport, Framework, JudgeCheck } from '../../../core/compliance.ts'
import type { Json } from '../../../core/json.ts'
import { type AuditEvent, decisionId, type EventBody, parseEvent, type StartBody } from '../../../core/record.ts'
import { type Files, filesOf, partsOf, Signer } from '../verify/log.ts'
import { type Call, decisionBody, id, Producer, sha256, startMs, testRoot } from '../verify/producer.ts'

export const digest: string = 'ab'.repeat(32)
export const fromMs: number = startMs
export const toMs: number = startMs + 3_600_000

export const declaredFile: { readonly [member: string]: Json } = {
  inventory: { source: 'a list kept by hand', workloads: ['spiffe://bank.example/orders'] },
  zones: {
    front: ['spiffe://bank.example/web'],
    back: ['spiffe://bank.example/orders'],
    vault: ['spiffe://bank.example/ledger'],
  },
  flows: [{ from: 'front', to: 'back' }],
  approvals: [
    {
      ...{ bundle: 'orders', sha256: digest, author: 'ana', approvers: ['bo'] },
      ...{ approvedAt: '2026-11-22T09:00:00Z', tests: 'passed' },
    },
  ],
  readers: ['uid 1000'],
  personal: ['/input/attributes/request/http/headers/x-user'],
}

export class World {
  readonly control: Producer
  readonly auditor: Producer
  readonly orders: Producer
  readonly leaves: Uint8Array[] = []

  /** `without` leaves a part of the good log out; `start` is what the proxy says of itself. */
  constructor(without: readonly string[] = [], start: Partial<StartBody> = {}) {
    const long = startMs - 400 * 86_400_000
    this.control = new Producer('writ/control', long)
    this.auditor = new Producer('writ/auditor', long)
    this.orders = new Producer('orders', startMs - 50_000)
    const { control, auditor, orders } = this
    const put = (name: string, make: () => Uint8Array): void => {
      if (!without.includes(name)) this.leaves.push(make())
    }
    put('', () => control.start())
    const trust = { kind: 'trust', trust_domain: 'bank.example' as never, sequence: 1 } as const
    put('', () => control.write({ ...trust, roots: [toBase64(testRoot)] }))
    put('', () => control.head())
    put('', () => auditor.write({ kind: 'start', software: 'test', svid: [] }))
    this.at(startMs - 40_000)
    const tls = { min: 'TLSv1.3', ciphers: ['TLS_AES_256_GCM_SHA384', 'TLS_CHACHA20_POLY1305_SHA256'] }
    orders.nowMs = startMs + 500
    const svid = orders.chain.map((der) => toBase64(der))
    put('', () => orders.write({ kind: 'start', software: 'test', svid, tls, ...start }))
    const revision = { kind: 'policy', bundle: 'orders', revision: 'r1', sha256: digest } as const
    put('published', () => control.write({ ...revision, action: 'published' }))
    const life = { not_before: '2026-11-23T11:00:00Z', not_after: '2026-11-23T13:00:00Z', evidence: 'svid:01' }
    const issued = { kind: 'issuance', action: 'issued', subject: id('web'), serial: '0a1b', ...life } as const
    put('issued', () => control.write(issued))
    this.at(startMs + 1000)
    put('activated', () => control.write({ ...revision, action: 'activated' }))
    const read = { kind: 'audit_read', door: 'socket', reader: 'uid 1000', action: 'query', question: '' } as const
    put('read', () => control.write({ ...read, verdict: 'allow', count: 1, times: 1 }))
    for (let i = 0; i < 30; i++) {
      const verdict = i % 3 === 2 ? 'deny' : 'allow'
      put('decisions', () => orders.decision({ verdict, path: `/orders/${i}` }))
    }
    this.decide({}, showing('1'.repeat(64)))
    for (const drill of ['default_deny', 'fail_closed'] as const) {
      const body = { kind: 'drill', drill, workload: id('orders'), listener: 'orders/in', case: 'x' } as const
      put(drill, () => orders.write({ ...body, refused: true, observed: 'closed' }))
    }
    this.at(startMs + 100_000)
    put('finding', () => auditor.write(this.finding('first_seen')))
    const of = decisionId({ epoch: auditor.epoch, seq: auditor.seq - 1 })
    put('finding', () => control.write({ kind: 'acknowledgement', of, by: 'Bo', actor: 'uid 1000', note: 'known' }))
    this.at(startMs + 1_800_000)
  }

  /** All clocks. */
  at(ms: number): void {
    for (const one of [this.control, this.auditor, this.orders]) one.nowMs = ms
  }

  finding(finding: 'first_seen' | 'clock_skew' | 'unused_grant'): EventBody {
    const rest = { first_at: '', last_at: '', count: 1, facts: {}, evidence: [] }
    return { kind: 'finding', finding, severity: 'low', key: finding, subject: id('web'), what: 'w', ...rest }
  }

  /** Writes a record; its place is given back. */
  put(by: Producer, body: EventBody): number {
    return this.leaves.push(by.write(body)) - 1
  }

  /** A decision, with members changed that a producer of ours would not leave so. */
  decide(call: Call = {}, change: (body: { [member: string]: Json | undefined }) => void = () => undefined): number {
    const body = decisionBody(this.orders.name, call, this.orders.nowMs) as unknown as { [member: string]: Json }
    change(body as { [member: string]: Json | undefined })
    return this.put(this.orders, body as unknown as EventBody)
  }

  /** The hour ends: heads, and a last word of the ledger by which clocks are compared. */
  end(): readonly Uint8Array[] {
    this.at(Math.max(this.orders.nowMs, toMs - 30_000))
    this.leaves.push(this.orders.head(), this.control.head())
    this.put(this.auditor, this.finding('unused_grant'))
    return this.leaves
  }
}

/** With a token that its policy was shown. */
export const showing =
  (token: string) =>
  (body: { [member: string]: Json | undefined }): void => {
    const { writ } = body['input'] as { writ: { [member: string]: Json } }
    writ['token'] = { issuer: 'https://idp.example', provider: 'idp', sha256: token }
  }

export interface Made {
  readonly report: ComplianceReport
  readonly files: Files
  readonly signer: Signer
}

export interface Witnessing {
  /** When the witness cosigned, milliseconds since 1970; undefined where it did not. */
  readonly atMs: number | undefined
}

/** The report of leaves, under a checkpoint that a witness cosigned a minute before the end. */
export async function reportOf(
  leaves: readonly Uint8Array[],
  more: Partial<ComplianceSettings> & { readonly witness?: Witnessing; readonly declared?: never } = {},
  declared: Json = declaredFile,
  signer: Signer = new Signer(),
): Promise<Made> {
  const files = await filesOf(leaves, signer)
  const { witness = { atMs: toMs - 60_000 }, ...settings } = more
  const policy = await witnessed(files, witness)
  return { ...(await remade(files, signer, policy, settings, declared)), files, signer }
}

export async function remade(
  files: Files,
  signer: Signer,
  policy: LogPolicy,
  more: Partial<ComplianceSettings>,
  declared: Json = declaredFile,
  judging?: JudgeCheck,
  parts: Partial<ComplianceParts> = {},
): Promise<MadeReport> {
  const { judge: ours, rules } = await rulesOnce()
  const judge = judging ?? ours
  const { checks } = await catalogueOnce()
  const framework = await frameworkNamed('all')
  const settings = { framework, checks, declared: readDeclared(declared, 'declared'), scope: everything, fromMs, toMs }
  return makeComplianceReport({ ...partsOf([files], signer), judge, policy, ...parts }, { ...settings, rules, ...more })
}

const witnessKey = generateKeyPairSync('ed25519')

export async function witnessed(files: Files, { atMs }: Witnessing): Promise<LogPolicy> {
  const raw = new Uint8Array(witnessKey.publicKey.export({ format: 'der', type: 'spki' })).slice(-32)
  const key = cosignerKey(sha256, 'witness.example', raw)!
  if (atMs !== undefined) {
    const note = fromUtf8(files.get('checkpoint')!)
    const signing = (message: Uint8Array) => new Uint8Array(sign(null, message, witnessKey.privateKey))
    const line = await cosign(parseNote(note)!.text, key, Math.floor(atMs / 1000), signing)
    files.set('checkpoint', utf8(note + line))
    files.set('checkpoint.witnessed', utf8(note + line))
  }
  const policy = parsePolicy(sha256, utf8(`witness w ${formatCosignerKey(key)}\nquorum w\n`))
  if ('wrong' in policy) throw new Error(policy.wrong)
  return policy
}

export const policyOf = (files: Files): Promise<LogPolicy> => witnessed(files, { atMs: undefined })

let rules: CheckRules | undefined
export const rulesOnce = async (): Promise<CheckRules> => {
  rules ??= await openCheckRules()
  return rules
}

let catalogue: Catalogue | undefined
export const catalogueOnce = async (): Promise<Catalogue> => {
  catalogue ??= await readCatalogue({})
  return catalogue
}

export const frameworkNamed = async (name: string): Promise<Framework> =>
  (await catalogueOnce()).frameworks.find(({ id }) => id === name)!

export const checkOf = (report: ComplianceReport, wanted: string): CheckResult =>
  report.checks.find(({ id }) => id === wanted)!

/** What stands at a place of the log. */
export const eventAt = (leaves: readonly Uint8Array[], index: number): AuditEvent => {
  const read = parseEvent(leaves[index]!)
  if ('wrong' in read) throw new Error(read.wrong)
  return read.event
}
