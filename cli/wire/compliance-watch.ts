/** What the log does for compliance by itself: looks at the checks between reports, and makes the reports that are due. */

import { access, readFile, rename, rm } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import type { LogPlace } from '../../audit/node/examine.ts'
import { type CheckStatus, checksIn } from '../../audit/query/node/checks.ts'
import { entriesOf } from '../../audit/query/node/entries.ts'
import { beganMs, witnessedPins } from '../../audit/report/node/place.ts'
import { openWatch, type Watch } from '../../audit/report/node/watch.ts'
import { duePeriods, hasPath, type Period, periodAt, type ScheduledReport } from '../../audit/report/schedule.ts'
import type { Db } from '../../audit/store/schema.ts'
import type { ComplianceSettings } from '../../control/mesh/compliance.ts'
import { toHex } from '../../core/bytes.ts'
import type { ComplianceReport } from '../../core/compliance.ts'
import { messageOf, WritError } from '../../core/fault.ts'
import type { AuditEvent, ReportBody } from '../../core/record.ts'
import { readReport } from '../report-framework.ts'
import type { Log } from './log.ts'
import { sha256 } from './machine.ts'
import { entryOf, type Reporter, reporterOf, sumsIn, writeReport } from './report.ts'
import type { OnEvent } from './telemetry.ts'

export interface ComplianceWatchOptions {
  readonly log: Log
  readonly place: LogPlace
  readonly settings: ComplianceSettings
  /** Its folder is where paths of the settings begin. */
  readonly meshFile: string
  /** File of the key that signs reports, made where it is not there. */
  readonly signKey: string
  readonly nowMs: () => number
  readonly onEvent: OnEvent
  /** Time between two looks for reports that are due, in milliseconds. Default one minute. */
  readonly dueEveryMs?: number
}

/** What `writ report status` shows. */
export interface StatusAnswer {
  /** Undefined where no check is looked at between reports. */
  readonly everyMs: number | undefined
  readonly periodMs: number | undefined
  /** End of the last look, RFC 3339; undefined before the first. */
  readonly lookedAt: string | undefined
  readonly checks: readonly CheckStatus[]
}

/** What `writ report schedule` shows. */
export interface ScheduleAnswer {
  readonly reports: readonly (ScheduledReport & {
    readonly last?: ScheduledEntry
    readonly next: { readonly label: string; readonly at: string }
    /** Why the last attempt made none. */
    readonly fault?: string
  })[]
}

export interface ScheduledEntry {
  readonly label: string
  readonly id: string
  readonly at: string
  readonly sha256: string
  readonly summary: string
  readonly folder: string
}

export interface ComplianceWatch {
  readonly reporter: Reporter
  status(): Promise<StatusAnswer>
  schedule(): Promise<ScheduleAnswer>
  /** Looks at the checks now; does nothing where they are not looked at. */
  look(): Promise<void>
  /** Makes what is due now. */
  makeDue(): Promise<void>
  close(): Promise<void>
}

type Entry = AuditEvent<ReportBody> & { readonly id: string }

/** Time from the end of a period to its report, in milliseconds: what was decided in it is in the log by then. */
const settleMs = 300_000

/** Entries of reports that are looked through for those of a schedule. */
const maxEntries = 5000

export function openComplianceWatch(options: ComplianceWatchOptions): ComplianceWatch {
  const { log, settings, signKey, nowMs, onEvent } = options
  // The other cores are for what this process is there for, and its memory stays what it is.
  const place: LogPlace = { ...options.place, threads: 1 }
  const { db } = log.store
  const at = (path: string): string => resolve(dirname(options.meshFile), path)
  const reporter = reporterOf(
    {
      ...(settings.checks !== undefined && { checks: at(settings.checks) }),
      ...(settings.frameworks !== undefined && { frameworks: at(settings.frameworks) }),
      ...(settings.declared !== undefined && { declared: at(settings.declared) }),
    },
    nowMs,
    () => sumsIn(dirname(signKey), signKey),
  )
  const warn = (text: string): void => onEvent({ level: 'warn', from: 'compliance', text })
  const { status } = settings
  const mayLook = (): boolean => log.auditor.owns(0)
  const watch: Watch | undefined =
    status &&
    openWatch({
      ...{ db, ...status, mayLook, nowMs, tell: log.tell },
      report: (fromMs, toMs) => reporter.make(place, { fromMs, toMs }),
      onFault: (thrown) => warn(`the checks could not be looked at: ${messageOf(thrown)}`),
    })
  const faults = new Map<string, string>()
  let making: Promise<void> = Promise.resolve()
  let closed = false

  async function makeAll(): Promise<void> {
    for (const one of settings.reports) {
      try {
        const made = await madeBy(db, one.name)
        for (const entry of made.slice(0, 1)) await settle(one, entry)
        const last = made[0] && Date.parse(made[0].from)
        for (const period of duePeriods(one.period, last, nowMs() - settleMs)) {
          if (closed) return
          if (period.toMs > (await beganMs(place))) await makeOne(one, period)
        }
        faults.delete(one.name)
      } catch (thrown) {
        const text = messageOf(thrown)
        if (faults.get(one.name) !== text) warn(`the report ${one.name} could not be made: ${text}`)
        faults.set(one.name, text)
      }
    }
  }

  /** Whole in a folder beside its own, then in the log, then in its place: whatever stops it, no period has two entries. */
  async function makeOne(one: ScheduledReport, period: Period): Promise<void> {
    const folder = folderOf(one, period)
    const part = `${folder}.part`
    await rm(part, { recursive: true, force: true })
    const { framework, scope, formats, name } = one
    const { fromMs, toMs } = period
    const previous = await readReport(folderOf(one, periodAt(one.period, fromMs - 1))).catch(() => undefined)
    const pins = formats.includes('evidence') ? await witnessedPins(place) : undefined
    const report = await reporter.make(place, { framework, scope, fromMs, toMs, pins, previous })
    const written = await writeReport(report, place, {
      ...{ out: part, signKey, pdf: formats.includes('pdf'), keeps: (path) => hasPath(formats, path) },
      ...(formats.includes('evidence') && { evidence: {} }),
    })
    const entry = entryOf(report, written, 'schedule')
    const before = (await madeBy(db, name)).find(({ from }) => from === report.from)
    if (before) throw new WritError('in_use', `${name} ${period.label} was made meanwhile, as ${before.id}`)
    // Refused where another auditor has the shard: it is the one that makes reports.
    await log.auditor.append(0, [{ kind: 'report', ...entry, actor: 'writ', schedule: name }])
    await rename(part, folder)
    const { level, text } = told(report, name, period, folder)
    onEvent({ level, from: 'compliance', text })
  }

  /** One whose entry was kept, and whose folder did not come to its place. */
  async function settle(one: ScheduledReport, { from, sha256: digest }: Entry): Promise<void> {
    const folder = folderOf(one, periodAt(one.period, Date.parse(from)))
    if (await isThere(folder)) return
    const bytes = await readFile(join(`${folder}.part`, 'report.json')).catch(() => undefined)
    if (bytes && toHex(sha256(bytes)) === digest) await rename(`${folder}.part`, folder)
  }

  const folderOf = (one: ScheduledReport, { label }: Period): string => join(at(one.to), `${one.name}-${label}`)

  const makeDue = (): Promise<void> => {
    making = making.then(makeAll)
    return making
  }
  const timer = setInterval(() => {
    if (mayLook()) void makeDue()
  }, options.dueEveryMs ?? 60_000)
  timer.unref()

  return {
    reporter,
    async status() {
      const checks = await checksIn(db)
      return { everyMs: status?.everyMs, periodMs: status?.periodMs, lookedAt: watch?.lookedAt(), checks }
    },
    async schedule() {
      const reports = []
      for (const one of settings.reports) {
        const [entry] = await madeBy(db, one.name)
        const { label, toMs } =
          duePeriods(one.period, entry && Date.parse(entry.from), nowMs())[0] ?? periodAt(one.period, nowMs())
        const fault = faults.get(one.name)
        reports.push({
          ...one,
          ...(entry && { last: shown(one, entry) }),
          next: { label, at: new Date(toMs).toISOString() },
          ...(fault !== undefined && { fault }),
        })
      }
      return { reports }
    },
    look: async () => watch?.look(),
    makeDue,
    async close() {
      closed = true
      clearInterval(timer)
      await Promise.all([watch?.close(), making])
    },
  }

  function shown(one: ScheduledReport, { id, timestamp, from, sha256, summary }: Entry): ScheduledEntry {
    const period = periodAt(one.period, Date.parse(from))
    return { label: period.label, id, at: timestamp, sha256, summary, folder: folderOf(one, period) }
  }
}

/** Of a schedule, the newest period first. */
async function madeBy(db: Db, name: string): Promise<readonly Entry[]> {
  const entries = await entriesOf(db, 'report', maxEntries)
  return entries.filter(({ schedule }) => schedule === name).sort((a, b) => (a.from < b.from ? 1 : -1))
}

const told = (report: ComplianceReport, name: string, { label }: Period, folder: string) =>
  report.verified.ok
    ? ({ level: 'info', text: `made the report ${name} ${label}: ${report.summary}; ${folder}` } as const)
    : ({ level: 'warn', text: `made the report ${name} ${label} of a log that does not verify; ${folder}` } as const)

const isThere = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  )
