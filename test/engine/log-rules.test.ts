import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, expect, vi } from 'vitest'
import type { Json } from '../../core/json.ts'
import type { DecisionBody } from '../../core/record.ts'
import { parseTime } from '../../core/time.ts'
import { makeLogRules } from '../../engine/log-rules.ts'
import { applyMask } from '../../engine/mask.ts'
import type { Policy } from '../../engine/policy.ts'
import { needs, pathOf } from '../parts/needs.ts'
import { freePort } from '../parts/ports.ts'
import { openRego } from './compiled.ts'

const test = needs('opa')

const bank = `
package bank
import rego.v1
# METADATA
# entrypoint: true
result := {"allow": true, "reasons": input.reasons}
`

/** Every shape of a mask: out, in, into lists, into nothing, on the way to something, twice, and by what the event says. */
const rules = `
package system.log
import rego.v1

mask contains "/input/password"
mask contains "/input/never/there"
mask contains "/input/list/1"
mask contains "/input/list/9"
mask contains "/input/nested/0/secret"
mask contains {"op": "upsert", "path": "/input/user/name", "value": "**"}
mask contains {"op": "upsert", "path": "/input/made/on/the/way", "value": {"a": [1]}}
mask contains {"op": "upsert", "path": "/input/other/0", "value": "first"}
mask contains {"op": "upsert", "path": "/input/other/7", "value": "none"}
mask contains {"op": "remove", "path": "/input/odd:name@x"}
mask contains {"op": "remove", "path": "/result/reasons/0"}
mask contains {"op": "upsert", "path": "/input/password/x", "value": 1}
mask contains "/input/card" if input.input.kind == "card"
mask contains "/input" if input.input.kind == "all"
mask contains {"op": "upsert", "path": "/input", "value": {"only": "this"}} if input.input.kind == "put"
mask contains "/nd_builtin_cache"

drop if input.input.kind == "noise"
drop if input.result.reasons == ["drop me"]
`

const broken = `
package system.log
import rego.v1
mask contains "/labels/secret" if input.input.kind == "bad prefix"
mask contains {"op": "replace", "path": "/input/a"} if input.input.kind == "bad op"
mask contains 7 if input.input.kind == "bad shape"
mask contains {"op": "upsert", "path": "/input/a", "value": x} if { input.input.kind == "too much"; x := concat("", [y | some i in numbers.range(1, 60000); y := "x"]) }
mask contains "/input/a" if { input.input.kind == "conflict"; pick == 1 }
pick := x if { some x in [1, 2] }
drop := x if { input.input.kind == "drop conflict"; some x in [true, false] }
`

const inputs: readonly { readonly [name: string]: Json }[] = [
  { kind: 'plain', reasons: ['a', 'b'] },
  { kind: 'card', card: '4111', password: 'p', list: [1, 2, 3], user: { name: 'ann', age: 3 }, reasons: [] },
  { kind: 'x', nested: [{ secret: 1, open: 2 }], other: ['a', 'b'], user: 'a text', made: { on: 4 }, reasons: ['r'] },
  { kind: 'all', password: 'p', reasons: ['r'] },
  { kind: 'put', password: { deep: 1 }, 'odd:name@x': 1, reasons: ['r'] },
]

let opened: { readonly [name: string]: Policy }
beforeAll(async () => {
  const all = ['system/log/mask', 'system/log/drop']
  opened = {
    rules: await openRego(`${rules}`, all),
    broken: await openRego(broken, all),
    bare: await openRego(bank, ['bank/result']),
  }
})

const bodyOf = (input: Json, reasons: readonly string[], more: Partial<DecisionBody> = {}): DecisionBody =>
  ({ kind: 'decision', verdict: 'allow', code: 'allowed', request_id: 'r', input, reasons, ...more }) as DecisionBody

const atNs = parseTime('2026-01-01T00:00:00.000000000Z')!
function ruled(by: string, body: DecisionBody) {
  const log = makeLogRules({ get: (name) => opened[name] })
  return log(body, { bundle: by, entrypoint: 'bank/result', recordHeaders: [], recordQuery: false }, atNs)
}

let opa: ChildProcess | undefined
let folder: string | undefined
afterAll(async () => {
  if (opa && opa.exitCode === null) {
    opa.kill()
    await once(opa, 'close')
  }
  if (folder) await rm(folder, { recursive: true, force: true })
})

/** What an ordinary OPA writes of its decisions, in order. */
async function eventsOfOpa(): Promise<readonly { readonly [member: string]: Json }[]> {
  folder = await mkdtemp(join(tmpdir(), 'writ-mask-'))
  await writeFile(join(folder, 'bank.rego'), bank)
  await writeFile(join(folder, 'system.rego'), rules)
  const port = await freePort()
  const words = ['run', '--server', '--addr', `127.0.0.1:${port}`, '--set', 'decision_logs.console=true', folder]
  opa = spawn(pathOf('opa'), words, { stdio: ['ignore', 'ignore', 'pipe'] })
  let said = ''
  opa.stderr!.on('data', (chunk) => {
    said += chunk
  })
  const url = `http://127.0.0.1:${port}`
  await vi.waitFor(async () => expect((await fetch(`${url}/health`)).ok).toBe(true), { timeout: 20_000 })
  for (const input of inputs)
    await fetch(`${url}/v1/data/bank/result`, { method: 'POST', body: JSON.stringify({ input }) })
  const events = () =>
    said
      .split('\n')
      .filter((line) => line.includes('"decision_id"'))
      .map((line) => JSON.parse(line) as { readonly [member: string]: Json })
  await vi.waitFor(() => expect(events()).toHaveLength(inputs.length), { timeout: 20_000 })
  return events()
}

test('a record is masked as a real OPA masks its event: the same members, and the same pointers said of them', async () => {
  const theirs = await eventsOfOpa()
  const ours = inputs.map((input) => ruled('rules', bodyOf(input, input['reasons'] as string[])).body)
  const lists = ({ erased, masked }: { readonly erased?: unknown; readonly masked?: unknown }) => ({ erased, masked })
  expect(ours.map(lists)).toEqual(theirs.map(lists))
  expect(ours.map(({ reasons }) => reasons)).toEqual(
    theirs.map(({ result }) => (result as { readonly reasons: Json }).reasons),
  )
  // Where OPA leaves an input out, a record has an empty one.
  expect(ours.map(({ input }) => input)).toEqual(theirs.map(({ input = {} }) => input))
  expect(ours.some(({ erased }) => erased !== undefined) && ours.some(({ masked }) => masked !== undefined)).toBe(true)
})

test('a record that no mask names, and one of a bundle without such rules, is the very same', () => {
  const body = bodyOf({ kind: 'plain', list: [] }, [])
  expect(ruled('broken', body).body).toBe(body)
  expect(ruled('bare', body)).toEqual({ body, drop: false })
  expect(ruled('not loaded', body)).toEqual({ body, drop: false })
})

test.each([
  ['bad prefix', 'rules'],
  ['bad op', 'rules'],
  ['bad shape', 'rules'],
  ['too much', 'size'],
  ['conflict', 'evaluation'],
])('a mask that fails (%s) withholds all that it could have named', (kind, mask_fault) => {
  const body = bodyOf({ kind, a: 'secret' }, ['secret'], { nd_builtin_cache: { 'http.send': { '[1]': 'secret' } } })
  const left = ruled('broken', body).body
  expect(JSON.stringify(left)).not.toContain('secret')
  const erased = ['/input', '/nd_builtin_cache', '/result']
  expect(left).toEqual(bodyOf({}, [], { erased, mask_fault } as Partial<DecisionBody>))
})

test('a drop rule is asked about what was not masked yet, and one that fails drops nothing', () => {
  expect(ruled('rules', bodyOf({ kind: 'noise' }, [])).drop).toBe(true)
  expect(ruled('rules', bodyOf({ kind: 'loud' }, [])).drop).toBe(false)
  expect(ruled('rules', bodyOf({ kind: 'loud' }, ['drop me'])).drop).toBe(true)
  expect(ruled('broken', bodyOf({ kind: 'drop conflict' }, [])).drop).toBe(false)
})

test('what a pointer leads to is gone, whatever the input, and nothing that was given is changed', () => {
  const name = fc.stringMatching(/^[a-z~:% é]{1,4}$/)
  const leaf = fc.constantFrom<Json>('secret', 1, null)
  const value = fc.letrec<{ readonly it: Json }>((tie) => ({
    it: fc.oneof({ depthSize: 'small' }, leaf, fc.array(tie('it'), { maxLength: 3 }), fc.dictionary(name, tie('it'))),
  })).it
  fc.assert(
    fc.property(
      value,
      fc.array(fc.oneof(name, fc.constantFrom('0', '1', '__proto__')), { maxLength: 4 }),
      (input, way) => {
        const before = JSON.stringify(input)
        const pointer = ['/input', ...way].join('/')
        const first = applyMask([pointer], { input })
        expect(JSON.stringify(input)).toBe(before)
        const put = applyMask([{ op: 'upsert', path: pointer, value: 'hidden' }], { input })
        expect(JSON.stringify(input)).toBe(before)
        if (put.masked.length > 0) expect(JSON.stringify(put.parts.input)).toContain('hidden')
        if (first.erased.length === 0) expect(JSON.stringify(first.parts.input)).toBe(before)
        else expect(JSON.stringify(first.parts.input)).not.toBe(before)
      },
    ),
  )
})
