import { readFileSync } from 'node:fs'
import { test as always, expect } from 'vitest'
import { opaVersion } from '../../../engine/node/compiler.ts'
import { needs, pathOf } from '../../parts/needs.ts'
import { exceptions } from './exceptions.ts'
import { conformanceHost } from './host.ts'
import { judgeAll, readCases } from './judge.ts'
import { programIn } from './prepare.ts'
import { pageOf, readPage } from './table.ts'

const test = needs('conformance')
const page = readFileSync('docs/CONFORMANCE.md', 'utf8')

test('of OPA’s cases, every 8th in CI and else every 20th, none fails that the page does not name', () => {
  const folder = pathOf('conformance')
  const judged = judgeAll(readCases(folder), folder, conformanceHost(programIn(folder)))
  expect(judged.length).toBeGreaterThan(100)
  expect(judged.filter(({ narrowed }) => narrowed).length).toBeGreaterThan(10)
  const failed = judged.filter(({ outcome }) => outcome === 'failed')
  expect(
    failed.filter(({ one }) => !page.includes(`| ${one.note} |`)).map(({ one, reason }) => [one.note, reason]),
  ).toEqual([])
  if (judged.length < 2000) return
  expect(judged.filter(({ outcome }) => outcome === 'passed')).toHaveLength(readPage(page).get('**all**')!.passed)
}, 300_000)

always('the numbers of the page are those of its rows, and cover all of OPA’s cases', () => {
  const rows = new Map(readPage(page))
  const all = rows.get('**all**')!
  rows.delete('**all**')
  for (const of of ['passed', 'failed', 'excepted'] as const) {
    expect([...rows.values()].reduce((sum, row) => sum + row[of], 0)).toBe(all[of])
  }
  expect(all.passed + all.failed + all.excepted).toBe(2400)
  expect(page).toContain(`Of ${all.passed + all.failed} cases **${all.passed}** pass and ${all.failed} fail`)
  expect(page).toContain(`version ${opaVersion}`)
})

always('the page names each case that is not counted, with its reason, and no other', () => {
  const listed = page.slice(page.indexOf('## Not counted'), page.indexOf('## Failing'))
  const rows = [...listed.matchAll(/^\| (.+) \| (.+) \|$/gm)].slice(2)
  expect(new Map(rows.map(([, note, reason]) => [note, reason]))).toEqual(new Map(Object.entries(exceptions)))
  expect(readPage(page).get('**all**')!.excepted).toBe(rows.length)
})

always('a page says what was judged, and is read back as it was written', () => {
  const one = (folder: string, note: string, outcome: 'passed' | 'failed' | 'excepted') => ({
    ...{ one: { number: 0, folder, note }, outcome, reason: 'a | b', narrowed: note === 'x' },
  })
  const text = pageOf([one('a', 'x', 'passed'), one('a', 'y', 'failed'), one('b', 'z', 'excepted')], '1.0.0')
  expect(text).toContain('Of 2 cases **1** pass and 1 fail; 1 are not counted')
  expect(text).toContain('| y | a \\| b |')
  expect(text).toContain('Of 1 cases the plan reads less than the whole input')
  expect(Object.fromEntries(readPage(text))).toEqual({
    a: { passed: 1, failed: 1, excepted: 0 },
    b: { passed: 0, failed: 0, excepted: 1 },
    '**all**': { passed: 1, failed: 1, excepted: 1 },
  })
})
