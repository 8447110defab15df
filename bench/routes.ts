/** What finding a route costs, by their number: `npm run bench:routes`. A search in order stands beside it. */

import type { RequestHead } from '../core/facts.ts'
import type { Route } from '../core/snapshot.ts'
import { matcherOf } from '../proxy/flow/match.ts'
import { routesOf } from '../proxy/flow/route.ts'
import { routeIndex } from '../proxy/flow/route-index.ts'

const services = [{ name: 'one', hosts: [], endpoints: [{ address: '127.0.0.1', port: 1, identity: undefined }] }]

/** Half exact paths, half prefixes, under as many first steps as there are routes. */
const routesFor = (count: number, hosts: (index: number) => string): Route[] =>
  Array.from({ length: count }, (_, index) => ({
    name: `r/${index}/0`,
    hosts: [hosts(index)],
    match: {
      path:
        index < count / 2
          ? { type: 'exact', value: `/s${index}/items` }
          : { type: 'prefix', value: `/s${index}/items` },
    },
    backends: [{ service: 'one', weight: 1 }],
    timeoutMs: 1000,
  }))

const headFor = (index: number, authority: string, rest: string): RequestHead => ({
  ...{ method: 'GET', authority, path: `/s${index}/items${rest}`, query: undefined, headers: {} },
  ...{ protocol: 'HTTP/1.1', scheme: 'http' },
})

function nsEach(heads: readonly RequestHead[], find: (head: RequestHead) => unknown, times: number): number {
  let found = 0
  for (let i = 0; i < times / 10; i++) if (find(heads[i % heads.length]!)) found++
  const since = process.hrtime.bigint()
  for (let i = 0; i < times; i++) if (find(heads[i % heads.length]!)) found++
  const ns = Number(process.hrtime.bigint() - since) / times
  if (found < 0) throw new Error('never')
  return Math.round(ns)
}

process.stdout.write(
  '| routes | compiled, ms | one host, ns | a host each, ns | index alone, ns | in order, ns |\n|---|---|---|---|---|---|\n',
)
for (const count of [10, 100, 1000, 10_000]) {
  const one = routesFor(count, () => 'shop')
  const each = routesFor(count, (index) => `h${index}`)
  const since = performance.now()
  const find = routesOf({ services, routes: one }, () => 0)
  const compiledMs = performance.now() - since
  const findEach = routesOf({ services, routes: each }, () => 0)
  const heads = Array.from({ length: 1000 }, (_, i) => {
    const index = (i * 7919) % count
    return { index, head: headFor(index, 'shop', index < count / 2 ? '' : '/7') }
  })
  const shop = heads.map(({ head }) => head)
  const own = heads.map(({ head, index }) => ({ ...head, authority: `h${index}` }))
  const index = routeIndex(one)
  const inOrder = one.map(({ match }) => matcherOf(match))
  const cells = [
    ...[count, compiledMs.toFixed(1), nsEach(shop, find, 400_000), nsEach(own, findEach, 400_000)],
    ...[nsEach(shop, index, 400_000), nsEach(shop, (head) => inOrder.find((accepts) => accepts(head)), 20_000)],
  ]
  process.stdout.write(`| ${cells.join(' | ')} |\n`)
}
