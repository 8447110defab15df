/** Judges a run from two sides: what callers were told, by their journal, and what the log's own files hold. */

import { join } from 'node:path'
import { sha256 } from '@noble/hashes/sha2.js'
import { rootAt } from '../../../audit/log/merkle.ts'
import { newestCheckpoint } from '../../../audit/log/prove.ts'
import { hashesFromTiles, readBundle, tileWidth } from '../../../audit/log/tiles.ts'
import { tileReader } from '../../../audit/node/folder.ts'
import { equalBytes } from '../../../core/bytes.ts'
import type { Checkpoint } from '../../../core/log.ts'
import {
  type AuditEvent,
  type DecisionBody,
  decisionId,
  type GapBody,
  type HeadBody,
  parseEvent,
  type StartBody,
} from '../../../core/record.ts'
import type { Durability } from '../../../core/snapshot.ts'
import type { Answer } from './load.ts'
import type { Kill } from './victims.ts'

export interface Evidence {
  readonly durability: Durability
  /** Longest time a record waits for its sync, in milliseconds. */
  readonly syncEveryMs: number
  readonly answers: readonly Answer[]
  readonly kills: readonly Kill[]
  readonly logDir: string
  /** Checkpoints that somebody saw meanwhile. */
  readonly seen: readonly Checkpoint[]
  /** What verification printed of the log. */
  readonly verification: string
  readonly producer: string
}

export interface Judgement {
  /** What must not be. Empty where the run held. */
  readonly wrong: readonly string[]
  readonly answered: number
  readonly acknowledged: { readonly allow: number; readonly deny: number }
  readonly refused: number
  readonly leaves: number
  readonly epochs: number
  /** Epochs of the proxy that a crash ended, each quoted by the start of the next. */
  readonly crashes: number
  readonly doubles: number
  /** Acknowledged and not in the log: those that the durability allows for among them. */
  readonly missing: number
  readonly missingAllowed: number
  /** Of those, how long before the cut the earliest was answered, in milliseconds. */
  readonly oldestLostMs: number
  readonly gaps: { readonly opened: number; readonly closed: number; readonly open: number }
  readonly checkpointsSeen: number
  /** Runs of the proxy whose spool was deleted, each named by verification. */
  readonly spoolsLost: number
}

interface Epoch {
  readonly producer: string
  readonly seqs: Set<number>
  last: number
  start: AuditEvent<StartBody> | undefined
  final: boolean
}

/** Slack of a busy machine: a timer that is late, a sync that waits for another. */
const scheduleMs = 250

export async function judge(evidence: Evidence): Promise<Judgement> {
  const { answers, kills, seen } = evidence
  const wrong: string[] = []
  const log = await readLog(evidence.logDir, wrong)
  const told = answers.filter(({ decision }) => decision !== '')
  for (const { path, status, decision } of answers) {
    if (status === 200 && decision === '') wrong.push(`${path} was answered 200 by no decision`)
  }
  let missing = 0
  let missingAllowed = 0
  let oldestLostMs = 0
  for (const answer of told) {
    const found = log.decisions.get(answer.decision)
    if (found) {
      const verdict = answer.status === 403 ? 'deny' : answer.status === 200 ? 'allow' : undefined
      if (found.path !== answer.path)
        wrong.push(`${answer.decision} is of ${found.path}, the caller of ${answer.path} was told it`)
      if (verdict && found.verdict !== verdict)
        wrong.push(`${answer.decision} is ${found.verdict}, the caller was answered ${answer.status}`)
      continue
    }
    missing++
    const excuse = excuseFor(answer, evidence, log.epochs)
    if ('why' in excuse)
      wrong.push(
        `${answer.path} was answered ${answer.status} by ${answer.decision}, which is not in the log: ${excuse.why}`,
      )
    else {
      missingAllowed++
      oldestLostMs = Math.max(oldestLostMs, excuse.lostMs)
    }
  }
  for (const [path, count] of log.perPath) if (count > 1) wrong.push(`${path} has ${count} decisions`)
  wrong.push(...unexplained(log))
  const wiped = kills.some((kill) => kill.wiped)
  const crashes = crashesOf(log, evidence.producer, wiped, wrong)
  const spoolsLost = lostSpools(log, evidence, wrong)
  for (const { size, root } of seen) {
    if (size > log.size || !equalBytes(root, await rootAt(sha256, size, log.hashAt))) {
      wrong.push(`a checkpoint of ${size} was published that the log of ${log.size} does not extend`)
    }
  }
  const allow = told.filter(({ status }) => status !== 403).length
  return {
    wrong,
    answered: answers.filter(({ status }) => status > 0).length,
    acknowledged: { allow, deny: told.length - allow },
    refused: answers.filter(({ status, decision }) => status > 0 && decision === '').length,
    leaves: log.size,
    epochs: log.epochs.size,
    crashes,
    doubles: log.doubles,
    missing,
    missingAllowed,
    oldestLostMs,
    gaps: { opened: log.opened, closed: log.closed, open: log.openGaps.size },
    checkpointsSeen: seen.length,
    spoolsLost,
  }
}

/** Why a decision that a caller was told may be missing, with how long before the cut that was; or why it may not. */
function excuseFor(
  answer: Answer,
  { durability, kills, syncEveryMs }: Evidence,
  epochs: ReadonlyMap<string, Epoch>,
): { readonly lostMs: number } | { readonly why: string } {
  const [epoch, seq] = answer.decision.split('-') as [string, string]
  const kept = epochs.get(epoch)
  if (kept && Number(seq) < kept.last) return { why: `the log has later ones of its epoch, up to ${kept.last}` }
  if (durability === 'replicated') return { why: 'Kafka had it' }
  // The run that answered ended with the next kill of the proxy.
  const kill = kills.find(({ victim, atMs }) => victim === 'proxy' && atMs >= answer.sentMs)
  if (!kill) return { why: 'nothing was killed after it' }
  const wiped = kills.find((each) => each.wiped && each.atMs >= kill.atMs)
  if (wiped) return { lostMs: 0 } // Still in the spool when that went: not in Kafka yet.
  const cut = cutAfter(kill, kills)
  if (!cut) return { why: 'only the process was killed' }
  if (durability === 'strict') return { why: 'it was synced' }
  if (answer.status === 403) return { why: 'a denial is synced' }
  const lostMs = kill.atMs - answer.gotMs
  const windowMs = syncEveryMs + 2 * Math.max(kill.longestSyncMs, cut.longestSyncMs) + scheduleMs
  return lostMs <= windowMs
    ? { lostMs }
    : { why: `it was answered ${lostMs} ms before the cut, and ${windowMs} is the window` }
}

/** The power cut that a kill was, or that came before the next run of the proxy was up and had synced what it found. */
function cutAfter(kill: Kill, kills: readonly Kill[]): Kill | undefined {
  if (kill.lost) return kill
  const next = kills.find(({ victim, atMs }) => victim === 'proxy' && atMs > kill.atMs)
  return next?.early ? cutAfter(next, kills) : undefined
}

interface Log {
  readonly size: number
  readonly hashAt: ReturnType<typeof hashesFromTiles>
  readonly decisions: ReadonlyMap<string, { readonly path: string; readonly verdict: string }>
  readonly perPath: ReadonlyMap<string, number>
  readonly epochs: ReadonlyMap<string, Epoch>
  readonly doubles: number
  readonly opened: number
  readonly closed: number
  /** `<epoch>-<seq>` of every number that a gap entry says is missing. */
  readonly openGaps: ReadonlySet<string>
}

async function readLog(dir: string, wrong: string[]): Promise<Log> {
  const read = tileReader(join(dir, '0'))
  const size = (await newestCheckpoint(read))?.checkpoint.size ?? 0
  const decisions = new Map<string, { path: string; verdict: string }>()
  const perPath = new Map<string, number>()
  const epochs = new Map<string, Epoch>()
  const openGaps = new Set<string>()
  let [doubles, opened, closed] = [0, 0, 0]
  for (let bundle = 0; bundle * tileWidth < size; bundle++) {
    for (const bytes of await readBundle(read, bundle, size)) {
      const parsed = parseEvent(bytes)
      if ('wrong' in parsed) {
        wrong.push(`a leaf is no record: ${parsed.wrong}`)
        continue
      }
      const { event } = parsed
      const id = decisionId(event)
      const epoch = epochs.get(event.epoch) ?? {
        producer: event.producer,
        seqs: new Set(),
        last: -1,
        start: undefined,
        final: false,
      }
      epochs.set(event.epoch, epoch)
      if (epoch.seqs.has(event.seq)) {
        doubles++
        wrong.push(`${id} is in the log twice`)
      }
      epoch.seqs.add(event.seq)
      epoch.last = Math.max(epoch.last, event.seq)
      if (event.kind === 'start') epoch.start = event as AuditEvent<StartBody>
      if (event.kind === 'head' && (event as AuditEvent<HeadBody>).final) epoch.final = true
      if (event.kind === 'anomaly') wrong.push(`an anomaly in the log: ${JSON.stringify(event).slice(0, 300)}`)
      if (event.kind === 'gap') {
        const { action, of, first, last } = event as AuditEvent<GapBody>
        if (action === 'opened') opened++
        else closed++
        for (let seq = first; seq <= last; seq++) {
          if (action === 'opened') openGaps.add(`${of.epoch}-${seq}`)
          else openGaps.delete(`${of.epoch}-${seq}`)
        }
      }
      if (event.kind !== 'decision') continue
      const path = pathOf(event as AuditEvent<DecisionBody>)
      decisions.set(id, { path, verdict: (event as AuditEvent<DecisionBody>).verdict })
      perPath.set(path, (perPath.get(path) ?? 0) + 1)
    }
  }
  const hashAt = hashesFromTiles(sha256, read, size)
  return { size, hashAt, decisions, perPath, epochs, doubles, opened, closed, openGaps }
}

function pathOf(event: AuditEvent<DecisionBody>): string {
  const input = event.input as {
    readonly attributes?: { readonly request?: { readonly http?: { readonly path?: string } } }
  }
  return input.attributes?.request?.http?.path ?? ''
}

/** Numbers that are neither there nor named by a gap, and gaps of numbers that are there. */
function unexplained({ epochs, openGaps }: Log): string[] {
  const wrong: string[] = []
  for (const [epoch, { seqs, last }] of epochs) {
    for (let seq = 0; seq < last; seq++) {
      const id = `${epoch}-${seq}`
      if (seqs.has(seq) === openGaps.has(id))
        wrong.push(`${id} is ${seqs.has(seq) ? 'there, and' : 'missing, and no'} gap`)
    }
  }
  for (const id of openGaps) wrong.push(`${id} is missing by a gap entry, though nothing that was sent may be`)
  return wrong
}

/** Each run of the proxy that ended is quoted by the next, with the number that the log has as its last. */
function crashesOf({ epochs }: Log, producer: string, wiped: boolean, wrong: string[]): number {
  const ours = [...epochs].filter(([, epoch]) => epoch.producer === producer)
  const quoted = new Map<string, string>()
  let crashes = 0
  let silent = 0
  for (const [id, { start }] of ours) {
    const previous = start?.previous
    if (!start) wrong.push(`epoch ${id} has no start`)
    if (!previous) {
      silent++
      continue
    }
    if (previous.ended === 'crash') crashes++
    if (quoted.has(previous.epoch))
      wrong.push(`epoch ${previous.epoch} is quoted by ${id} and ${quoted.get(previous.epoch)}`)
    quoted.set(previous.epoch, id)
    const former = epochs.get(previous.epoch)
    if (!former && !wiped) wrong.push(`epoch ${id} quotes ${previous.epoch}, which is not in the log`)
    if (former && former.last !== previous.seq)
      wrong.push(`epoch ${id} says ${previous.epoch} ended at ${previous.seq}; the log has ${former.last}`)
  }
  if (silent > 1 && !wiped) wrong.push(`${silent} epochs of the proxy quote none before`)
  const open = ours.filter(([id, { final }]) => !quoted.has(id) && !final).map(([id]) => id)
  if (open.length > 0 && !wiped) wrong.push(`no start quotes the end of ${open.join(', ')}`)
  return crashes
}

/** The run whose spool was deleted must be named as such by verification, where the log knows of it. */
function lostSpools({ epochs }: Log, { kills, producer, verification }: Evidence, wrong: string[]): number {
  const ours = [...epochs].filter(([, epoch]) => epoch.producer === producer && epoch.start)
  const startedMs = (epoch: Epoch): number => Date.parse(epoch.start!.timestamp)
  const lost = new Set<string>()
  for (const { wiped, atMs } of kills) {
    const before = wiped ? ours.filter(([, epoch]) => startedMs(epoch) <= atMs) : []
    before.sort(([, a], [, b]) => startedMs(b) - startedMs(a))
    const [id, epoch] = before[0] ?? []
    if (!id || epoch!.final || ours.some(([, { start }]) => start!.previous?.epoch === id)) continue
    lost.add(id)
  }
  const named = verification.split('\n').filter((line) => /^warning +spool_lost /.test(line))
  for (const id of lost) {
    if (!named.some((line) => line.includes(`${id}-`)))
      wrong.push(`the spool of ${id} was lost, and no finding says so`)
  }
  for (const line of named) {
    if (![...lost].some((id) => line.includes(`${id}-`))) wrong.push(`no spool was lost there: ${line}`)
  }
  return lost.size
}
