/**
 * What one judged request costs apart from sockets and TLS, in microseconds of CPU time over all threads: a head is
 * read, identified, judged, recorded in a real spool, and its outcome kept. Less at the mercy of neighbours than the
 * whole; for seeing what a change does. With SEEN=1 requests are counted too. Prints, asserts nothing.
 */

import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openRecorder } from '../audit/node/recorder.ts'
import { signHeadWith } from '../ca/node/heads.ts'
import { localIdentitySource } from '../ca/node/source.ts'
import { openClock, random, sha256 } from '../cli/wire/machine.ts'
import type { Peer } from '../core/identity.ts'
import type { Outcome } from '../core/outcome.ts'
import { auditDefaults } from '../core/snapshot.ts'
import { trustDomainOf } from '../core/spiffe.ts'
import { makeDecide, makePolicies } from '../engine/index.ts'
import { loadBundle } from '../engine/node/open.ts'
import type { Exchange } from '../proxy/exchange.ts'
import { inBlocks } from '../proxy/flow/random.ts'
import { appRoute } from '../proxy/flow/route.ts'
import { readRequest } from '../proxy/http1/request.ts'
import { limitDefaults } from '../proxy/limits.ts'
import { type Parts, serve } from '../proxy/serve.ts'
import { makeTaps } from '../proxy/telemetry/tap.ts'
import { makeTraffic } from '../proxy/telemetry/traffic.ts'
import { authorityIn, callerId, serverId, trustDomain } from './certificates.ts'
import { bankPolicy, peersPolicy } from './policies.ts'

const rounds = Number(process.env.ROUNDS ?? 12)
const perRound = 4000
/** Requests that are in flight together, as those of one turn of a busy loop are. */
const together = 16

const folder = await mkdtemp(join(tmpdir(), 'writ-path-'))
const now = openClock()
const source = await localIdentitySource(await authorityIn(join(folder, 'ca')), serverId, { nowMs: Date.now, random })
const stream = { publish: async () => {}, partitions: async () => 1, close: async () => {} }
const recorder = await openRecorder({
  ...{ dir: join(folder, 'spool'), settings: auditDefaults, trustDomain, cluster: 'bench', software: 'writ bench' },
  ...{ stream, now, random, sha256, onEvent: () => {} },
})
const sink = await recorder.producer({ id: serverId, source, signHead: signHeadWith(source) })
const policies = makePolicies()
const { bundle, entrypoint } = process.argv[2] === 'bank' ? bankPolicy : await peersPolicy(folder)
policies.put(await loadBundle(new Uint8Array(await readFile(bundle)), 'bench', { now }))

const identity = {
  ...{ id: callerId, trustDomain: trustDomainOf(callerId), proof: 'x509' as const, serial: '5a'.repeat(16) },
  ...{ notBeforeMs: Date.now() - 60_000, notAfterMs: Date.now() + 3_600_000 },
}
const identified = { ok: true, identity } as const
const policy = { bundle: 'bench', entrypoint, recordHeaders: [], recordQuery: false }
const bind = { kind: 'tcp', address: '127.0.0.1', port: 8443 } as const
const app = { address: '127.0.0.1', port: 8080 }
const traffic = makeTraffic()
const taps = makeTaps()
const telemetry = {
  trace: () => undefined,
  opened: () => {},
  served(served: Parameters<typeof traffic.served>[0]) {
    traffic.served(served)
    taps.served(served)
  },
}
const parts: Parts = {
  ...(process.env.SEEN && { telemetry }),
  ...{ direction: 'inbound', listener: 'bench/http', workload: serverId, policy },
  findRoute: appRoute({ direction: 'inbound', name: 'http', bind, app, service: 'orders', policy }),
  ...{ identify: () => identified, decide: makeDecide(policies), sink, now, random: inBlocks(random) },
}

const headOf = (path: string): string =>
  [
    `GET ${path} HTTP/1.1`,
    'Host: orders.bank.internal',
    'User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0',
    'Accept: application/json',
    'Accept-Encoding: gzip, deflate, br',
    'Accept-Language: en-GB,en;q=0.8',
    '\r\n',
  ].join('\r\n')

const outcome: Outcome = {
  ...{
    code: 'completed',
    status: 200,
    requestBytes: 0,
    responseBytes: 14,
    durationUs: 812,
    upstream: '127.0.0.1:8080',
  },
}
const connections = Array.from({ length: 32 }, (_, i) => ({
  peer: { evidence: { kind: 'none' }, address: '127.0.0.1', port: 40_000 + i } as Peer,
  local: { address: '127.0.0.1', port: 8443 },
}))
let refused = 0
async function request(number: number): Promise<void> {
  const head = readRequest(headOf(`/orders/new-${number}`), 'https', limitDefaults)
  const exchange: Exchange = {
    ...connections[number % connections.length]!,
    head,
    readBody: async () => ({ kind: 'none' }),
    forward: async () => outcome,
    refuse: async () => {
      refused++
      return outcome
    },
  }
  await serve(exchange, parts)
}

const costs: number[] = []
for (let round = 0, number = 0; round < rounds; round++) {
  const before = process.cpuUsage()
  for (let i = 0; i < perRound; i += together) {
    await Promise.all(Array.from({ length: together }, () => request(number++)))
  }
  const { user, system } = process.cpuUsage(before)
  costs.push((user + system) / perRound)
}
costs.sort((a, b) => a - b)
console.log(`median ${costs[rounds >> 1]!.toFixed(1)} µs, least ${costs[0]!.toFixed(1)} µs; ${refused} refused`)
await recorder.close({ timeoutMs: 10_000 })
source.close()
await rm(folder, { recursive: true, force: true })
