import { expect, test } from 'vitest'
import type { RequestHead } from '../../../core/facts.ts'
import { grpcCallOf } from '../../../proxy/flow/grpc.ts'
import { routesOf } from '../../../proxy/flow/route.ts'
import { bound, meshWith, own, problemsOf, route, served, snapshotOf } from '../world.ts'

const grpc = (name: string, spec: string): string =>
  `apiVersion: gateway.networking.k8s.io/v1\nkind: GRPCRoute\nmetadata: {name: ${name}}\nspec: ${spec}`
const ledger = served('ledger', 9001)
const other = (name: string, port: number): string => served(name, port)
const toLedger = '{group: "", kind: Service, name: ledger}'
const rule = (matches: string, backend: string): string =>
  `{name: to-${backend}, matches: [${matches}], backendRefs: [{name: ${backend}}]}`
const mesh = (...rules: string[]): string =>
  meshWith(
    ledger,
    other('posts', 9002),
    other('loud', 9003),
    other('rest', 9004),
    bound('ledger', 'posts', 'loud', 'rest'),
    grpc('calls', `{parentRefs: [${toLedger}], rules: [${rules.join(', ')}]}`),
  )

const call = (path: string, headers: Record<string, string> = {}): RequestHead => ({
  ...{ method: 'POST', authority: 'ledger', path, query: undefined, protocol: 'HTTP/2', scheme: 'http' },
  headers: { 'content-type': 'application/grpc+proto', ...headers },
})

test('a service, one of its methods and headers say where a call goes, the narrower first, and no time is set', () => {
  const snapshot = snapshotOf(
    mesh(
      rule('{method: {service: bank.Ledger}}', 'ledger'),
      rule('{method: {service: bank.Ledger, method: Post}}', 'posts'),
      rule('{method: {service: bank.Ledger}, headers: [{name: x-loud, value: "1"}]}', 'loud'),
      '{backendRefs: [{name: rest}]}',
    ),
  )
  const find = routesOf(snapshot, () => 0)
  const to = (path: string, headers?: Record<string, string>): unknown => {
    const { route, service, timeoutMs } = find(call(path, headers))!
    return [route.split('/')[1], service, timeoutMs]
  }
  expect(to('/bank.Ledger/Get')).toEqual(['to-ledger', 'ledger', 0])
  expect(to('/bank.Ledger/Get', { 'x-loud': '1' })).toEqual(['to-loud', 'loud', 0])
  expect(to('/bank.Ledger/Post', { 'x-loud': '1' })).toEqual(['to-posts', 'posts', 0])
  expect(to('/bank.LedgerTwo/Get')).toEqual(['3', 'rest', 0])
})

test('a pattern fits whole names, of a service, a method or both, and goes before a whole service', () => {
  const pattern = (of: string): string => `{method: {type: RegularExpression, ${of}}}`
  const snapshot = snapshotOf(
    mesh(
      rule('{method: {service: bank.Ledger}}', 'ledger'),
      rule(pattern('method: "Get|Post"'), 'posts'),
      rule(pattern('service: "bank[.][A-Z]+", method: List'), 'loud'),
      '{backendRefs: [{name: rest}]}',
    ),
  )
  const find = routesOf(snapshot, () => 0)
  const to = (path: string): string => find(call(path))!.service
  expect(to('/bank.Ledger/Get')).toBe('posts')
  expect(to('/bank.Ledger/GetAll')).toBe('ledger')
  expect(to('/any.Other/Post')).toBe('posts')
  expect(to('/bank.SOME/List')).toBe('loud')
  expect(to('/bank.Some/List')).toBe('rest')
  expect(to('/a/b/Post')).toBe('rest')
})

test('a rule of a GRPCRoute asks its own policy where the calls arrive', () => {
  const target = '{group: gateway.networking.k8s.io, kind: GRPCRoute, name: calls, sectionName: to-ledger}'
  const binding = own('PolicyBinding', 'x', `{targetRefs: [${target}], bundle: bank, entrypoint: a/calls}`)
  const text = `${mesh(rule('{method: {service: bank.Ledger}}', 'ledger'))}---\n${binding}`
  const workload = snapshotOf(text).workloads.find(({ name }) => name === 'ledger')!
  expect(workload.listeners).toMatchObject([
    { policies: [{ route: 'calls/to-ledger/0', policy: { entrypoint: 'a/calls' } }] },
  ])
})

test.each([
  ['a method without a service', [rule('{method: {method: Post}}', 'ledger')], 'names no service'],
  ['a service that is a path', [rule('{method: {service: /bank}}', 'ledger')], 'is not a service'],
  ['a pattern of nothing', [rule('{method: {type: RegularExpression}}', 'ledger')], 'names no service and no method'],
  ['a pattern of another language', [rule('{method: {type: RegularExpression, method: "(?=a)"}}', 'ledger')], 'of RE2'],
])('%s is a problem', (_, rules, problem) => {
  expect(
    problemsOf(mesh(...rules))
      .map((one) => one.problem)
      .join('\n'),
  ).toContain(problem)
})

test('a Service has routes of one kind, and a name is one route’s', () => {
  const both = route('calls', `{parentRefs: [${toLedger}], rules: [{backendRefs: [{name: ledger}]}]}`)
  const problems = problemsOf(`${mesh(rule('{}', 'ledger'))}---\n${both}`).map((one) => one.problem)
  expect(problems.join('\n')).toContain('there is an HTTPRoute calls too')
  expect(problems.join('\n')).toContain('ledger has HTTPRoute/calls already')
})

test('a call has a service and a method by its path, and only as gRPC over HTTP/2', () => {
  expect(grpcCallOf(call('/bank.Ledger/Post'))).toEqual({ service: 'bank.Ledger', method: 'Post' })
  for (const path of ['/', '/a', '/a/', '//b', '/a/b/c', '*']) expect(grpcCallOf(call(path)), path).toBeUndefined()
  expect(grpcCallOf(call('/a/b', { 'content-type': 'application/json' }))).toBeUndefined()
  expect(grpcCallOf({ ...call('/a/b'), protocol: 'HTTP/1.1' })).toBeUndefined()
})
