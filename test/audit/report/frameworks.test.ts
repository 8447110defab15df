import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { expect, onTestFinished, test } from 'vitest'
import { readCheck } from '../../../audit/report/files/checks.ts'
import { readDeclared } from '../../../audit/report/files/declared.ts'
import { nistId, readFramework, settleFrameworks } from '../../../audit/report/files/frameworks.ts'
import { csvFiles } from '../../../audit/report/formats/csv.ts'
import { compliancePage } from '../../../audit/report/formats/page.ts'
import { complianceFolder, readCatalogue } from '../../../audit/report/node/catalogue.ts'
import { WritError } from '../../../core/fault.ts'
import { catalogueOnce, frameworkNamed, reportOf, World } from './world.ts'

const list = async (name: string) =>
  JSON.parse(await readFile(join(await complianceFolder('ids'), `${name}.json`), 'utf8')) as {
    readonly baselines?: Readonly<Record<string, readonly string[]>>
    readonly others?: readonly string[]
    readonly indicators?: readonly string[]
  }

test('every id of NIST and of FedRAMP that is used is in their own lists', async () => {
  const { baselines = {}, others = [] } = await list('nist-800-53-r5')
  const controls = new Set([...Object.values(baselines).flat(), ...others])
  const { indicators = [] } = await list('fedramp-20x-ksi')
  const { parts } = await frameworkNamed('nist-800-53')
  expect(parts.map(({ id }) => nistId(id)).filter((id) => !controls.has(id))).toEqual([])
  const ksis = (await frameworkNamed('fedramp-20x')).parts.map(({ id }) => id)
  expect(ksis.filter((id) => !indicators.includes(id))).toEqual([])
  expect([parts.length, ksis.length]).toEqual([50, 23])
  expect(controls.has('sc-8.9')).toBe(false)
})

test('a baseline has those of its controls that are mapped, as NIST’s profile names them', async () => {
  const of = async (baseline: string) => (await frameworkNamed(`nist-800-53-${baseline}`)).parts.map(({ id }) => id)
  const [low, moderate, high] = [await of('low'), await of('moderate'), await of('high')]
  // As NIST SP 800-53B has them: IA-9 is in none, AU-10 and AU-9(3) are HIGH only, SC-8 begins at MODERATE.
  for (const ids of [low, moderate, high]) expect(ids).not.toContain('IA-9')
  expect(low).toContain('AC-3')
  expect(low).not.toContain('SC-8')
  expect(moderate).toContain('SC-8')
  expect(moderate).not.toContain('AU-10')
  expect(high).toEqual(expect.arrayContaining(['AU-10', 'AU-9(3)', 'SC-8(1)']))
})

test('every check speaks for a part of each framework that maps its subject, and no part names a check that is not there', async () => {
  const { checks, frameworks } = await catalogueOnce()
  expect(checks.map(({ id }) => id)).toEqual(Array.from({ length: 22 }, (_, i) => `M${String(i + 1).padStart(2, '0')}`))
  for (const name of ['nist-800-53', 'pci-dss']) {
    const used = new Set((await frameworkNamed(name)).parts.flatMap((part) => part.checks))
    expect(used.size).toBe(22)
  }
  for (const { id, parts } of frameworks) for (const part of parts) expect(part.about.length, id).toBeLessThan(90)
})

test.each(['iso-27001', 'dora'])(
  '%s is a file as a user writes one: read from a folder it is reported on, its ids marked as nobody’s to confirm, without a share',
  async (name) => {
    const dir = await mkdtemp(join(tmpdir(), 'writ-frameworks-'))
    onTestFinished(() => rm(dir, { recursive: true, force: true }))
    const file = await readFile(join(await complianceFolder('frameworks'), `${name}.yaml`), 'utf8')
    await writeFile(join(dir, 'own.yaml'), file.replace(`\nid: ${name}\n`, '\nid: own\n'))
    const framework = (await readCatalogue({ frameworks: dir })).frameworks.find(({ id }) => id === 'own')!
    const { report } = await reportOf(new World().end(), { framework })
    const parts = report.parts.filter(({ checks }) => checks.length > 0)
    const measured = parts.filter(({ verdict }) => verdict === 'pass' || verdict === 'fail').length
    expect(report.summary).toMatch(new RegExp(`^${measured} of ${parts.length} mapped parts measured, \\d+ pass`))
    expect(measured).toBeGreaterThan(5)
    const page = compliancePage(report)
    expect(page.match(/class="unconfirmed"/g)).toHaveLength(report.parts.length)
    expect(page).toContain(`version ${framework.version}, reviewed on ${framework.reviewed}`)
    const told = page.slice(page.indexOf('<main>'), page.indexOf('id="checks"')) // Of checks, thresholds are shares.
    for (const text of [report.summary, told.replace(/<svg.*?<\/svg>/s, '')]) expect(text).not.toMatch(/\d ?%/)
    const csv = csvFiles(report).get('parts.csv')!.trim().split('\n').slice(1)
    expect(csv.filter((line) => !/,"?false"?\r?$/.test(line))).toEqual([])
  },
)

const good = {
  ...{ id: 'own', title: 'Own', edition: '1', version: '1', reviewed: '2026-11-28' },
  parts: [{ id: 'A', about: 'a', part: 'some', checks: ['M01'] }],
}

test('a framework says of each part which checks speak for it and for what, or why none can', () => {
  const wrong = (parts: unknown) => () => readFramework({ ...good, parts }, 'own.yaml')
  expect(readFramework(good, 'own.yaml')).toMatchObject({ framework: { parts: [{ confirmed: false }] } })
  expect(wrong([{ id: 'A', about: 'a' }])).toThrow('has checks, or says why it is notObservable')
  expect(wrong([{ id: 'A', about: 'a', checks: ['M01'] }])).toThrow('which part of it the checks speak for')
  expect(wrong([good.parts[0], good.parts[0]])).toThrow('A stands there twice')
  expect(wrong([])).toThrow('own.yaml: parts')
  const extending = { id: 'x', title: 'x', edition: '', extends: 'own', ids: 'list', baseline: 'LOW' }
  const files = [readFramework(good, 'a'), readFramework(extending, 'b')]
  expect(() => settleFrameworks(files, () => undefined)).toThrow('there is no baseline LOW in list')
  expect(settleFrameworks(files, () => ({ baselines: { LOW: ['a'] } }))[1]).toMatchObject({
    id: 'x',
    parts: [{ id: 'A' }],
  })
})

const check = {
  ...{ id: 'X1', title: 'x', measures: 'x', rule: 'own/x1/result', cure: 'x' },
  tallies: { some: { kind: 'decision', where: { '@caller': { exists: true } } } },
}

test('a check whose file names what is not there is refused, with what there is', () => {
  expect(readCheck(check, 'x.yaml')).toMatchObject({ facts: [], needs: [] })
  const wrong = (more: object) => () => readCheck({ ...check, ...more }, 'x.yaml')
  expect(wrong({ facts: ['weather'] })).toThrow('nothing gathers weather')
  expect(wrong({ tallies: { a: { kind: 'decision', where: { '@mood': 'good' } } } })).toThrow(
    'nothing is known as @mood',
  )
  expect(wrong({ tallies: { a: { kind: 'gossip' } } })).toThrow('tallies.a.kind')
  expect(wrong({ rule: 'result' })).toThrow('is no entry point')
  expect(wrong({ treshold: 1 })).toThrow('treshold')
})

test('whatever a file holds, it is read or refused with its name', () => {
  const readers = [readCheck, readFramework, readDeclared]
  fc.assert(
    fc.property(fc.constantFrom(...readers), fc.jsonValue(), (read, value) => {
      try {
        read(value, 'some.yaml')
      } catch (thrown) {
        expect(thrown).toBeInstanceOf(WritError)
        expect((thrown as WritError).code).toBe('config_invalid')
        expect((thrown as WritError).message).toContain('some.yaml')
      }
    }),
    { numRuns: 2000 },
  )
})
