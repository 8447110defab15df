import { expect, test } from 'vitest'
import { tilePath } from '../../../audit/log/tiles.ts'
import type { CheckId } from '../../../audit/report/catalogue.ts'
import type { CheckVerdict } from '../../../audit/report/check.ts'
import { escapeHtml, formatHtml } from '../../../audit/report/html.ts'
import { makeReport, type Report, type ReportSettings } from '../../../audit/report/report.ts'
import { draw } from '../../../audit/report/reprove.ts'
import { filesOf, Mesh, partsOf, Signer } from '../verify/log.ts'
import { type Call, id, sha256, startMs } from '../verify/producer.ts'

async function reportOf(leaves: readonly Uint8Array[], settings: Partial<ReportSettings> = {}): Promise<Report> {
  const signer = new Signer()
  return (await makeReport(partsOf([await filesOf(leaves, signer)], signer), { range: {}, ...settings })).report
}

const verdicts = (report: Report) =>
  Object.fromEntries(report.checks.map(({ id, verdict }) => [id, verdict])) as Record<CheckId, CheckVerdict>

/** A report over ten good calls and one other. */
async function withCall(call: Call): Promise<Report> {
  const mesh = new Mesh().calls(10)
  mesh.leaves.push(mesh.orders.decision(call))
  return reportOf(mesh.head().leaves)
}

const checkOf = (report: Report, wanted: CheckId) => report.checks.find(({ id }) => id === wanted)!

test('a sound log with nothing but proven callers passes all six', async () => {
  const report = await reportOf(new Mesh().calls(30).head().leaves)
  expect(verdicts(report)).toEqual({ M01: 'pass', M02: 'pass', M04: 'pass', M06: 'pass', M08: 'pass', M09: 'pass' })
  expect(report.summary).toBe('6 of 6 checks measured, 6 pass')
  expect(checkOf(report, 'M01')).toMatchObject({ numerator: { value: 30 }, denominator: { value: 30 } })
  expect(checkOf(report, 'M09').denominator.value).toBe(32)
})

test('a log without traffic has no data, which is never a pass', async () => {
  const report = await reportOf(new Mesh().leaves)
  expect(verdicts(report)).toMatchObject({
    M01: 'insufficient-data',
    M02: 'insufficient-data',
    M04: 'insufficient-data',
  })
  expect(verdicts(await reportOf([]))).toMatchObject({ M08: 'insufficient-data', M09: 'insufficient-data' })
  expect(report.summary).toBe('2 of 6 checks measured, 2 pass')
})

test('M01: a refused stranger does not count, one that policy was asked about does', async () => {
  const refused = await withCall({ caller: undefined, verdict: 'deny', code: 'identity_missing' })
  expect(checkOf(refused, 'M01')).toMatchObject({
    verdict: 'pass',
    numerator: { value: 10 },
    denominator: { value: 10 },
  })
  const judged = await withCall({ caller: undefined, verdict: 'deny' })
  expect(checkOf(judged, 'M01')).toMatchObject({
    verdict: 'fail',
    numerator: { value: 10 },
    denominator: { value: 11 },
  })
  expect(verdicts(await withCall({ proof: 'jwt' }))).toMatchObject({ M01: 'fail', M02: 'pass' })
})

test('M02: one allow without identity fails it and is named; a denied one does not', async () => {
  const mesh = new Mesh().calls(10)
  mesh.leaves.push(mesh.orders.decision({ caller: undefined }))
  const failed = checkOf(await reportOf([...mesh.head().leaves]), 'M02')
  expect(failed).toMatchObject({ verdict: 'fail', numerator: { value: 1 }, denominator: { value: 8 } })
  expect(failed.sample).toEqual([{ shard: 0, index: mesh.leaves.length - 2 }])
  expect(verdicts(await withCall({ caller: undefined, verdict: 'deny' })).M02).toBe('pass')
})

test('M02: a peer that only declared itself is not proven, unless it called from its own outbound listener', async () => {
  expect(verdicts(await withCall({ proof: 'declared' })).M02).toBe('fail')
  expect(verdicts(await withCall({ proof: 'declared', direction: 'outbound', code: 'routed' })).M02).toBe('pass')
})

test('M04: 24 hours of life pass, a second more does not', async () => {
  const life = (ms: number) => withCall({ notBeforeMs: startMs, notAfterMs: startMs + ms })
  expect(verdicts(await life(86_400_000)).M04).toBe('pass')
  expect(verdicts(await life(86_401_000)).M04).toBe('fail')
})

test('M04: an allow after the end or before the beginning fails it, a denial does not', async () => {
  const expired = { notBeforeMs: startMs - 7_200_000, notAfterMs: startMs - 3_600_000 }
  expect(verdicts(await withCall(expired)).M04).toBe('fail')
  expect(verdicts(await withCall({ ...expired, verdict: 'deny' })).M04).toBe('pass')
  expect(verdicts(await withCall({ notBeforeMs: startMs + 3_600_000, notAfterMs: startMs + 7_200_000 })).M04).toBe(
    'fail',
  )
})

test('M04 does not apply where all callers show tokens', async () => {
  const mesh = new Mesh()
  mesh.leaves.push(mesh.orders.decision({ proof: 'jwt' }), mesh.orders.head())
  expect(verdicts(await reportOf(mesh.leaves)).M04).toBe('not-applicable')
})

test('M08: a gap fails it and is counted, though the log verifies', async () => {
  const mesh = new Mesh().calls(20).head()
  mesh.leaves.splice(mesh.indexOf(8), 1)
  const report = await reportOf([...mesh.leaves, mesh.gap('opened', 8, 8)])
  expect(verdicts(report)).toMatchObject({ M08: 'fail', M09: 'pass' })
  expect(checkOf(report, 'M08').numerator.value).toBe(1)
})

test('M08: records that wait for their head are noted, records that waited too long fail it', async () => {
  const mesh = new Mesh().calls(12)
  expect(verdicts(await reportOf(mesh.leaves)).M08).toBe('pass')
  mesh.control.nowMs += 200_000
  const later = await reportOf([...mesh.leaves, mesh.control.head()])
  expect(checkOf(later, 'M08')).toMatchObject({ verdict: 'fail', numerator: { value: 0 } })
})

test('M09: one changed leaf fails it, and takes the pass from every other check on traffic', async () => {
  const signer = new Signer()
  const mesh = new Mesh().calls(30).head()
  const files = await filesOf(mesh.leaves, signer)
  const path = tilePath('entries', 0, mesh.leaves.length)
  const text = new TextDecoder('latin1').decode(files.get(path)!)
  files.set(path, Uint8Array.from(Buffer.from(text.replace('/orders/7"', '/orders/8"'), 'latin1')))
  const { report } = await makeReport(partsOf([files], signer), { range: {} })
  expect(verdicts(report)).toMatchObject({ M01: 'insufficient-data', M02: 'insufficient-data', M09: 'fail' })
  expect(checkOf(report, 'M09').finding).toContain('does not hash to what its tile says')
  expect(formatHtml(report)).toContain('The log does not verify')
})

test('what lies outside the time asked for is not counted', async () => {
  const mesh = new Mesh().calls(30).head()
  const report = await reportOf(mesh.leaves, { range: { fromMs: startMs + 20, toMs: startMs + 50 } })
  expect(checkOf(report, 'M01').denominator.value).toBe(3)
  expect(report.from).toBe('2026-11-23T12:00:00.020Z')
})

test('the same log gives the same bytes', async () => {
  const signer = new Signer()
  const files = await filesOf(new Mesh().calls(300).head().leaves, signer)
  const make = async () => (await makeReport(partsOf([files], signer), { range: {} })).report
  const [one, two] = [await make(), await make()]
  expect(JSON.stringify(one)).toBe(JSON.stringify(two))
  expect(formatHtml(one)).toBe(formatHtml(two))
})

test('a seed draws the same leaves, another seed others, and never one twice', () => {
  const shards = [700, 300].map((size, shard) => ({ shard, size, origin: '', root: '', note: '', kept: 0 }))
  const one = draw(shards, 20, 'a', sha256)
  expect(one).toEqual(draw(shards, 20, 'a', sha256))
  expect(one).not.toEqual(draw(shards, 20, 'b', sha256))
  expect(new Set(one.map(({ shard, index }) => `${shard}/${index}`)).size).toBe(20)
  expect(one.some(({ shard }) => shard === 1)).toBe(true)
  expect(draw([{ ...shards[0]!, size: 3 }], 20, 'a', sha256)).toHaveLength(3)
})

test('the page is one file: no script, nothing from elsewhere, and what strangers wrote is text', async () => {
  const report = await reportOf(new Mesh().calls(30).head().leaves)
  const page = formatHtml({
    ...report,
    producers: [{ ...report.producers[0]!, id: '<script>alert(1)</script>' }],
  })
  expect(page).toContain('&lt;script&gt;alert(1)&lt;/script&gt;')
  expect(page).not.toMatch(/<script|<link|<img|src=|@import|url\(|https?:/)
  expect(page).toContain('What this report cannot show')
  expect(page).toContain(report.verifierKey)
  expect(page).not.toMatch(/\d+ ?% compliant/)
  expect(escapeHtml(`<a href="x" title='y'>&`)).toBe('&lt;a href=&quot;x&quot; title=&#39;y&#39;&gt;&amp;')
  expect(id('orders')).toBe(report.producers.find(({ id }) => id.endsWith('orders'))!.id)
})

test('M06: a passed fault fails it and is named, an answer on trial is no decision at all', async () => {
  const passed = checkOf(await withCall({ code: 'fault_passed' }), 'M06')
  expect(passed).toMatchObject({ verdict: 'fail', numerator: { value: 1 } })
  expect(passed.finding).toContain('1 request passed because a binding says onFault: pass')
  expect(passed.sample).toHaveLength(1)
  const none = checkOf(await withCall({ code: 'routed' }), 'M06')
  expect(none).toMatchObject({ verdict: 'fail', finding: expect.stringContaining('1 request allowed by no policy') })
  expect(verdicts(await withCall({ code: 'routed', direction: 'outbound' })).M06).toBe('pass')

  const mesh = new Mesh().calls(10)
  const before = await reportOf([...mesh.leaves])
  const { epoch, seq } = mesh.orders
  const trial = { name: 'x', mode: 'shadow', of: `${epoch}-${seq - 1}`, enforced_verdict: 'allow' } as const
  mesh.leaves.push(mesh.orders.decision({ enforced: false, trial, code: 'fault_passed', caller: undefined }))
  mesh.leaves.push(mesh.orders.decision({ enforced: false, trial, verdict: 'fault', code: 'policy_error' }))
  const after = await reportOf(mesh.head().leaves)
  expect(verdicts(after)).toEqual(verdicts(before))
  expect(after.decisions).toEqual(before.decisions)
  const numbers = (report: Report) =>
    report.checks.slice(0, 4).map(({ numerator, denominator }) => [numerator, denominator])
  expect(numbers(after)).toEqual(numbers(before))
})

test('decisions that OPAs sent are in no check’s numbers; that they are there, and not known to be all, is said', async () => {
  const mesh = new Mesh().calls(10)
  const event = { decision_id: 'a', timestamp: '2026-11-23T10:00:00Z', result: { allowed: true } }
  mesh.leaves.push(mesh.control.write({ kind: 'opa_decision', workload: id('opa/orders'), event }), mesh.control.head())
  const report = await reportOf(mesh.head().leaves)
  const without = await reportOf(new Mesh().calls(10).head().leaves)
  expect(report.summary).toBe('6 of 6 checks measured, 6 pass')
  for (const check of ['M01', 'M02', 'M06'] as const) {
    expect(checkOf(report, check).denominator).toEqual(checkOf(without, check).denominator)
    expect(checkOf(report, check).exclusions).toContain('1 decision that OPA servers sent')
  }
  const lacking = 'Whether OPA servers sent all of their decisions: they do not number them.'
  expect(checkOf(report, 'M08').notCovered).toContain(lacking)
  expect(checkOf(without, 'M08').notCovered).not.toContain(lacking)
  expect(checkOf(without, 'M01').exclusions.join()).not.toContain('OPA')
})
