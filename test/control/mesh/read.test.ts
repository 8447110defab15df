import fc from 'fast-check'
import { expect, test } from 'vitest'
import { bankText, compiled, meshWith, own, problemsOf, route, served } from '../world.ts'

const lineOf = (text: string, needle: string): number => text.slice(0, text.indexOf(needle)).split('\n').length

test('a problem names document, line, column and field', () => {
  const text = bankText.replace('type: Exact', 'type: Regex')
  expect(problemsOf(text)).toEqual([
    {
      level: 'error',
      document: 'HTTPRoute/payments',
      line: lineOf(text, 'type: Regex'),
      column: 19,
      field: 'spec.rules[0].matches[1].path.type',
      problem: '"Regex" is not supported',
      cure: 'use Exact or PathPrefix or RegularExpression',
    },
  ])
})

test('nothing is silently ignored: fields, kinds, versions, YAML tags', () => {
  const ignored = (from: string, to: string) => {
    const text = bankText.replace(from, to)
    expect(text).not.toBe(bankText)
    return problemsOf(text).filter(({ level }) => level === 'error')
  }
  expect(ignored('timeouts: {', 'sessionPersistence: {idleTimeout: 1m}\n      timeouts: {')).toMatchObject([
    { field: 'spec.rules[0].sessionPersistence.idleTimeout', problem: 'is unknown or not supported' },
  ])
  expect(ignored('timeouts: { request: 2s500ms }', 'timeouts: { idle: 1s }')).toMatchObject([
    { field: 'spec.rules[0].timeouts.idle' },
  ])
  expect(ignored('kind: Gateway\n', 'kind: TCPRoute\n')).toMatchObject([{ document: 'document 10', field: 'kind' }])
  expect(ignored('k8s.io/v1', 'k8s.io/v1beta1')).toMatchObject([
    { field: 'apiVersion', cure: 'use gateway.networking.k8s.io/v1' },
  ])
  expect(ignored('cluster: north', 'cluster: !secret north')).toMatchObject([
    { problem: 'Unresolved tag: !secret', line: 6 },
  ])
  expect(ignored('cluster: north', 'cluster: north\n  cluster: south')).toMatchObject([
    { problem: 'Map keys must be unique' },
  ])
  expect(ignored('port: 9101', 'port: "9101"')).toMatchObject([{ field: 'spec.inbound.port' }])
  expect(ignored('  trustDomain: bank.example\n', '')).toMatchObject([
    { field: 'spec.trustDomain', problem: 'is missing' },
  ])
  expect(
    ignored('kind: Service, name: payments, port', 'kind: Service, namespace: prod, name: payments, port'),
  ).toMatchObject([{ field: 'spec.parentRefs[0].namespace' }])
})

test('a path that no normalised request can have is refused, its neighbour is not', () => {
  const problems = (value: string) =>
    problemsOf(
      meshWith(
        served('a', 1000),
        route(
          'r',
          `{parentRefs: [{group: "", kind: Service, name: a}], rules: [{matches: [{path: {value: "${value}"}}], backendRefs: [{name: a}]}]}`,
        ),
      ),
    ).filter(({ level }) => level === 'error')
  for (const wrong of ['a', '/a//b', '/a/../b', '/a/.', '/%61', '/a%2fb', '/a%2Fb', '/a?b', '/%zz', '/a b']) {
    expect(problems(wrong), wrong).toMatchObject([{ field: 'spec.rules[0].matches[0].path.value' }])
  }
  for (const right of ['/', '/a/', '/a.b/..c', '/%C3%A9', '/a:b']) expect(problems(right), right).toEqual([])
})

test('two of one name, a second Mesh, and no Mesh are problems', () => {
  expect(problemsOf('')).toMatchObject([{ problem: 'has no Mesh', line: 1, column: 1 }])
  expect(problemsOf('---\n---\n')).toMatchObject([{ problem: 'has no Mesh' }])
  expect(problemsOf(meshWith(own('Mesh', 'n', '{trustDomain: x}')))).toMatchObject([{ document: 'Mesh/n' }])
  expect(problemsOf(meshWith(served('a', 1), served('a', 2)))).toMatchObject([
    { document: 'Workload/a', field: 'metadata.name', line: 13 },
  ])
  expect(problemsOf('kind: Mesh')).toMatchObject([{ document: 'Mesh (document 1)' }, {}, {}])
})

test('text that is too long, too deep or too full of aliases is a problem, not a crash', () => {
  expect(problemsOf('#'.repeat(4 * 1024 * 1024 + 1))).toMatchObject([{ problem: expect.stringContaining('longer') }])
  expect(compiled('['.repeat(100_000)).ok).toBe(false)
  const bomb = ['a: &a [x]', ...[...'bcdefghij'].map((it, at) => `${it}: &${it} [${`*${'abcdefghi'[at]},`.repeat(9)}]`)]
  expect(compiled(`kind: Mesh\n${bomb.join('\n')}`).ok).toBe(false)
  expect(compiled('--- a\n'.repeat(4097)).ok).toBe(false)
})

test('any text has a result', () => {
  const total = (text: string) => {
    const result = compiled(text)
    if (result.ok) return
    expect(result.problems.length).toBeGreaterThan(0)
    for (const { line, column } of result.problems) expect(Math.min(line, column)).toBeGreaterThanOrEqual(1)
  }
  fc.assert(fc.property(fc.string({ unit: 'binary', maxLength: 200 }), total), { numRuns: 300 })

  // One line of a good file put anywhere, taken out, or changed in one place.
  const lines = bankText.split('\n')
  const scraps = [
    '',
    '- ',
    ': ',
    '&a ',
    '*a',
    '!!x ',
    '{',
    '}',
    '"\\uD800"',
    'null',
    '1e999',
    '__proto__: 1',
    '<<: *a',
    '\t',
  ]
  const anyLine = fc.nat(lines.length - 1)
  fc.assert(
    fc.property(anyLine, anyLine, fc.nat(40), fc.constantFrom(...scraps), (from, to, at, scrap) => {
      const mangled = [...lines]
      const line = mangled[from]!
      mangled[from] = line.slice(0, at) + scrap + line.slice(at + scrap.length)
      mangled.splice(to, 1, ...(from % 2 ? [] : [mangled[from]!]))
      total(mangled.join('\n'))
    }),
    { numRuns: 300 },
  )
  // Any JSON in the place of a spec.
  const kinds = ['Mesh', 'Workload', 'Service', 'PolicyBinding', 'HTTPRoute', 'Gateway']
  fc.assert(
    fc.property(fc.constantFrom(...kinds), fc.jsonValue(), (kind, spec) => {
      total(meshWith(own(kind, 'x', JSON.stringify(spec))))
      total(meshWith(route('x', JSON.stringify(spec))))
    }),
    { numRuns: 200 },
  )
})
