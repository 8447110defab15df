import fc from 'fast-check'
import { beforeAll, describe, expect, test } from 'vitest'
import { begins, leastPaths, partsOf, projected, wholeInput } from '../../core/input-path.ts'
import type { Json } from '../../core/json.ts'
import type { InputPath } from '../../core/policy.ts'
import { readBundle } from '../../engine/bundle.ts'
import { loadBundle } from '../../engine/node/open.ts'
import type { Policy } from '../../engine/policy.ts'
import { type Reads, readReads, readsOfPlan, writeReads } from '../../engine/reads.ts'
import { bundleOf } from './compiled.ts'

/** Rules, each with what it reads: what follows a constant name is followed, and nothing else is. */
const rules: Readonly<Record<string, readonly [body: string, reads: readonly InputPath[]]>> = {
  nothing: ['nothing := 1', []],
  noArgument: ['noArgument if { time.now_ns() > 0; input.a.b }', [['a', 'b']]],
  whole: ['whole := input', [[]]],
  member: ['member if input.a.b == 1', [['a', 'b']]],
  two: [
    'two if { input.a.b == 1; input.a.c }',
    [
      ['a', 'b'],
      ['a', 'c'],
    ],
  ],
  above: ['above if { input.a.b; input.a != 2 }', [['a']]],
  odd: ['odd := input["a b"]["__proto__"]', [['a b', '__proto__']]],
  index: ['index := input.a[0].b', [['a']]],
  dynamic: ['dynamic if input.a[input.k]', [['a'], ['k']]],
  anything: ['anything if { some k; input[k] == 1 }', [[]]],
  walked: ['walked contains v if walk(input, [_, v])', [[]]],
  part: ['part contains v if walk(input.a, [_, v])', [['a']]],
  got: ['got := object.get(input.a, "b", input.c)', [['a', 'b'], ['c']]],
  steps: ['steps := object.get(input.a, ["b", "c"], 0)', [['a']]],
  gotBy: ['gotBy := object.get(input.a, input.k, 0)', [['a'], ['k']]],
  variable: ['variable := x if { y := input.a; z := y; x := z.b.c }', [['a', 'b', 'c']]],
  negated: ['negated if not input.a.b', [['a', 'b']]],
  comprehended: ['comprehended := {k: v | some k; v := input.a[k]; v != input.b.c}', [['a'], ['b', 'c']]],
  inSet: ['inSet := {x | x := input.a.b}', [['a', 'b']]],
  each: ['each if { every s in input.a { s.b == input.c } }', [['a'], ['c']]],
  called: ['called := second(input.a)', [['a', 'b', 'c']]],
  given: [
    'given := both(input.a, input.b.c)',
    [
      ['a', 'b'],
      ['b', 'c', 'd'],
    ],
  ],
  http: ['http := input.a.b', [['a', 'b']]],
  viaRule: ['viaRule if http.c == 1', [['a', 'b', 'c']]],
  viaTwo: ['viaTwo := several.c', [['a'], ['b'], ['k']]],
  viaDefault: ['viaDefault if defaulted.c', [['a', 'b']]],
  viaElse: ['viaElse := chosen.b', [['a'], ['c']]],
  mocked: ['mocked if member with input as {"a": {"b": input.c}}', [['c']]],
  moved: ['moved := x if x := viaRule with input as input.a', [['a', 'a', 'b', 'c']]],
  upserted: [
    'upserted if member with input.a.b as input.c.d',
    [
      ['a', 'b'],
      ['c', 'd'],
    ],
  ],
  wholeUpserted: ['wholeUpserted := {x | x := input with input.a as 1}', [[]]],
  ofData: ['ofData if data.base.x == 1 with data.base.x as input.a', [['a']]],
  dataIs: ['dataIs if data.base.x.y == 1 with data.base as input.a', [['a']]],
  driven: ['driven := data.base[input.k]', [['k']]],
  drivenRule: ['drivenRule := data.other[input.k].rule', [['b', 'c'], ['d', 'e'], ['k']]],
  reused: [
    'reused := x if { x := first; x } else := x if { y := input.a.b; x := y.c; input.d.e }',
    [['a', 'b', 'c'], ['d', 'e'], ['k']],
  ],
  compared: ['compared if input.a == input.b.c', [['a'], ['b', 'c']]],
  typed: ['typed if is_object(input.a)', [['a']]],
  counted: ['counted := count(input.a)', [['a']]],
  composed: ['composed := {"x": input.a.b, "y": [input.c]}', [['a', 'b'], ['c']]],
  text: ['text := $"{input.a.b}"', [['a', 'b']]],
  merged: ['merged := object.union(input.a, {"x": input.b})', [['a'], ['b']]],
  unused: ['unused if { x := input.a; y := input.b.c; data.base }', [['a'], ['b', 'c']]],
}

const rego = `package t
second(x) := x.b.c
first if input.k == 1
both(x, y) := [x.b, y.d]
several := input.a if input.k == "a"
several := input.b if input.k == "b"
default defaulted := {}
defaulted := input.a.b
chosen := input.a if input.a.k else := input.c
${Object.values(rules)
  .map(([body]) => body)
  .join('\n')}`
let reads: Reads
let policy: Policy
beforeAll(async () => {
  const bytes = await bundleOf(
    rego,
    Object.keys(rules).map((name) => `t/${name}`),
    { base: { x: 1, a: { y: 2 } } },
    {
      'x.rego': 'package other.x\nrule := input.b.c',
      'y.rego': 'package other.y\nrule := input.d.e\nunasked := input.f',
    },
  )
  reads = (await readBundle(bytes, 't')).reads!
  policy = await loadBundle(bytes, 't', { now: () => 0n })
})

describe('a rule reads', () => {
  test.each(Object.entries(rules))('%s: what stands beside it', (name, [, paths]) => {
    expect(reads.get(`t/${name}`)).toEqual(paths)
  })
})

const name = fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f', 'k', 'x', 'y', 'a b', '__proto__')
const leaf = fc.constantFrom<Json>(0, 1, 2, true, false, null, '', 'a', 'b', 'x', 'y')
const value = fc.letrec<{ value: Json }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    leaf,
    fc.dictionary(name, tie('value'), { maxKeys: 4 }),
    fc.array(tie('value'), { maxLength: 3 }),
  ),
})).value
const inputs = fc.dictionary(name, value) as fc.Arbitrary<Json>

test('of an input in which only the reads are kept, every rule answers the same', () => {
  fc.assert(
    fc.property(inputs, (input) => {
      for (const entrypoint of policy.entrypoints) {
        const kept = projected(input, partsOf(reads.get(entrypoint)!))
        expect([entrypoint, policy.evaluate(entrypoint, kept, 0n)]).toEqual([
          entrypoint,
          policy.evaluate(entrypoint, input, 0n),
        ])
      }
    }),
    { numRuns: 100 },
  )
})

const plan = (stmts: readonly unknown[], funcs: readonly unknown[] = []): Json =>
  ({
    static: { strings: [{ value: 'a' }, { value: 'b' }] },
    plans: { plans: [{ name: 'e', blocks: [{ stmts }] }] },
    funcs: { funcs },
  }) as Json
const local = (value: number) => ({ type: 'local', value })
const string = (value: number) => ({ type: 'string_index', value })
const dot = (source: number, key: unknown, target: number) => ({
  type: 'DotStmt',
  stmt: { source: local(source), key, target },
})
const readsOf = (stmts: readonly unknown[], funcs?: readonly unknown[]) => readsOfPlan(plan(stmts, funcs)).get('e')

describe('a plan', () => {
  test('that holds a statement which is not known reads the whole input, with known ones what they say', () => {
    expect(readsOf([dot(0, string(0), 2)])).toEqual([['a']])
    expect(readsOf([dot(0, string(0), 2), { type: 'SpinStmt', stmt: {} }])).toEqual(wholeInput)
  })

  test.each([
    ['a string that is not there', [dot(0, string(2), 2)]],
    ['an operand of no known type', [dot(0, { type: 'number', value: 1 }, 2)]],
    ['a target that is no number', [{ type: 'DotStmt', stmt: { source: local(0), key: string(0), target: 'x' } }]],
    ['no statements', [null]],
    ['a call with too few arguments', [{ type: 'CallStmt', stmt: { func: 'f', args: [local(0)], result: 2 } }]],
  ])('with %s reads the whole input', (_, stmts) => {
    const func = { name: 'f', params: [0, 1], return: 2, blocks: [] }
    expect(readsOf(stmts, [func])).toEqual(wholeInput)
  })

  test('that is no plan has no entry points', () => {
    for (const odd of [null, 1, [], {}, { plans: 1 }, { plans: { plans: [null, { name: 1 }] } }]) {
      expect(readsOfPlan(odd as Json).size).toBe(0)
    }
  })

  const loop = (...stmts: readonly unknown[]) => ({
    type: 'ScanStmt',
    stmt: { source: 1, key: 8, value: 9, block: { stmts } },
  })

  test('whose local becomes part of itself round by round ends, and is read from some step on', () => {
    expect(readsOf([dot(0, string(0), 2), loop(dot(2, string(1), 2))])).toEqual([['a', ...Array(15).fill('b')]])
  })

  test('whose local holds now this and now that is read for what it held then', () => {
    const same = (of: number) => ({ type: 'EqualStmt', stmt: { a: local(of), b: { type: 'bool', value: true } } })
    const block = (...stmts: readonly unknown[]) => ({ type: 'BlockStmt', stmt: { blocks: [{ stmts }] } })
    const more = [dot(2, string(1), 3), same(3)]
    expect(readsOf([dot(0, string(0), 2), ...more, dot(0, string(1), 2), same(2)])).toEqual([['a', 'b'], ['b']])
    // A block may end before its last statement.
    expect(readsOf([dot(0, string(0), 2), block(dot(0, string(1), 2)), same(2)])).toEqual([['a'], ['b']])
    // And what a round leaves is there in the next.
    expect(readsOf([loop(same(2), dot(0, string(0), 2))])).toEqual([['a']])
  })

  test('whose rule assigns twice compares what it assigns, and one that assigns once does not', () => {
    const once = (source: number) => ({ type: 'AssignVarOnceStmt', stmt: { source: local(source), target: 4 } })
    const more = dot(4, string(1), 5)
    expect(readsOf([dot(0, string(0), 2), once(2), more])).toEqual([['a', 'b']])
    expect(readsOf([dot(0, string(0), 2), once(2), once(2), more])).toEqual([['a']])
    const scan = { type: 'ScanStmt', stmt: { source: 1, key: 6, value: 7, block: { stmts: [once(2)] } } }
    expect(readsOf([dot(0, string(0), 2), scan, more])).toEqual([['a']])
  })
})

describe('what a manifest says of reads', () => {
  const paths = fc.array(fc.array(fc.string({ maxLength: 8 }), { maxLength: 5 }), { maxLength: 8 })

  test('is read back as it was written', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), paths.map(leastPaths)), (of) => {
        const found = new Map(Object.entries(of))
        expect(readReads({ writ: { reads: writeReads(found) } })).toEqual(found)
      }),
    )
  })

  test('may be left out, and is refused in another form', () => {
    for (const none of [undefined, {}, { writ: {} }, { writ: 1 }]) expect(readReads(none)).toBeUndefined()
    for (const odd of [null, 1, [], { e: 1 }, { e: [1] }, { e: [[1]] }, { e: [['a'.repeat(257)]] }]) {
      expect(() => readReads({ writ: { reads: odd as Json } })).toThrow('metadata.writ.reads')
    }
    expect(() => readReads({ writ: { reads: { e: Array(129).fill(['a']) } } })).toThrow()
    expect(() => readReads({ writ: { reads: { e: [Array(17).fill('a')] } } })).toThrow()
  })

  test('holds no path below another', () => {
    fc.assert(
      fc.property(paths, (of) => {
        const least = leastPaths(of)
        for (const path of of) expect(least.some((one) => begins(one, path))).toBe(true)
        for (const one of least) expect(least.filter((other) => begins(other, one))).toEqual([one])
      }),
    )
  })
})
