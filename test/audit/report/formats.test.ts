import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { turnedFinding } from '../../../audit/findings/bodies.ts'
import { ocsfFinding } from '../../../audit/findings/ocsf.ts'
import { type ReportFiles, reportFiles } from '../../../audit/report/formats/files.ts'
import { fromUtf8 } from '../../../core/bytes.ts'
import type { ComplianceReport } from '../../../core/compliance.ts'
import { startChromium } from '../../parts/chromium.ts'
import { needs, pathOf } from '../../parts/needs.ts'
import { runPython } from '../../parts/python.ts'
import { id, sha256 } from '../verify/producer.ts'
import { declaredFile, frameworkNamed, reportOf, World } from './world.ts'

const names = ['pci-dss', 'nist-800-53-moderate', 'fedramp-20x', 'hipaa', 'dora']
const exception = { approver: 'Cy', risk: 'low: a test card', reason: 'known', expires: '2027-01-01T00:00:00Z' }
let folder: string
const reports = new Map<string, { readonly report: ComplianceReport; readonly files: ReportFiles }>()

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'writ-formats-'))
  const world = new World()
  world.decide({ proof: 'jwt' })
  world.decide({ path: '/cards/4111111111111111', caller: id('ledger') })
  const people = { by: 'Ada Lovelace', actor: 'uid 1000' }
  const documents = [{ name: 'list of grants.csv', sha256: 'ab'.repeat(32) }]
  world.put(world.control, {
    ...{ kind: 'attestation', about: 'access_review', subject: '7.2.5', ...people, documents },
    statement: 'all grants\n were looked at',
  })
  world.put(world.control, {
    ...{ kind: 'attestation', about: 'evidence', subject: 'M02', by: 'Bo', actor: 'uid 1000', documents: [] },
    statement: 'a test by hand',
  })
  const leaves = world.end()
  const declared = {
    ...declaredFile,
    exceptions: [
      { id: 'E1', check: 'M22', subject: 'spiffe://bank.example/ledger*', ...exception },
      { id: 'E2', check: 'M02', subject: '*', ...exception },
    ],
  }
  for (const name of names) {
    const { report } = await reportOf(leaves, { framework: await frameworkNamed(name) }, declared)
    const day = (n: number) => ({ day: `2026-11-${20 + n}`, allow: 20 + n, deny: n, fault: n % 3 })
    const longer = { ...report, days: [0, 1, 2, 3].map(day) }
    reports.set(name, { report: longer, files: reportFiles(longer, sha256) })
    for (const [path, bytes] of reports.get(name)!.files) {
      if (!path.startsWith('csv/')) await writeFile(join(folder, `${name}.${path}`), bytes)
    }
  }
})
afterAll(() => rm(folder, { recursive: true, force: true }))

const documents = ['assessment-results', 'poam', 'component-definition']

/** ECMA regular expressions of the schema, as Python has them. */
const validate = `
import json, sys
import jsonschema
schema = json.load(open(sys.argv[1], encoding='utf-8'))
def mend(node):
    if isinstance(node, dict):
        if isinstance(node.get('pattern'), str):
            node['pattern'] = node['pattern'].replace('(\\\\p{L}|_)', '[^\\\\W\\\\d]').replace('(\\\\p{L}|\\\\p{N}|[.\\\\-_])', '[\\\\w.\\\\-]')
        for value in node.values(): mend(value)
    elif isinstance(node, list):
        for value in node: mend(value)
mend(schema)
validator = jsonschema.Draft7Validator(schema)
print(json.dumps({path: [error.message[:200] for error in validator.iter_errors(json.load(open(path, encoding='utf-8')))] for path in sys.argv[2:]}))
`

const load = `
import json, sys, pathlib
from trestle.oscal import assessment_results, poam, component
kinds = {'assessment-results': assessment_results.AssessmentResults, 'poam': poam.PlanOfActionAndMilestones, 'component-definition': component.ComponentDefinition}
told = {}
for path in sys.argv[1:]:
    kind = next(name for name in kinds if path.endswith(name + '.json'))
    try:
        read = kinds[kind].oscal_read(pathlib.Path(path))
        told[path] = kind + ' ' + str(read.metadata.oscal_version.root if hasattr(read.metadata.oscal_version, 'root') else read.metadata.oscal_version)
    except Exception as thrown:
        told[path] = 'WRONG ' + str(thrown)[:300]
print(json.dumps(told))
`

needs('trestle')('the OSCAL documents pass NIST’s JSON Schema, and compliance-trestle reads them', async () => {
  const paths = names.flatMap((name) => documents.map((document) => join(folder, `${name}.${document}.json`)))
  const schema = join(import.meta.dirname, '../../fixtures/oscal/oscal_complete_schema-1.2.2.json')
  const told = JSON.parse(await runPython(pathOf('trestle'), validate, schema, ...paths))
  expect(told).toEqual(Object.fromEntries(paths.map((path) => [path, []])))
  const read = JSON.parse(await runPython(pathOf('trestle'), load, ...paths))
  for (const path of paths) expect(read[path], path).toMatch(/^[a-z-]+ .*1\.2\.2/)

  const wrong = join(folder, 'wrong.assessment-results.json')
  const text = fromUtf8(reports.get('hipaa')!.files.get('assessment-results.json')!)
  await writeFile(wrong, text.replace('"state": "satisfied"', '"state": "fine"'))
  expect(JSON.parse(await runPython(pathOf('trestle'), validate, schema, wrong))[wrong]).not.toEqual([])
  expect(JSON.parse(await runPython(pathOf('trestle'), load, wrong))[wrong]).toMatch(/^WRONG/)
})

interface Part {
  readonly name: string
  readonly prose: string
  readonly title: string
}
interface Results {
  readonly metadata: { readonly parties: readonly { readonly name: string; readonly uuid: string }[] }
  readonly 'back-matter': {
    readonly resources: readonly { readonly uuid: string; readonly rlinks: readonly object[] }[]
  }
  readonly results: readonly {
    readonly attestations: readonly {
      readonly 'responsible-parties': readonly { readonly 'party-uuids': readonly string[] }[]
      readonly parts: readonly Part[]
    }[]
    readonly observations: readonly {
      readonly uuid: string
      readonly methods: readonly string[]
      readonly title: string
      readonly 'relevant-evidence'?: readonly { readonly href: string }[]
    }[]
    readonly findings: readonly {
      readonly title: string
      readonly 'related-observations': readonly { readonly 'observation-uuid': string }[]
    }[]
    readonly risks: readonly object[]
    readonly remarks: string
  }[]
}

test('attestations, their documents and exceptions stand in OSCAL’s own places, and in OCSF’s', () => {
  const { files } = reports.get('pci-dss')!
  const read = (path: string) => JSON.parse(fromUtf8(files.get(path)!)) as never
  const assessed = (read('assessment-results.json') as { 'assessment-results': Results })['assessment-results']
  const [result] = assessed.results
  const party = (uuid: string | undefined) => assessed.metadata.parties.find((one) => one.uuid === uuid)?.name
  expect(
    result!.attestations.map(({ parts: [part], 'responsible-parties': [by] }) => {
      return `${party(by?.['party-uuids'][0])} ${part!.name}: ${part!.prose}`
    }),
  ).toEqual(['Ada Lovelace access-review: all grants were looked at', 'Bo evidence: a test by hand'])
  const [review] = result!.observations.filter(({ methods }) => methods.includes('EXAMINE'))
  expect(review!.title).toBe('access review of 7.2.5 by Ada Lovelace')
  const [at] = review!['relevant-evidence']!
  expect(assessed['back-matter'].resources.find(({ uuid }) => `#${uuid}` === at!.href)).toMatchObject({
    rlinks: [{ href: 'list%20of%20grants.csv', hashes: [{ algorithm: 'SHA-256', value: 'ab'.repeat(32) }] }],
  })
  const [finding] = result!.findings.filter(({ title }) => title.startsWith('7.2.5:'))
  expect(finding!['related-observations'].map((one) => one['observation-uuid'])).toContain(review!.uuid)
  const accepted = { status: 'deviation-approved', deadline: exception.expires }
  const entry = { 'status-change': 'deviation-approved', end: exception.expires }
  expect(result!.risks).toContainEqual(
    expect.objectContaining({ ...accepted, 'risk-log': { entries: [expect.objectContaining(entry)] } }),
  )
  expect(result!.remarks).toContain('Exception E2 of M02 matches nothing.')

  const lines = fromUtf8(files.get('ocsf.ndjson')!)
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
  const of = (control: string) => lines.find(({ compliance }) => compliance.control === control)
  expect(of('7.2.5')).toMatchObject({
    comment: 'access_review by Ada Lovelace: all grants\n were looked at',
    evidences: [{ name: 'access_review of 7.2.5 by Ada Lovelace', data: { documents: [{ sha256: 'ab'.repeat(32) }] } }],
  })
  expect(lines.filter(({ evidences }) => evidences).length).toBeGreaterThan(1) // And of each part that M02 speaks for.
  const details = lines.flatMap(({ compliance }) => compliance.status_details ?? [])
  expect(details).toContain(`M22: accepted by Cy until ${exception.expires} (E1): known; risk: low: a test card`)
})

test('the page names commands as code, keeps arrows whole, and says how its sample is drawn', () => {
  const page = fromUtf8(reports.get('pci-dss')!.files.get('report.html')!)
  expect(page).toContain('<code>writ report attest</code>')
  expect(page.replaceAll(/<(?:style|pre)>.*?<\/(?:style|pre)>/gs, '')).not.toContain('`')
  expect(page).toContain('spiffe://bank.example/web <span class="keep">-&gt;</span> spiffe://bank.example/orders')
  expect(page).toContain('SHA-256 of <code>SEED/CHECK/TALLY/n</code>')
})

const ocsf = `
import json, sys
from ocsf_json_schema import OcsfJsonSchemaEmbedded, get_ocsf_schema
from jsonschema import Draft202012Validator
made = OcsfJsonSchemaEmbedded(get_ocsf_schema(version='1.8.0'))
validator = Draft202012Validator(made.get_class_schema(made.lookup_class_name_from_uid(2003), []))
lines = [json.loads(line) for line in open(sys.argv[1], encoding='utf-8')]
print(json.dumps({'count': len(lines), 'errors': [e.message[:200] for line in lines for e in validator.iter_errors(line)]}))
`

needs('python')('each part is a compliance finding that OCSF’s own schema passes', async () => {
  for (const name of names) {
    const told = JSON.parse(await runPython(pathOf('python'), ocsf, join(folder, `${name}.ocsf.ndjson`)))
    expect(told).toEqual({ count: reports.get(name)!.report.parts.length, errors: [] })
  }
  const { report } = reports.get('pci-dss')!
  const turned = report.checks.map((check, i) => {
    const entry = { id: `${'ab'.repeat(12)}-${i}`, foundMs: 1_800_000_000_000 }
    const finding = { ...entry, body: turnedFinding(check, 'insufficient-data', report) }
    return JSON.stringify(ocsfFinding(finding, { trustDomain: 'bank.example' }))
  })
  await writeFile(join(folder, 'turned.ndjson'), `${turned.join('\n')}\n`)
  const told = JSON.parse(await runPython(pathOf('python'), ocsf, join(folder, 'turned.ndjson')))
  expect(told).toEqual({ count: 22, errors: [] })
})

needs('chromium', 'axe')(
  'the page can be read by everybody, by day and by night: axe-core finds nothing, and no script runs in it',
  async () => {
    const script = await readFile(pathOf('axe'), 'utf8')
    const browser = await startChromium()
    try {
      for (const [name, colorScheme] of [
        ['pci-dss', 'light'],
        ['pci-dss', 'dark'],
        ['nist-800-53-moderate', 'light'],
      ] as const) {
        const page = await browser.newPage({ colorScheme })
        const errors: string[] = []
        page.on('pageerror', (error) => errors.push(error.message))
        await page.goto(pathToFileURL(join(folder, `${name}.report.html`)).href)
        await page.evaluate(script)
        const found = (await page.evaluate(
          "axe.run(document, { resultTypes: ['violations'] }).then(({ violations, passes }) => ({ passes: passes.length, violations: violations.map(({ id, nodes }) => id + ' ' + nodes.slice(0, 2).map(({ html }) => html.slice(0, 120)).join(' | ')) }))",
        )) as { readonly passes: number; readonly violations: readonly string[] }
        expect(found.violations).toEqual([])
        expect(found.passes).toBeGreaterThan(20)
        expect(errors).toEqual([])
        const wide = await page.evaluate('document.documentElement.scrollWidth <= document.documentElement.clientWidth')
        expect(wide).toBe(true)
      }
    } finally {
      await browser.close()
    }
  },
)
