import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { expect, onTestFinished, test } from 'vitest'
import { reportFiles } from '../../../audit/report/formats/files.ts'
import { compliancePage } from '../../../audit/report/formats/page.ts'
import { cardIn } from '../../../audit/report/gather/personal.ts'
import { readCatalogue } from '../../../audit/report/node/catalogue.ts'
import { draw } from '../../../audit/report/reprove.ts'
import { SaidGatherer } from '../../../audit/report/said.ts'
import { openCheckRules } from '../../../cli/wire/compliance.ts'
import { toHex } from '../../../core/bytes.ts'
import type { MeasuredVerdict } from '../../../core/compliance.ts'
import type { Json } from '../../../core/json.ts'
import { decisionId } from '../../../core/record.ts'
import { needs } from '../../parts/needs.ts'
import { filesOf, Signer } from '../verify/log.ts'
import { type Call, id, sha256, startMs } from '../verify/producer.ts'
import {
  catalogueOnce,
  checkOf,
  declaredFile,
  digest,
  eventAt,
  frameworkNamed,
  policyOf,
  remade,
  reportOf,
  toMs,
  World,
  witnessed,
} from './world.ts'

const bad = () => {
  const world = new World()
  world.decide({ caller: undefined })
  return world.end()
}
const exception = { approver: 'Cy', risk: 'low', reason: 'a probe' }

test('nothing declared and nothing measured is never a pass', async () => {
  const { report } = await reportOf(new World().end(), {}, {})
  const said = report.checks.filter(({ verdict }) => verdict === 'insufficient-data').map(({ id }) => id)
  expect(said).toEqual(['M13', 'M15', 'M17', 'M22'])
  expect(checkOf(report, 'M13').finding).toBe('Nobody declared approvals, without which this cannot be told.')
  expect(report.inventory.source).toBe('')
  const drills = await reportOf(new World(['default_deny', 'fail_closed', 'read']).end())
  for (const check of ['M06', 'M17', 'M21']) expect(checkOf(drills.report, check).verdict).toBe('insufficient-data')
  const empty = new World(['decisions', 'default_deny', 'fail_closed', 'finding'])
  empty.leaves.length = 4
  const none = (await reportOf(empty.leaves)).report
  expect(none.checks.filter(({ verdict }) => verdict === 'pass').map(({ id }) => id)).toEqual(['M08', 'M09', 'M11'])
})

test('proxies that do not say what TLS they speak are not observable, and their part is not measured', async () => {
  const { report } = await reportOf(new World([], { tls: undefined as never }).end())
  expect(checkOf(report, 'M03')).toMatchObject({ verdict: 'not-observable' })
  expect(report.summary).toBe('21 of 22 mapped parts measured, 21 pass')
})

test('a log that does not verify gives no pass, whatever a rule says', async () => {
  const leaves = [...new World().end()]
  leaves.splice(20, 1, leaves[21]!)
  const { report } = await reportOf(leaves)
  expect(report.verified.ok).toBe(false)
  expect(report.checks.filter(({ verdict }) => verdict === 'pass')).toEqual([])
  expect(compliancePage(report)).toContain('The log does not verify')
})

test('an exception accepts what fails, until it runs out, and one that matches nothing is shown', async () => {
  const subject = 'nobody by name -> spiffe://bank.example/orders'
  const list = [
    { id: 'E1', check: 'M02', subject, ...exception, expires: '2027-01-01T00:00:00Z' },
    { id: 'E2', check: 'M04', subject: '*', ...exception, expires: '2027-01-01T00:00:00Z' },
    { id: 'E3', check: 'M01', subject: '*', ...exception, expires: new Date(toMs).toISOString() },
  ]
  const { report } = await reportOf(bad(), {}, { ...declaredFile, exceptions: list })
  expect(checkOf(report, 'M02')).toMatchObject({
    verdict: 'fail',
    accepted: true,
    subjects: [{ name: subject, exception: 'E1' }],
  })
  expect(checkOf(report, 'M01')).toMatchObject({ verdict: 'fail', accepted: false })
  expect(report.exceptions.map(({ id, state, matched }) => `${id} ${state} ${matched}`)).toEqual([
    'E1 in-force 1',
    'E2 unmatched 0',
    'E3 ran-out 1',
  ])
  expect(report.summary).toContain('3 fail (1 accepted)')
  const page = compliancePage(report)
  for (const text of ['ran out: it accepts nothing', 'matches nothing that broke its check', 'Fail, accepted']) {
    expect(page).toContain(text)
  }
})

test('a scope counts its own workloads alone, and names what of the inventory was not seen', async () => {
  const world = new World()
  world.decide({ caller: undefined, workload: id('ns/shop/sa/cart') })
  const scope = (name: string) => ({ name, services: [], namespaces: [name], zones: [], workloads: [] })
  const shop = (await reportOf(world.end(), { scope: scope('shop') })).report
  expect(checkOf(shop, 'M02').denominator.value).toBe(1)
  expect(shop.inventory.unseen).toEqual(['spiffe://bank.example/orders'])
  expect(shop.inventory.undeclared).toEqual(['spiffe://bank.example/ns/shop/sa/cart'])
  const other = (await reportOf(world.leaves, { scope: scope('none') })).report
  expect(checkOf(other, 'M02').verdict).toBe('insufficient-data')
})

test('the same checkpoint gives the same bytes, also when the log has grown since', async () => {
  const signer = new Signer()
  const world = new World()
  const first = await reportOf(world.end(), {}, declaredFile, signer)
  const grown = await filesOf(
    [...world.leaves, world.orders.decision({ caller: undefined }), world.orders.head()],
    signer,
  )
  const policy = await policyOf(first.files)
  // A log keeps what it published of its last tiles.
  for (const [path, bytes] of first.files) if (!grown.has(path)) grown.set(path, bytes)
  grown.delete('checkpoint.witnessed')
  const again = await remade(grown, signer, policy, { pins: first.report.checkpoints })
  const [one, two] = [reportFiles(first.report, sha256), reportFiles(again.report, sha256)]
  expect([...two.keys()]).toEqual([...one.keys()])
  for (const [path, bytes] of one) expect(toHex(two.get(path)!), path).toBe(toHex(bytes))
  const newest = await remade(grown, signer, policy, {})
  expect(newest.report.checkpoints[0]!.size).toBe(first.report.checkpoints[0]!.size + 2)
})

const partLeaves = 256
function inMemory() {
  const kept = new Map<string, string>()
  const read = async (name: string) => (kept.has(name) ? JSON.parse(kept.get(name)!) : undefined)
  return {
    kept,
    sums: { read, write: async (name: string, value: Json) => void kept.set(name, JSON.stringify(value)) },
  }
}

test('a report that goes on from earlier ones is, byte for byte, the one that reads everything', async () => {
  const signer = new Signer()
  const world = new World()
  const { kept, sums } = inMemory()
  const made = async (more: object = {}) => {
    const files = await filesOf(world.leaves, signer)
    const policy = await witnessed(files, { atMs: toMs - 60_000 })
    const fresh = await remade(files, signer, policy, more)
    const other = await remade(files, signer, policy, more, declaredFile, undefined, { partLeaves, sums })
    expect(JSON.stringify(other.report)).toBe(JSON.stringify(fresh.report))
    return other.work
  }
  const calls = (count: number) => {
    for (let i = 0; i < count; i++) world.decide({ path: `/${i}`, verdict: i % 7 === 0 ? 'deny' : 'allow' })
    world.leaves.push(world.orders.head())
  }
  calls(530)
  expect((await made()).doubt).toBe('')
  calls(60)
  expect((await made({ seed: '0123456789abcdef', toMs: startMs + 1_802_000 })).doubt).toBe('')
  // Two parts, and what the verification knew.
  expect([...kept.keys()].map((name) => name.slice(0, 5))).toEqual(['parts', 'parts', 'verif'])

  // Sums that say something else than the leaves that are drawn: nothing that was kept is believed.
  for (const [name, text] of kept) {
    if (name.startsWith('parts/')) kept.set(name, text.replaceAll(/"bundles":\[\d+\]/g, '"bundles":[3]'))
  }
  expect((await made()).doubt).toMatch(/ have \d+ of M\d\d /)
})

test('a sample is what its seed draws: of the leaves that count, in the order of the log, by SHA-256 of seed, tally and number', async () => {
  const leaves = new World().end()
  const seed = '0123456789abcdef'
  const { report } = await reportOf(leaves, { seed })
  const counted = leaves.flatMap((leaf, index) => {
    const event = JSON.parse(new TextDecoder().decode(leaf))
    return event.kind === 'decision' && event.verdict === 'allow' ? [index] : []
  })
  const expected = new Set<number>()
  for (let n = 0; expected.size < 5; n++) {
    const digest = toHex(sha256(new TextEncoder().encode(`${seed}/M02/proven/${n}`)))
    expected.add(counted[Number(BigInt(`0x${digest.slice(0, 12)}`) % BigInt(counted.length))]!)
  }
  expect(checkOf(report, 'M02').sample.map(({ index }) => index)).toEqual([...expected].sort((a, b) => a - b))
  const other = await reportOf(leaves, { seed: 'fedcba9876543210' })
  expect(checkOf(other.report, 'M02').sample).not.toEqual(checkOf(report, 'M02').sample)
})

test('a report says what changed since the last one', async () => {
  const last = (await reportOf(new World().end())).report
  const { report } = await reportOf(bad(), { previous: last })
  expect(report.since?.changes.map(({ check, was, is }) => `${check} ${was} ${is}`)).toEqual([
    'M01 pass fail',
    'M02 pass fail',
    'M10 pass fail',
  ])
  expect((await reportOf(new World().end(), { previous: last })).report.since?.changes).toEqual([])
})

test('threshold and words of strangers: a parameter can be declared, and markup in a name stays text', async () => {
  const declared = { ...declaredFile, parameters: { M02: { allowed: 1 } } }
  expect(checkOf((await reportOf(bad(), {}, declared)).report, 'M02')).toMatchObject({
    verdict: 'pass',
    parameters: { allowed: { value: 1, given: true } },
  })
  await expect(reportOf(bad(), {}, { ...declaredFile, parameters: { M02: { share: 1 } } })).rejects.toThrow(
    'has no parameter share',
  )
  const world = new World()
  world.decide({ caller: '<script>alert(1)</script>' as never, path: '/cards/4111111111111111' })
  const page = compliancePage((await reportOf(world.end())).report)
  expect(page).toContain('&lt;script&gt;alert(1)')
  expect(page).not.toMatch(/<script|<link|<img|src=|@import|url\(|https?:/)
  expect(page).not.toMatch(/\d+ ?% compliant/)
})

test('a card number is told from other digits', () => {
  for (const text of ['4111111111111111', '/a/4111 1111 1111 1111?x', '378282246310005', 'x=5555-5555-5555-4444']) {
    expect(cardIn(text), text).toBe(true)
  }
  for (const text of ['4111111111111112', 'a4111111111111111b', '1111111111111117', '41111111', '']) {
    expect(cardIn(text), text).toBe(false)
  }
})

needs('opa')('a check and a framework of the user’s are files, and their rule may use what ours do', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'writ-own-'))
  onTestFinished(() => rm(dir, { recursive: true, force: true }))
  await writeFile(
    join(dir, 'X1.yaml'),
    'id: X1\ntitle: No deletions\nmeasures: Deletions that were allowed.\ntallies:\n  deletions:\n    kind: decision\n    where: {verdict: allow, input.attributes.request.http.method: DELETE}\nrule: own/x1/result\ncure: Find out why.\n',
  )
  await writeFile(
    join(dir, 'X1.rego'),
    'package own.x1\n\nimport data.writ.checks.lib\n\n# METADATA\n# entrypoint: true\nresult := lib.answer({\n\t"fails": input.tallies.deletions.count > 0, "empty": false, "good": "none", "failed": "some", "nothing": "",\n\t"numerator": {"value": input.tallies.deletions.count, "of": "deletions"}, "denominator": {"value": 1, "of": "x"},\n\t"threshold": "0", "exclusions": [], "broken": ["deletions"], "kept": [],\n})\n',
  )
  const frameworks = await mkdtemp(join(tmpdir(), 'writ-own-'))
  onTestFinished(() => rm(frameworks, { recursive: true, force: true }))
  await writeFile(
    join(frameworks, 'own.yaml'),
    'id: own\ntitle: Own\nedition: ""\nversion: "1"\nreviewed: 2026-11-28\nparts:\n  - {id: A, about: a, part: some, checks: [X1, M02]}\n',
  )
  const catalogue = await readCatalogue({ checks: dir, frameworks })
  const framework = catalogue.frameworks.find((one) => one.id === 'own')!
  const { judge, rules } = await openCheckRules(dir)
  const world = new World()
  const index = world.decide({ method: 'DELETE' })
  const made = await reportOf(world.end())
  const policy = await policyOf(made.files)
  const settings = { framework, checks: catalogue.checks, rules }
  const { report } = await remade(made.files, made.signer, policy, settings, declaredFile, judge)
  expect(checkOf(report, 'X1')).toMatchObject({ verdict: 'fail', sample: [{ index, breaks: true }] })
  expect(report.parts).toMatchObject([{ id: 'A', verdict: 'fail' }])
  await expect(readCatalogue({ frameworks })).rejects.toThrow('framework own names the check X1')
  expect((await frameworkNamed('all')).parts).toHaveLength(22)
})

/** What a check says where there is one other call among good ones. */
const withCall = async (check: string, call: Call): Promise<MeasuredVerdict> => {
  const world = new World()
  const of = decisionId({ epoch: world.orders.epoch, seq: 1 })
  const trial = { name: 'x', mode: 'shadow', of, enforced_verdict: 'allow' } as const
  world.decide({ ...call, ...(call.enforced === false && { trial }) })
  return checkOf((await reportOf(world.end(), { checks: await checksOnly(check) })).report, check).verdict
}
const checksOnly = async (check: string) => (await catalogueOnce()).checks.filter(({ id }) => id === check)

test('the nearest neighbour of a violation passes', async () => {
  const life = (ms: number) => ({ notBeforeMs: startMs, notAfterMs: startMs + ms })
  const nobody = { caller: undefined, verdict: 'deny' } as const
  const expired = { notBeforeMs: startMs - 7_200_000, notAfterMs: startMs - 3_600_000 }
  const cases: readonly (readonly [string, Call, MeasuredVerdict])[] = [
    ['M01', { ...nobody, code: 'identity_missing' }, 'pass'], // Refused for it.
    ['M01', nobody, 'fail'],
    ['M01', { proof: 'jwt' }, 'fail'],
    ['M02', { proof: 'jwt' }, 'pass'],
    ['M02', nobody, 'pass'],
    ['M02', { proof: 'declared' }, 'fail'],
    ['M02', { proof: 'declared', direction: 'outbound', code: 'routed' }, 'pass'],
    ['M04', life(86_400_000), 'pass'],
    ['M04', life(86_401_000), 'fail'],
    ['M04', expired, 'fail'],
    ['M04', { ...expired, verdict: 'deny' }, 'pass'],
    ['M06', { code: 'fault_passed' }, 'fail'],
    ['M06', { code: 'fault_passed', enforced: false }, 'pass'], // It changed nothing.
  ]
  for (const [check, call, verdict] of cases) {
    expect(`${check} ${await withCall(check, call)}`, JSON.stringify(call)).toBe(`${check} ${verdict}`)
  }
})

test('decisions that OPAs sent are in no number, and that they were left out is said', async () => {
  const world = new World()
  const event = { decision_id: 'a', timestamp: '2026-11-23T10:00:00Z', result: { allowed: true } }
  world.put(world.control, { kind: 'opa_decision', workload: id('opa/orders'), event })
  const [told, without] = [await reportOf(world.end()), await reportOf(new World().end())]
  for (const check of ['M01', 'M02', 'M06']) {
    expect(checkOf(told.report, check).denominator).toEqual(checkOf(without.report, check).denominator)
    expect(checkOf(told.report, check).exclusions.join()).toContain('1 decision that OPA servers sent')
  }
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

const bo = { kind: 'attestation', by: 'Bo', actor: 'uid 1000' } as const

test('what people answer for stands beside the verdicts, with its documents, and changes none', async () => {
  const world = new World()
  const list = { name: 'list.csv', sha256: 'cd'.repeat(32) }
  const review = { about: 'access_review', subject: '7.2.4', statement: 'all <b>grants</b> looked at' } as const
  const at = world.put(world.control, { ...bo, ...review, documents: [list] })
  const framework = await frameworkNamed('pci-dss')
  const { report } = await reportOf(world.end(), { framework })
  const without = (await reportOf(new World().end(), { framework })).report
  expect(report.parts.map(({ verdict }) => verdict)).toEqual(without.parts.map(({ verdict }) => verdict))
  const entry = decisionId(eventAt(world.leaves, at))
  expect(report.attested).toMatchObject([{ id: entry, ...review, by: 'Bo', documents: [list] }])
  const page = compliancePage(report)
  for (const text of ['Attested by Bo', 'all &lt;b&gt;grants&lt;/b&gt; looked at', list.sha256, entry]) {
    expect(page).toContain(text)
  }
  expect(compliancePage(without)).toContain('Nobody attested anything')
  const csv = new TextDecoder().decode(reportFiles(report, sha256).get('csv/attested.csv'))
  expect(csv).toContain(`${entry},`)
  expect((await reportOf(world.leaves, { framework, toMs: startMs + 1 })).report.attested).toEqual([])
})

test('zones, approvals, readers and personal members are read from the log too, where no file has them', async () => {
  const declaration = (declared: Json) =>
    ({ ...bo, about: 'declaration', subject: 'all', statement: 's', documents: [], declared }) as const
  const activated = { kind: 'policy', action: 'activated', bundle: 'orders', revision: 'r1', sha256: digest } as const
  const world = new World(['activated'])
  world.put(world.control, declaration(declaredFile))
  world.put(world.control, activated)
  const { report } = await reportOf(world.end(), {}, {})
  expect(report.checks.filter(({ verdict }) => verdict !== 'pass').map(({ id }) => id)).toEqual([])
  expect(report.declarations).toMatchObject([{ by: 'Bo', members: Object.keys(declaredFile) }])
  expect(report.inventory.source).toBe('a list kept by hand')

  // An approval that came to the log after the revision was in force is none, whatever date it gives.
  const late = new World()
  late.put(late.control, declaration(declaredFile))
  expect(checkOf((await reportOf(late.end(), {}, {})).report, 'M13').verdict).toBe('fail')
  // What the file says, counts.
  const file = { ...declaredFile, flows: [{ from: 'back', to: 'front' }] }
  expect(checkOf((await reportOf(world.leaves, {}, file)).report, 'M15').verdict).toBe('fail')
  // What is no declaration, declares nothing.
  const wrong = new World()
  wrong.put(wrong.control, declaration({ ...declaredFile, scopes: {} }))
  const { report: none } = await reportOf(wrong.end(), {}, {})
  expect([none.declarations, checkOf(none, 'M15').verdict]).toEqual([[], 'insufficient-data'])
})

test('what people said in a part that is not read again still counts', async () => {
  const [signer, world, { sums }] = [new Signer(), new World(), inMemory()]
  const given = { about: 'declaration', subject: 'all', statement: 's', documents: [], declared: declaredFile } as const
  world.put(world.control, { ...bo, ...given })
  const review = { about: 'access_review', subject: '7.2.4', statement: 'looked at', documents: [] } as const
  world.put(world.control, { ...bo, ...review })
  for (let i = 0; i < 300; i++) world.decide({ path: `/${i}` })
  const files = await filesOf(world.end(), signer)
  const policy = await witnessed(files, { atMs: toMs - 60_000 })
  const fresh = await remade(files, signer, policy, {}, {})
  expect([fresh.report.declarations.length, fresh.report.attested.length]).toEqual([1, 1])
  const read: number[] = []
  for (let i = 0; i < 2; i++) {
    const { report, work } = await remade(files, signer, policy, {}, {}, undefined, { partLeaves, sums })
    expect(JSON.stringify(report)).toBe(JSON.stringify(fresh.report))
    expect(work.doubt).toBe('')
    read.push(work.read)
  }
  expect(read[1]).toBeLessThan(read[0]!)
})

test('whatever stands in an attestation, it is read or passed over', () => {
  fc.assert(
    fc.property(fc.dictionary(fc.constantFrom('about', 'declared', 'documents', 'by'), fc.jsonValue()), (body) => {
      const said = new SaidGatherer({ fromMs: 0, toMs: Number.MAX_SAFE_INTEGER })
      for (const more of [{}, { about: 'declaration', declared: { zones: body['by'] } }]) {
        const event = { kind: 'attestation', timestamp: '2026-11-23T12:00:00.000000000Z', ...body, ...more }
        said.take({ event: event as never })
      }
      const { attested, declarations } = said.finish()
      expect(attested.length + declarations.length).toBeLessThanOrEqual(2)
    }),
  )
})
