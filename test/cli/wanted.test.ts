import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import { expect, test as plain } from 'vitest'
import { traceFlags } from '../../cli/explain/tried.ts'
import { expressionAt, termAt, type Wanted, wantedOf } from '../../cli/explain/wanted.ts'
import { explainCommand } from '../../cli/explain.ts'
import { runOpa } from '../../cli/wire/opa.ts'
import { isObject, type Json } from '../../core/json.ts'
import { openOpa } from '../../engine/node/opa.ts'
import { type Asked, calls, decideBy, openBank, Traffic } from '../audit/replay/traffic.ts'
import { needs } from '../parts/needs.ts'
import { keepLog, printed, temporary } from './recorded.ts'

const test = needs('opa')

/** What `p.allow` would have needed. References below data are looked up in `data`. */
async function wanted(
  rego: string,
  input: Json,
  data: Readonly<Record<string, Json>> = {},
): Promise<readonly Wanted[]> {
  const cwd = await temporary()
  await writeFile(join(cwd, 'p.rego'), rego)
  const opa = await openOpa({ env: process.env, say: () => undefined })
  const answer = await runOpa(opa, [...traceFlags, 'data.p.allow'], { cwd, input: JSON.stringify(input) })
  const ask = async (refs: readonly string[]) => refs.map((ref) => data[ref])
  const lines = () => rego.split('\n')
  return wantedOf(isObject(answer) ? answer['explanation'] : undefined, { input, ask, lines })
}

const texts = (all: readonly Wanted[]): readonly string[] =>
  all.map(({ row, text, depth, saw }) => {
    const values = saw.map(({ name, value }) => `${name}=${value === undefined ? 'undefined' : JSON.stringify(value)}`)
    return [`${'>'.repeat(depth)}${row}`, text, ...values].join(' | ')
  })

const simple = `package p
default allow := false
allow if { input.method == "GET"; input.path[0] == "a" } # both
allow if input.admin
`

test('each rule gives the expression at which it ended, and what that saw of the input', async () => {
  expect(texts(await wanted(simple, { method: 'DELETE', admin: false }))).toEqual([
    '3 | input.method == "GET" | input.method="DELETE"',
    '4 | input.admin | input.admin=false',
  ])
})

test('what was not there is said to be undefined', async () => {
  expect(texts(await wanted(simple, { method: 'GET', path: [] }))).toEqual([
    '3 | input.path[0] == "a" | input.path[0]=undefined',
    '4 | input.admin | input.admin=undefined',
  ])
})

test('a request that was allowed wants nothing', async () => {
  expect(await wanted(simple, { method: 'GET', path: ['a'] })).toEqual([])
})

test('of several candidates it is the one that got furthest, not the first', async () => {
  const rego = `package p
default allow := false
allow if {
	some edge in [{"from": "a", "to": "x", "m": "GET"}, {"from": "b", "to": "y", "m": "PUT"}, {"from": "b", "to": "z", "m": "GET"}]
	edge.from == input.from
	edge.to == input.to
	edge.m == input.m
}
`
  const [one, ...more] = await wanted(rego, { from: 'b', to: 'y', m: 'GET' })
  expect(texts([one!])).toEqual(['7 | edge.m == input.m | edge.m="PUT" | input.m="GET"'])
  expect(one!.nearest).toEqual({ of: 3, values: [{ name: 'edge', value: { from: 'b', to: 'y', m: 'PUT' } }] })
  expect(more).toEqual([])
})

test('a rule that names another is left out for what ended there; what a function saw stands below its call', async () => {
  const rego = `package p
default allow := false
allow if near
near if {
	some place in ["a/b", "c"]
	fits(place)
}
fits(pattern) if count(split(pattern, "/")) == count(input.path)
`
  expect(texts(await wanted(rego, { path: ['x', 'y', 'z'] }))).toEqual([
    '6 | fits(place) | place="a/b"',
    '>8 | count(split(pattern, "/")) == count(input.path) | count(split(pattern, "/"))=2 | count(input.path)=3',
  ])
})

test('a negation that found something wants it not to', async () => {
  const rego = 'package p\ndefault allow := false\nallow if not blocked\nblocked if input.name == "eve"\n'
  expect(texts(await wanted(rego, { name: 'eve' }))).toEqual(['3 | not blocked'])
})

test('a sum is not taken for its first operand', async () => {
  const rego = 'package p\ndefault allow := false\nallow if input.a + 1 == input.b\n'
  const [one] = await wanted(rego, { a: 1, b: 3 })
  expect(one!.saw).not.toContainEqual(expect.objectContaining({ name: 'input.a' }))
  expect(one!.saw).toContainEqual({ name: 'input.b', value: 3 })
})

test('a value of another rule is asked for', async () => {
  const rego = 'package p\ndefault allow := false\nallow if method == "GET"\nmethod := upper(input.m)\n'
  const [one] = await wanted(rego, { m: 'put' }, { 'data["p"]["method"]': 'PUT' })
  expect(one!.saw).toEqual([{ name: 'method', value: 'PUT' }])
})

const denied: Asked = { caller: 'orders', method: 'POST', path: '/orders', target: 'ledger' }

test('explain tells it of a recorded denial of the bank, and --json has it', async () => {
  const state = await temporary()
  const traffic = await new Traffic().judge([...calls.slice(0, 6), denied], decideBy(await openBank()))
  await keepLog(state, traffic)
  const explain = async (seq: number, ...words: readonly string[]) =>
    (await printed(explainCommand(), `${traffic.producer.epoch}-${seq}`, '--state', state, ...words)).out
  const told = await explain(6)
  expect(told.slice(told.indexOf('For it to pass'))).toBe(`\
For it to pass, one of these would have to hold, with all that stands after it in its rule:
  authz.rego:39  method == "GET": method was "DELETE"
  authz.rego:32  edge.method == method: edge.method was "GET", method was "DELETE"
    nearest of 5 tried: edge was {"from":"storefront","method":"GET","path":["orders"],"to":"orders"}
`)
  expect((await explain(7)).split('\n')).toContain('  authz.rego:33  matches(edge.path): edge.path was ["transfers"]')
  expect(JSON.parse(await explain(7, '--json')).tried.wanted).toContainEqual(
    expect.objectContaining({
      row: 80,
      saw: [
        { name: 'step', value: 'transfers' },
        { name: 'given', value: 'orders' },
      ],
    }),
  )
  expect(await explain(1)).not.toContain('would have to hold')
})

plain('an expression ends where its line does, at a semicolon, a comment or the end of its body', () => {
  const line = 'allow if { a["x;y"] == f({"b": [1; 2]}); b }'
  expect(expressionAt(line, line.indexOf('a['))).toBe('a["x;y"] == f({"b": [1; 2]})')
  expect(expressionAt(line, line.indexOf('b }'))).toBe('b')
  expect(expressionAt('a == "#" # why', 0)).toBe('a == "#"')
  expect(termAt('count(a[")"]) == 1', 0)).toBe('count(a[")"])')
  expect(termAt('input.a + 1', 0)).toBeUndefined()
})

plain('no line is too odd for it, and no trace', async () => {
  fc.assert(
    fc.property(fc.string(), fc.nat(50), (line, from) => {
      expect(line).toContain(expressionAt(line, from))
      expect(line).toContain(termAt(line, from) ?? '')
    }),
  )
  const sources = { input: {}, ask: async () => [], lines: () => undefined }
  for (const value of [undefined, null, 'text', [], [null, {}, { Op: 'Fail', QueryID: 'x' }]]) {
    expect(await wantedOf(value as Json | undefined, sources)).toEqual([])
  }
  const event = fc.record({
    Op: fc.constantFrom('Enter', 'Eval', 'Fail', 'Exit'),
    QueryID: fc.nat(3),
    ParentID: fc.nat(3),
    Node: fc.oneof(fc.jsonValue(), fc.record({ index: fc.nat(3), terms: fc.jsonValue(), negated: fc.boolean() })),
    Location: fc.constant({ file: 'p.rego', row: 1, col: 1 }),
    Locals: fc.jsonValue(),
    LocalMetadata: fc.jsonValue(),
  })
  await fc.assert(
    fc.asyncProperty(fc.array(event, { maxLength: 12 }), async (trace) => {
      expect(Array.isArray(await wantedOf(JSON.parse(JSON.stringify(trace)) as Json, sources))).toBe(true)
    }),
  )
})
