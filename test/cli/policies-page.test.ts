import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'vitest'
import { explainCommand } from '../../cli/explain.ts'
import { evalCommand } from '../../cli/policy-eval.ts'
import { impactCommand } from '../../cli/policy-impact.ts'
import { suggestCommand } from '../../cli/policy-suggest.ts'
import { calls, decideBy, openBank, Traffic } from '../audit/replay/traffic.ts'
import { needs } from '../parts/needs.ts'
import { bankIn, keepLog, printed, temporary } from './recorded.ts'

const test = needs('opa')

/** docs/POLICIES.md shows what the commands print today. */

const page = await readFile('docs/POLICIES.md', 'utf8')

/** What the page shows below a command. */
function shown(command: string): string {
  const from = page.indexOf(`$ ${command}`)
  expect(from, command).toBeGreaterThan(0)
  return page.slice(page.indexOf('\n', from) + 1, page.indexOf('```', from))
}

/** Without what differs from one run to the next: times, counts, revisions, ids, serials and hashes. */
const shape = (text: string): string =>
  text
    .replace(/[0-9a-f]{24}-\d+ *$/gm, 'ID')
    .replace(/[0-9a-f]{16,}/g, 'HEX')
    .replace(/\d{4}-\d\d-\d\d[ T][\d:.]+\d(Z| UTC)?/g, 'TIME')
    .replace(/\d+/g, '0')
    .replace(/ +/g, ' ')

test('of one request', async () => {
  const file = join(await temporary(), 'request.yaml')
  const request = /```yaml\n# request\.yaml\n(.*?)```/s.exec(page)![1]!
  await writeFile(file, request)
  expect(shape((await printed(evalCommand(), '-f', file)).out)).toBe(shape(shown('writ policy eval')))
})

test('of a candidate, and of one decision', async () => {
  const state = await temporary()
  const traffic = await new Traffic().judge(calls, decideBy(await openBank()))
  await keepLog(state, traffic)
  const next = await bankIn(await temporary(), (edges) => edges.filter(({ path }) => path[0] !== 'transfers'))
  const since = ['--state', state, '--since', '2026-11-23'] as const
  const impact = await printed(impactCommand(), ...since, '--candidate', next)
  expect(shape(impact.out)).toBe(shape(shown('writ policy impact')))

  const explained = await printed(explainCommand(), `${traffic.producer.epoch}-6`, '--state', state)
  const lines = (text: string): string => text.slice(text.indexOf('What was tried'))
  expect(lines(explained.out)).toBe(lines(shown('writ explain')))
  const names = (text: string): readonly string[] => [...text.matchAll(/^ {2}([a-z ]{4,8}) {2}/gm)].map((it) => it[1]!)
  expect(names(explained.out)).toEqual(names(shown('writ explain')))
})

test('of what was really used', async () => {
  const state = await temporary()
  await keepLog(state, await new Traffic().judge(calls, decideBy(await openBank())))
  const suggested = await printed(suggestCommand(), '--state', state, '--since', '2026-11-23')
  expect(shape(suggested.out)).toBe(shape(shown('writ policy suggest')))
})

test('every command that the page names is there', async () => {
  const named = new Set([...page.matchAll(/`writ policy (\w+)/g)].map((match) => match[1]!))
  const { policyCommand } = await import('../../cli/policy.ts')
  const there = policyCommand().commands.map((command) => command.name())
  expect([...named].filter((name) => !there.includes(name))).toEqual([])
  expect(named.size).toBeGreaterThan(3)
})
