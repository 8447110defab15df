import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'vitest'
import { readTrace } from '../../cli/explain/trace.ts'
import { retrace, traceFlags } from '../../cli/explain/tried.ts'
import { runOpa } from '../../cli/wire/opa.ts'
import { isObject, type Json } from '../../core/json.ts'
import { readBundle } from '../../engine/bundle.ts'
import { buildPolicy } from '../../engine/node/build.ts'
import { openOpa } from '../../engine/node/opa.ts'
import { calls, factsOf } from '../audit/replay/traffic.ts'
import { needs } from '../parts/needs.ts'
import { temporary } from './recorded.ts'

const test = needs('opa')

/** Lines as `row` or `row x times`. */
async function tried(rego: string, input: Json): Promise<{ readonly held: string[]; readonly failed: string[] }> {
  const cwd = await temporary()
  await writeFile(join(cwd, 'p.rego'), rego)
  const opa = await openOpa({ env: process.env, say: () => undefined })
  const answer = await runOpa(opa, [...traceFlags, 'data.p.allow'], { cwd, input: JSON.stringify(input) })
  const { held, failed } = readTrace(isObject(answer) ? answer['explanation'] : undefined)
  const text = ({ row, times }: { row: number; times: number }) => (times > 1 ? `${row} x ${times}` : `${row}`)
  return { held: held.map(text), failed: failed.map(text) }
}

const boolean = `package p
default allow := false
allow if {
	input.method == "GET"
	not blocked
}
allow if input.admin
blocked if {
	some name in data.p.names
	name == input.name
}
names := ["eve", "mallory"]
`

test('of a rule that is true or false, the expressions at which its bodies ended', async () => {
  expect(await tried(boolean, { method: 'PUT', name: 'bob', admin: false })).toEqual({ held: [], failed: ['4', '7'] })
})

test('what a negation needs to fail is no failure, and what it finds is what held', async () => {
  expect((await tried(boolean, { method: 'GET', name: 'bob', admin: false })).failed).not.toContain('5')
  const { held, failed } = await tried(boolean, { method: 'GET', name: 'mallory', admin: false })
  expect(failed).toContain('5')
  expect(held).toEqual(['8'])
})

test('what fails on the way to something that holds is left out', async () => {
  const rego = `package p
allow := {"allowed": ok, "reasons": [why | some why in ["a"]; why == "b"]}
default ok := false
ok if member
member if {
	some name in ["a", "b", "c"]
	name == input.name
}
`
  expect(await tried(rego, { name: 'c' })).toEqual({ held: ['4', '5'], failed: [] })
  expect(await tried(rego, { name: 'd' })).toEqual({ held: [], failed: ['7 x 3', '4'] })
})

test('the time is the one that the policy saw then', async () => {
  const folder = await temporary()
  await mkdir(join(folder, 'p'))
  const rego = 'package p\n# METADATA\n# entrypoint: true\nallow := {"allowed": time.now_ns() == 1795435200000000000}\n'
  await writeFile(join(folder, 'p', 'p.rego'), rego)
  const { revision } = (await readBundle(await buildPolicy(join(folder, 'p')), 'p')).ref
  const facts = factsOf(calls[0]!, 1_795_435_200_000)
  const then = await retrace({ bundle: 'p', revision }, 'p/allow', facts, folder)
  const later = await retrace({ bundle: 'p', revision }, 'p/allow', { ...facts, atNs: facts.atNs + 1n }, folder)
  expect([then, later]).toMatchObject([{ allowed: true }, { allowed: false }])
})

test('a bundle whose name leads out of the folder is not looked for', async () => {
  for (const bundle of ['../bank', '..', '.', '']) {
    const found = await retrace({ bundle, revision: 'r' }, 'a/b', factsOf(calls[0]!, 0), 'policies/bank')
    expect(found).toEqual({ kind: 'none', why: `${JSON.stringify(bundle)} is no name of a folder` })
  }
})

test('what is no trace gives no lines', () => {
  for (const value of [undefined, null, 'text', [], [null, {}, { Op: 'Fail', QueryID: 'x' }]]) {
    expect(readTrace(value as Json | undefined)).toEqual({ held: [], failed: [] })
  }
})
