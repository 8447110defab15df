import { readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, expect, onTestFinished, test } from 'vitest'
import { startDelivery } from '../../../audit/findings/node/deliver.ts'
import { makeFinder } from '../../../audit/findings/node/finder.ts'
import { postFinding } from '../../../audit/findings/node/webhook.ts'
import { findingDefaults } from '../../../audit/findings/settings.ts'
import { parseVerifierKey } from '../../../audit/log/note.ts'
import { verifyEd25519 } from '../../../audit/node/ed25519.ts'
import type { Store } from '../../../audit/node/store.ts'
import { checksIn } from '../../../audit/query/node/checks.ts'
import { type FindingsAsked, findingsIn } from '../../../audit/query/node/findings.ts'
import { openWatch } from '../../../audit/report/node/watch.ts'
import { duePeriods, periodAt, type ScheduledReport } from '../../../audit/report/schedule.ts'
import { checkSigned } from '../../../audit/report/signed.ts'
import { logPlace } from '../../../cli/wire/audit.ts'
import { type ComplianceWatch, openComplianceWatch } from '../../../cli/wire/compliance-watch.ts'
import { toHex } from '../../../core/bytes.ts'
import type { CheckResult, ComplianceReport, MeasuredVerdict } from '../../../core/compliance.ts'
import type { AuditEvent, FindingBody, ReportBody } from '../../../core/record.ts'
import { makeProducer, makeWorld, message, openTestStore, sha256, type World } from '../node/auditor-fixture.ts'

/** Between reports and by schedule, beside a real auditor and its log. */

let store: Store
let world: World
let closing: (() => unknown)[]
beforeAll(async () => {
  store = await openTestStore()
})
beforeEach(async () => {
  world = await makeWorld(store)
  closing = []
})
afterEach(async () => {
  for (const close of closing.reverse()) await close()
  await world.end()
})
afterAll(() => store.close())

/** 15 January 2027, where the clock of these logs stands. */
const dayMs = 86_400_000
const startMs = Date.parse('2027-01-15T00:00:00Z')

async function opened() {
  const finder = makeFinder({
    ...{
      store,
      settings: () => findingDefaults,
      sinks: () => ['webhook'],
      own: '',
      nowMs: () => startMs,
      everyMs: 1e9,
    },
    onFault: (thrown) => {
      throw thrown
    },
  })
  const auditor = await world.open(undefined, { onStored: finder.onStored })
  await finder.start(auditor)
  closing.push(() => finder.close())
  const producer = makeProducer()
  await auditor.ingest(0, [
    message(1, producer.producer, [producer.start(), ...producer.decisions(5), producer.head()]),
  ])
  await auditor.checkpoint()
  return { finder, auditor }
}

const reports = async () =>
  (await world.log()).filter((event): event is AuditEvent<ReportBody> => event.kind === 'report')
const findings = async () =>
  (await world.log()).filter((event): event is AuditEvent<FindingBody> => event.kind === 'finding')

function saying(verdicts: Readonly<Record<string, MeasuredVerdict>>, toMs: number): ComplianceReport {
  const checks = Object.entries(verdicts).map(([id, verdict]) => ({
    ...{ id, verdict, title: `title of ${id}`, accepted: false, finding: `it says ${verdict}` },
    sample: [
      { shard: 0, index: 3, id: 'ok-3', timestamp: '', breaks: false },
      { shard: 0, index: 4, id: 'bad-4', timestamp: '', breaks: verdict === 'fail' },
    ],
  })) as unknown as CheckResult[]
  const checkpoints = [{ shard: 0, origin: 'bank.example/audit/0', size: 8, root: 'ab', note: '', stamps: 0 }]
  const [from, to] = [new Date(toMs - dayMs).toISOString(), new Date(toMs).toISOString()]
  return { checks, checkpoints, from, to } as unknown as ComplianceReport
}

test('a check that turns is an entry with its checkpoint and what broke it, and one that does not is none', async () => {
  const { finder } = await opened()
  let verdicts: Readonly<Record<string, MeasuredVerdict>> = { M01: 'pass', M02: 'pass', M11: 'insufficient-data' }
  let nowMs = startMs
  const open = () => {
    const watch = openWatch({
      ...{ db: store.db, tell: finder.tell, periodMs: dayMs, everyMs: 1e9, mayLook: () => true, nowMs: () => nowMs },
      report: async (_, toMs) => saying(verdicts, toMs),
      onFault: () => undefined,
    })
    closing.push(() => watch.close())
    return watch
  }
  const watch = open()
  await watch.look()
  await watch.look()
  expect((await checksIn(store.db)).map(({ check, turns }) => `${check} ${turns.map(({ is }) => is)}`)).toEqual([
    'M01 pass',
    'M02 pass',
  ])
  nowMs += 60_000
  verdicts = { ...verdicts, M02: 'fail' }
  await watch.look()
  nowMs += 60_000
  await open().look() // Another start: what was told is known.
  nowMs += 60_000
  verdicts = { ...verdicts, M02: 'pass' }
  await watch.look()

  const told = (await findings()).filter(({ subject }) => subject === 'M02')
  expect(told.map(({ severity, facts: { was, is } }) => `${severity} ${was} ${is}`)).toEqual([
    'info insufficient-data pass',
    'high pass fail',
    'low fail pass',
  ])
  expect(told[1]).toMatchObject({
    finding: 'check_turned',
    evidence: ['bad-4'],
    facts: { checkpoints: [{ origin: 'bank.example/audit/0', size: 8, root: 'ab' }] },
  })
  const listed = async (asked: FindingsAsked) =>
    (await findingsIn(store.db, asked)).findings.map(({ body }) => `${body.subject} ${body.severity}`)
  expect(await listed({})).toEqual(['M02 low', 'M02 high'])
  expect(await listed({ all: true })).toEqual(['M02 low', 'M02 high', 'M02 info', 'M01 info'])
  const [, m02] = await checksIn(store.db)
  expect(m02!.turns.map(({ id, is, records }) => [id === undefined, is, records])).toEqual([
    [false, 'pass', []],
    [false, 'fail', ['bad-4']],
    [false, 'pass', []],
  ])
})

test('a turn goes to the webhook as an OCSF Compliance Finding', async () => {
  const { finder } = await opened()
  const posted: { readonly class_uid: number; readonly compliance: object; readonly finding_info: object }[] = []
  const server = createServer((request, response) => {
    let text = ''
    request.on('data', (chunk) => {
      text += String(chunk)
    })
    request.on('end', () => {
      posted.push(JSON.parse(text))
      response.end()
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void server.close())
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const send = postFinding({
    ...{ url, secret: 's'.repeat(16), product: { trustDomain: 'bank.example' }, nowMs: () => startMs },
  })
  const delivering = startDelivery({ db: store.db, sink: 'webhook', send, onFault: () => undefined, everyMs: 5 })
  closing.push(() => delivering.close())
  const watch = openWatch({
    ...{ db: store.db, tell: finder.tell, periodMs: dayMs, everyMs: 1e9, mayLook: () => true, nowMs: () => startMs },
    report: async (_, toMs) => saying({ M02: 'fail' }, toMs),
    onFault: () => undefined,
  })
  closing.push(() => watch.close())
  await watch.look()
  await expect.poll(() => posted.length).toBe(1)
  expect(posted[0]).toMatchObject({
    ...{ class_uid: 2003, type_uid: 200301, severity: 'High' },
    compliance: { control: 'M02', status_id: 3, status: 'Fail' },
    finding_info: { related_events: [{ uid: 'bad-4' }] },
  })
})

const daily: Omit<ScheduledReport, 'to'> = {
  ...{ name: 'daily', framework: 'all', period: 'day', formats: ['html', 'csv', 'evidence'] },
}

test('a report by schedule is made once for each period: over a failure, a restart and a kill between entry and folder', async () => {
  const { finder, auditor } = await opened()
  let nowMs = startMs + dayMs
  const to = join(world.dir, 'reports')
  const said: string[] = []
  const open = (): ComplianceWatch => {
    const watch = openComplianceWatch({
      log: { store, auditor, verifierKey: world.signer.verifierKey, tell: finder.tell, close: async () => undefined },
      place: logPlace(join(world.dir, 'log'), world.signer.verifierKey),
      settings: { reports: [{ ...daily, to: 'reports' }] },
      meshFile: join(world.dir, 'mesh.yaml'),
      signKey: join(world.dir, 'report.key'),
      nowMs: () => nowMs,
      onEvent: ({ text }) => said.push(text),
      dueEveryMs: 1e9,
    })
    closing.push(() => watch.close())
    return watch
  }
  const watch = open()
  await watch.makeDue() // The day is over, but not for five minutes.
  expect(await reports()).toEqual([])
  nowMs += 300_000

  await writeFile(to, 'a file where the folder should be')
  await watch.makeDue()
  expect((await watch.schedule()).reports[0]).toMatchObject({ next: { label: '2027-01-15' }, fault: /EEXIST|ENOTDIR/ })
  await rm(to)
  await watch.makeDue()
  await watch.makeDue()
  const folder = join(to, 'daily-2027-01-15')
  expect(await readdir(to)).toEqual(['daily-2027-01-15'])
  expect((await readdir(folder)).sort()).toEqual([
    ...['csv', 'evidence', 'report.html', 'report.json', 'report.note', 'report.pub'],
  ])
  expect(await readdir(join(folder, 'evidence/records'))).not.toEqual([])
  const checked = await checkSigned(
    await readFile(join(folder, 'report.note'), 'utf8'),
    parseVerifierKey(sha256, (await readFile(join(folder, 'report.pub'), 'utf8')).trim())!,
    (path) => readFile(join(folder, path)),
    { sha256, verifyNote: verifyEd25519 },
  )
  expect(checked.ok && checked.files.filter(({ fault }) => fault !== '')).toEqual([])
  const [entry] = await reports()
  const json = new Uint8Array(await readFile(join(folder, 'report.json')))
  expect(entry).toMatchObject({ schedule: 'daily', by: 'schedule', sha256: toHex(sha256(json)), framework: 'all' })

  await rename(folder, `${folder}.part`) // As a process leaves it that was killed in between.
  await open().makeDue()
  expect(await readdir(to)).toEqual(['daily-2027-01-15'])
  expect(await reports()).toHaveLength(1)

  nowMs += 2 * dayMs // It was down for a day.
  await auditor.checkpoint()
  const after = open()
  await after.makeDue()
  expect((await readdir(to)).sort()).toEqual(['daily-2027-01-15', 'daily-2027-01-16', 'daily-2027-01-17'])
  expect((await reports()).map(({ from }) => from.slice(0, 10))).toEqual(['2027-01-15', '2027-01-16', '2027-01-17'])
  const second = JSON.parse(await readFile(join(to, 'daily-2027-01-16/report.json'), 'utf8')) as ComplianceReport
  expect(second.since?.from).toBe('2027-01-15T00:00:00.000Z')
  // Its own entries are among what it reports on, and it may write them.
  expect(second.verified.findings.filter((one) => one.includes('forbidden_kind'))).toEqual([])
  expect((await after.schedule()).reports[0]).toMatchObject({
    last: { label: '2027-01-17', folder: join(to, 'daily-2027-01-17') },
    next: { label: '2027-01-18', at: '2027-01-19T00:00:00.000Z' },
  })
})

test('periods are of the calendar, and what was missed is due, a dozen at most', () => {
  const label = (period: ScheduledReport['period'], at: string) => periodAt(period, Date.parse(at)).label
  expect(label('quarter', '2026-09-30T23:59:59Z')).toBe('2026-Q3')
  expect(label('quarter', '2026-10-01T00:00:00Z')).toBe('2026-Q4')
  expect(label('month', '2026-02-28T00:00:00Z')).toBe('2026-02')
  expect(label('week', '2027-01-03T12:00:00Z')).toBe('2026-W53') // A Sunday, as ISO 8601 counts.
  expect(label('week', '2027-01-04T00:00:00Z')).toBe('2027-W01')
  expect(label('year', '2026-12-31T12:00:00Z')).toBe('2026')
  const now = Date.parse('2026-11-28T00:00:00Z')
  expect(duePeriods('month', undefined, now).map((one) => one.label)).toEqual(['2026-10'])
  expect(duePeriods('month', Date.UTC(2026, 7), now).map((one) => one.label)).toEqual(['2026-09', '2026-10'])
  expect(duePeriods('month', Date.UTC(2026, 9), now)).toEqual([])
  expect(duePeriods('day', 0, now)).toHaveLength(12)
})
