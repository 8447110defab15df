import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { beforeAll, expect } from 'vitest'
import { everything } from '../../../audit/replay/reads.ts'
import { type Candidate, replay } from '../../../audit/replay/replay.ts'
import type { PolicyUse } from '../../../core/policy.ts'
import type { AuditEvent, DecisionBody } from '../../../core/record.ts'
import { makeDecide } from '../../../engine/decide.ts'
import { askingHost } from '../../../engine/http-send.ts'
import { openHttpTransport } from '../../../engine/node/http-transport.ts'
import type { Policy } from '../../../engine/policy.ts'
import { openRego } from '../../engine/compiled.ts'
import { needs } from '../../parts/needs.ts'
import { type Asked, Traffic } from './traffic.ts'

/** Decisions that the world had a part in, and their replay once the world is gone. */

const test = needs('opa')
const rules = (verdict: string, extra = '') => `package t
allow if http.send({"method": "GET", "url": sprintf("http://%s/allow", [data.server])}).body.${verdict}
${extra}`
let open: (rego: string, server: string) => Promise<Policy>
beforeAll(() => {
  open = (rego, server) => openRego(rego, ['t/allow'], { host: askingHost, data: { server } })
})

const calls: readonly Asked[] = ['/a', '/b', '/c'].map((path) => ({
  caller: 'web',
  method: 'GET',
  path,
  target: 'api',
}))
const candidateOf = (policy: Policy): Candidate => ({
  ...{ ref: policy.ref, decide: makeDecide({ get: () => policy }), worldly: [] },
  reads: () => ({ ...everything, query: false, headers: new Set<string>() }),
})

/** What is asked of a server that is closed again before this resolves. */
async function judged(rego: string, answer: string): Promise<{ readonly traffic: Traffic; readonly server: string }> {
  const server = createServer((_, to) => to.writeHead(200, { 'content-type': 'application/json' }).end(answer))
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening))
  const place = `127.0.0.1:${(server.address() as AddressInfo).port}`
  const policy = await open(rego, place)
  const http = { allow: [`http://${place}`], timeoutMs: 5000, maxBytes: 50_000, privateAddresses: false }
  const use: PolicyUse = { bundle: 'test', entrypoint: 't/allow', recordHeaders: [], recordQuery: false, http }
  const traffic = await new Traffic().judge(
    calls,
    makeDecide({ get: () => policy }, { http: openHttpTransport() }),
    use,
  )
  server.close()
  server.closeAllConnections()
  return { traffic, server: place }
}
const decisions = ({ events }: Traffic) =>
  events.filter(({ kind }) => kind === 'decision') as AuditEvent<DecisionBody>[]

test('a replay answers from the record what another server answered then, and that server may be gone', async () => {
  const { traffic, server } = await judged(rules('yes'), '{"yes": true, "no": false}')
  for (const { verdict, nd_builtin_cache: cache } of decisions(traffic)) {
    const request = `[{"method":"GET","url":"http://${server}/allow"}]`
    expect({ verdict, cache }).toMatchObject({
      verdict: 'allow',
      cache: { 'http.send': { [request]: { status_code: 200, body: { yes: true } } } },
    })
  }
  const same = await replay(traffic.events, candidateOf(await open(rules('yes'), server)))
  expect(same).toMatchObject({ decisions: 3, replayed: 3, flips: 0 })
  const other = await replay(traffic.events, candidateOf(await open(rules('no == true'), server)))
  expect(other).toMatchObject({ decisions: 3, replayed: 3, flips: 3 })
}, 30_000)

test('what a record does not hold is not guessed at: another request, another builtin, an answer that was too long', async () => {
  const { traffic, server } = await judged(rules('yes'), '{"yes": true}')
  const elsewhere = await replay(traffic.events, candidateOf(await open(rules('yes'), 'elsewhere:1')))
  expect(elsewhere).toMatchObject({ replayed: 0, flips: 0, unreplayed: [{ obstacle: 'world', what: 'http.send' }] })
  const random = rules('yes', 'allow if rand.intn("x", 2) == 3')
  const drawing = await replay(traffic.events, candidateOf(await open(random, server)))
  expect(drawing).toMatchObject({ replayed: 0, unreplayed: [{ obstacle: 'world', what: 'rand.intn' }] })

  const long = await judged(rules('yes'), JSON.stringify({ yes: true, more: 'x'.repeat(45_000) }))
  expect(decisions(long.traffic)).toMatchObject([
    { verdict: 'allow', nd_builtin_cache_dropped: true },
    { nd_builtin_cache_dropped: true },
    { nd_builtin_cache_dropped: true },
  ])
  expect(decisions(long.traffic)[0]).not.toHaveProperty('nd_builtin_cache')
  const dropped = await replay(long.traffic.events, candidateOf(await open(rules('yes'), long.server)))
  expect(dropped).toMatchObject({ replayed: 0, unreplayed: [{ obstacle: 'world', what: 'http.send', count: 3 }] })
}, 30_000)

test('what was drawn at random is drawn again, though the record keeps less than the policy saw', async () => {
  const policy = await openRego('package t\nallow if rand.intn("x", 1000000) % 2 == 0', ['t/allow'])
  const by: PolicyUse = { bundle: 'test', entrypoint: 't/allow', recordHeaders: [], recordQuery: false }
  const many = Array.from({ length: 40 }, (_, i) => ({ ...calls[0]!, headers: { 'x-n': String(i) } }))
  const traffic = await new Traffic().judge(many, makeDecide({ get: () => policy }), by)
  expect(new Set(decisions(traffic).map(({ verdict }) => verdict))).toEqual(new Set(['allow', 'fault']))
  expect(await replay(traffic.events, candidateOf(policy))).toMatchObject({ replayed: 40, flips: 0 })
}, 30_000)
