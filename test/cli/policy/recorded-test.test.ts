import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect } from 'vitest'
import { testCommand } from '../../../cli/policy-test.ts'
import { calls, decideBy, openBank, Traffic, use } from '../../audit/replay/traffic.ts'
import { needs } from '../../parts/needs.ts'
import { bankIn, keepLog, printed, temporary } from '../recorded.ts'
import { policyFolder } from './folder.ts'

const test = needs('opa')

let state: string
let traffic: Traffic

/** Leaf 0 is the start; 1 to 6 are calls in order, the last of them refused. */
beforeAll(async () => {
  state = await temporary(afterAll)
  traffic = await new Traffic().judge(calls.slice(0, 6), decideBy(await openBank()))
  await keepLog(state, traffic)
})

const idOf = (seq: number): string => `${traffic.producer.epoch}-${seq}`
const from = (seq: number, folder: string, ...words: readonly string[]) =>
  printed(testCommand(), folder, '--from', idOf(seq), '--state', state, ...words)
const nameOf = (seq: number): string => `test_${idOf(seq).slice(0, 8)}_${seq}`

test('a refusal and a permission become tests that pass with the policy that decided, in one file', async () => {
  const folder = await bankIn(await temporary(), (edges) => edges)
  const denied = await from(6, folder)
  expect(denied.out).toContain(`${folder}/recorded_test.rego  ${nameOf(6)}: deny, as revision `)
  await from(4, folder)
  const text = await readFile(join(folder, 'recorded_test.rego'), 'utf8')
  expect(text).toMatch(/^package writ\.authz_recorded_test\n\n# [0-9a-f]{24}-6, as revision/)
  expect(text).toContain('answer.allowed == false')
  expect(text).toContain('with time.now_ns as 17')
  const ran = await printed(testCommand(), folder, '--run', 'test_[0-9a-f]{8}', '-v')
  expect(ran.out).toContain(`${nameOf(6)}: PASS`)
  expect(ran.out).toContain(`${nameOf(4)}: PASS`)
  expect(ran.out).toContain('PASS: 2/2')
})

test('the reasons are asserted where the sources are those that decided, and are not where they differ', async () => {
  const out = join(await temporary(), 'r_test.rego')
  await from(6, 'policies', '--out', out)
  expect(await readFile(out, 'utf8')).toContain(
    'answer.reasons == ["storefront may not DELETE /orders/{id} at orders: no edge allows it"]',
  )
  const other = await bankIn(await temporary(), (edges) => edges.slice(1))
  await from(6, other)
  expect(await readFile(join(other, 'recorded_test.rego'), 'utf8')).not.toContain('answer.reasons')
})

test('a policy that decides otherwise today gets a test that fails, and is told so', async () => {
  const other = await bankIn(await temporary(), (edges) => edges.filter(({ path }) => path[0] !== 'transfers'))
  const { out } = await from(5, other)
  expect(out).toMatch(/note: .* is at revision [0-9a-f]{16}, which decides otherwise: the test fails there/)
  expect((await printed(testCommand(), other, '--run', nameOf(5))).code).toBe(2)
  expect((await from(1, other)).out).toContain('which decides alike')
})

test('what a test cannot assert is refused: a fact that is not in the record, a test that is there already, no policy of that name', async () => {
  const rego = `package writ.authz

# METADATA
# entrypoint: true
result := {"allowed": input.attributes.request.http.headers["x-role"] == "clerk"}
`
  const bank = await policyFolder({ 'a.rego': rego }, 'bank')
  await expect(from(3, bank)).rejects.toMatchObject({ message: expect.stringContaining('header x-role') as string })
  await expect(from(3, await policyFolder({ 'a.rego': rego }, 'shop'))).rejects.toMatchObject({ code: 'not_found' })
  const folder = await bankIn(await temporary(), (edges) => edges)
  await from(6, folder)
  await expect(from(6, folder)).rejects.toMatchObject({
    code: 'usage',
    message: expect.stringContaining('already') as string,
  })
})

test('a header that was kept is a fact like any other', async () => {
  const rego = `package writ.authz

# METADATA
# entrypoint: true
result := {"allowed": input.attributes.request.http.headers["x-role"] == "clerk"}
`
  const kept = { ...use, recordHeaders: ['x-role'] }
  const seen = await new Traffic().judge([calls[2]!], decideBy(await openBank()), kept)
  const dir = await temporary()
  await keepLog(dir, seen)
  const bank = await policyFolder({ 'a.rego': rego }, 'bank')
  const { out } = await printed(testCommand(), bank, '--from', `${seen.producer.epoch}-1`, '--state', dir)
  expect(out).toContain('allow')
  expect((await printed(testCommand(), bank)).code).toBe(0)
})
