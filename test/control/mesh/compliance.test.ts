import { expect, test } from 'vitest'
import { compiled, own, problemsOf } from '../world.ts'

/** Compliance between reports and by schedule, as the Mesh document says it. */

const mesh = (compliance: string): string =>
  own('Mesh', 'mine', `{ trustDomain: shop.example, audit: { compliance: { ${compliance} } } }`)
const complianceOf = (text: string) => {
  const result = compiled(mesh(text))
  return result.ok ? result.settings.compliance : result.problems
}
const told = (text: string): readonly string[] =>
  problemsOf(mesh(text)).map(({ field, problem }) => `${field} ${problem}`)

const pci = (name: string, more = '') => `{ name: ${name}, framework: pci-dss, period: quarter, to: reports${more} }`

test('nothing is looked at by default; a status has its times, a report its formats', () => {
  expect(complianceOf('')).toEqual({ reports: [] })
  expect(complianceOf(`declared: c.yaml, status: {}, reports: [${pci('q')}]`)).toEqual({
    declared: 'c.yaml',
    status: { everyMs: 900_000, periodMs: 86_400_000 },
    reports: [
      {
        ...{ name: 'q', framework: 'pci-dss', period: 'quarter', to: 'reports' },
        formats: ['html', 'csv', 'oscal', 'ocsf'],
      },
    ],
  })
  expect(complianceOf('status: { every: 1m, period: 400d }')).toMatchObject({
    status: { everyMs: 60_000, periodMs: 400 * 86_400_000 },
  })
})

test('times out of bounds, a name twice, and what is no period or format are refused', () => {
  expect(told('status: { every: 59s }')[0]).toMatch(/compliance\.status\.every 59s is not between 1m and 24h/)
  expect(told('status: { period: 59m }')[0]).toMatch(/compliance\.status\.period 59m is not between 1h and 400d/)
  expect(told(`reports: [${pci('q')}, ${pci('q')}]`)[0]).toMatch(/reports\[1\]\.name there are two reports q/)
  expect(told('reports: [{ name: q, framework: all, period: decade, to: x }]')[0]).toMatch(/reports\[0\]\.period/)
  expect(told(`reports: [${pci('q', ', formats: [docx]')}]`)[0]).toMatch(/reports\[0\]\.formats/)
})
