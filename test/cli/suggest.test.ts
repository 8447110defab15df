import { cp, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect } from 'vitest'
import { parse } from 'yaml'
import type { Impact } from '../../audit/replay/impact.ts'
import { impactCommand } from '../../cli/policy-impact.ts'
import { suggestCommand } from '../../cli/policy-suggest.ts'
import { calls, decideBy, openBank, Traffic } from '../audit/replay/traffic.ts'
import { needs } from '../parts/needs.ts'
import { bankIn, keepLog, printed, temporary } from './recorded.ts'

const test = needs('opa')

/** Sixty calls of the bank in a log, ten of which no edge allowed. */

let state: string
beforeAll(async () => {
  state = await temporary(afterAll)
  await keepLog(state, await new Traffic().judge(calls, decideBy(await openBank())))
})

const since = ['--since', '2026-11-23'] as const
const suggest = (...words: readonly string[]) => printed(suggestCommand(), '--state', state, ...since, ...words)

async function impactOf(candidate: string): Promise<Impact & { code: number }> {
  const words = ['--state', state, ...since, '--candidate', candidate, '--json', '--fail-on-flips'] as const
  const { out, code } = await printed(impactCommand(), ...words)
  return { ...(JSON.parse(out) as Impact), code }
}

test('the suggestion, as data of the starter edge-list, changes no verdict of what it was made of', async () => {
  const { out } = await suggest()
  const folder = join(await temporary(), 'bank')
  await cp('policies/starters/edge-list', folder, { recursive: true })
  await rm(join(folder, 'data.json'))
  await writeFile(join(folder, 'data.yaml'), out)
  expect(await impactOf(folder)).toMatchObject({ code: 0, decisions: 60, replayed: 60, flips: 0 })

  const fewer = parse(out) as { mesh: { edges: unknown[] } }
  fewer.mesh.edges.pop()
  await writeFile(join(folder, 'data.yaml'), JSON.stringify(fewer))
  expect(await impactOf(folder)).toMatchObject({ code: 1, flips: 10 })
})

test('so it does in the policy that decided', async () => {
  const { out } = await suggest('--json')
  const { data } = JSON.parse(out) as { data: { mesh: { edges: [] } } }
  expect(await impactOf(await bankIn(await temporary(), () => data.mesh.edges))).toMatchObject({ code: 0, flips: 0 })
})

test('it prints the same text each time, with counts and examples beside each edge', async () => {
  const { out } = await suggest('--key', 'shop')
  expect((await suggest('--key', 'shop')).out).toBe(out)
  expect(out).toMatch(
    / {4}# 10 times, last 2026-11-23 \d\d:\d\d, such as \/accounts\/de-0, \/accounts\/de-1, \/accounts\/de-2\n {4}- \{"from": "orders", "to": "ledger", "method": "GET", "path": \["accounts", "\{\}"\]\}\n/,
  )
  expect(Object.keys(parse(out) as object)).toEqual(['shop'])
  expect(out).toContain("# All 5 grants of the policy's data were used since 2026-11-23 00:00.")
})

test('grants that nobody used are listed, from the data of the bundle or from a file', async () => {
  const file = join(await temporary(), 'data.json')
  const data = JSON.parse(await readFile('policies/bank/data.json', 'utf8'))
  data.bank.edges.push({ from: 'ads', to: 'orders', method: 'GET', path: ['orders'] })
  await writeFile(file, JSON.stringify(data))
  const { out } = await suggest('--data', file)
  expect(out).toContain('1 of 6 grants')
  expect(out).toContain('#   ads may GET /orders at orders   (data.bank.edges[5])')
  const { grants } = JSON.parse((await suggest('--json', '--bundle-name', 'bank')).out)
  expect(grants).toHaveLength(5)
  expect(grants[0]).toMatchObject({ at: 'bank.edges[0]', count: 10, last: expect.stringMatching(/^2026-11-23T/) })
})

test('a time without traffic suggests nothing, and says so', async () => {
  const { out } = await printed(suggestCommand(), '--state', state, '--since', '2999-01-01')
  expect(out).toContain('# No allowed inbound decision in that time: there is nothing to suggest.')
  expect(parse(out)).toEqual({ mesh: { trust_domain: '', edges: [] } })
})

test('data that cannot be read, and a time that is none, are refused', async () => {
  await expect(suggest('--data', 'nowhere.json')).rejects.toMatchObject({ code: 'not_found' })
  const file = join(await temporary(), 'data.yaml')
  await writeFile(file, 'a: [1')
  await expect(suggest('--data', file)).rejects.toMatchObject({ code: 'config_invalid' })
  await expect(printed(suggestCommand(), '--since', 'yesterday')).rejects.toMatchObject({ code: 'usage' })
})
