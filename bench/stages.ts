/**
 * Where one judged request's time goes apart from sockets, TLS, files and promises: each step alone, in microseconds of
 * CPU time, the least of many batches. Steadier than any whole, since a neighbour only ever adds. Prints, asserts nothing.
 * Usage: node bench/stages.ts [BATCHES, default 40]
 */

import { hash } from 'node:crypto'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { writeRecord } from '../audit/node/spool-frame.ts'
import { addOutcome, newOutcomes, takeOutcomes } from '../audit/stream/outcomes.ts'
import { newProducer, seal } from '../audit/stream/producer.ts'
import { openClock, random, sha256 } from '../cli/wire/machine.ts'
import type { Decision } from '../core/decision.ts'
import { policyInputText } from '../core/input-text.ts'
import type { Outcome } from '../core/outcome.ts'
import { newEpoch } from '../core/record.ts'
import { loadBundle } from '../engine/node/open.ts'
import { readFacts } from '../proxy/flow/facts.ts'
import { onward } from '../proxy/flow/onward.ts'
import { inBlocks } from '../proxy/flow/random.ts'
import { decisionBody } from '../proxy/flow/record.ts'
import { Request, readRequest } from '../proxy/http1/request.ts'
import { type Response, readResponse } from '../proxy/http1/response.ts'
import { headEnd } from '../proxy/http1/scan.ts'
import { writeRequest, writeResponse } from '../proxy/http1/write.ts'
import { limitDefaults } from '../proxy/limits.ts'
import { callerId, serverId, trustDomain } from './certificates.ts'
import { peersPolicy } from './policies.ts'

const perBatch = 2000
const batches = Number(process.argv[2] ?? 40)

const now = openClock()
const folder = await mkdtemp(join(tmpdir(), 'writ-stages-'))
const { bundle, entrypoint } = await peersPolicy(folder)
const policy = await loadBundle(new Uint8Array(await readFile(bundle)), 'bench', { now })
await rm(folder, { recursive: true })

const use = { bundle: 'bench', entrypoint, recordHeaders: [], recordQuery: false }
const proof = { proof: 'x509', serial: '5a'.repeat(16), notBeforeMs: 0, notAfterMs: 3_600_000 } as const
const identified = { ok: true, identity: { id: callerId, trustDomain, ...proof } } as const
const found = {
  ...{ route: 'orders', service: 'orders', timeoutMs: 0 },
  endpoint: { address: '127.0.0.1', port: 8080, identity: undefined },
}
const parts = { direction: 'inbound', listener: 'bench/http', workload: serverId, random: inBlocks(random) } as const
const allowed: Decision = { verdict: 'allow', code: 'allowed', from: { by: 'policy', policy: policy.ref }, reasons: [] }
const ends = Array.from({ length: 32 }, (_, i) => ({
  peer: { evidence: { kind: 'none' }, address: '127.0.0.1', port: 40_000 + i } as const,
  local: { address: '127.0.0.1', port: 8443 },
}))
const requestHead = (number: number): Buffer =>
  Buffer.from(
    `GET /orders/new-${number} HTTP/1.1\r\nHost: orders.bank.internal\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\nAccept: application/json\r\nAccept-Encoding: gzip, deflate, br\r\nAccept-Language: en-GB,en;q=0.8\r\n\r\n`,
  )
const responseHead = Buffer.from(
  'HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nDate: Mon, 23 Nov 2026 19:00:00 GMT\r\nContent-Type: application/json\r\nContent-Length: 14\r\nConnection: keep-alive\r\n\r\n',
)
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

const least = new Map<string, number>()

/** Does one step for a whole batch, so that the clock is read seldom. */
function step<A, B>(name: string, from: readonly A[], act: (one: A, i: number) => B): B[] {
  const made = new Array<B>(from.length)
  const before = process.cpuUsage()
  for (let i = 0; i < from.length; i++) made[i] = act(from[i]!, i)
  const { user, system } = process.cpuUsage(before)
  least.set(name, Math.min(least.get(name) ?? Number.POSITIVE_INFINITY, (user + system) / from.length))
  return made
}

const epoch = newEpoch(random)
let producer = newProducer({ td: trustDomain, cluster: 'bench', id: serverId, epoch }, now())
const hexOf = (bytes: Uint8Array): string => hash('sha256', bytes, 'hex')
const outcomes = newOutcomes()
const wire = Buffer.alloc(65_536)

for (let batch = 0; batch < batches; batch++) {
  const received = Array.from({ length: perBatch }, (_, i) => requestHead(batch * perBatch + i))
  const heads = step('read the request head', received, (bytes) => {
    const end = headEnd(bytes, 0, bytes.length, limitDefaults.headBytes)
    const head = readRequest(bytes.toString('latin1', 0, end), 'https', limitDefaults)
    if (head instanceof Request) return head
    throw new Error(head.detail)
  })
  const times = step('read the clock', heads, () => now())
  const facts = step('gather the facts', heads, (head, i) =>
    readFacts({ head, ...ends[i % ends.length]! }, identified, found, times[i]!, parts),
  )
  const inputs = step('write the policy input', facts, policyInputText)
  step('evaluate the policy (Wasm)', inputs, (input, i) => {
    const answer = policy.evaluateText(entrypoint, input, times[i]!)
    if (!answer.ok || answer.value !== true) throw new Error('the policy refuses')
  })
  const bodies = step('put the decision together', facts, (of) => decisionBody(of, found, allowed, use))
  const records = step('number, chain, write and hash the record', bodies, (body, i) => {
    const sealed = seal(producer, body, times[i]!, sha256, hexOf)
    producer = sealed.producer
    return sealed.records[0]!
  })
  step('of that, SHA-256', records, ({ leaf }) => hexOf(leaf))
  step('frame it for the spool, with CRC-32C', records, ({ leaf }) => writeRecord(wire, 0, 1, leaf))
  const sent = step('say what goes on', facts, (of, seq) =>
    onward(of, found, allowed, { producer: serverId, epoch, seq }),
  )
  step('write the upstream head', heads, (head, i) =>
    wire.write(writeRequest(head, { set: sent[i]!.setHeaders, remove: sent[i]!.removeHeaders }), 'latin1'),
  )
  const responses = step('read the response head', received, (): Response => {
    const end = headEnd(responseHead, 0, responseHead.length, limitDefaults.headBytes)
    const response = readResponse(responseHead.toString('latin1', 0, end), 'GET', limitDefaults)
    if ('wrong' in response) throw new Error(response.wrong)
    return response
  })
  step("write the caller's head", responses, ({ status, framing, fields }, i) => {
    const changes = { set: sent[i]!.setResponseHeaders, remove: [] }
    return wire.write(writeResponse({ status, framing, close: false }, fields, changes), 'latin1')
  })
  step('note the outcome', facts, (_, seq) => addOutcome(outcomes, seq, outcome, 1) || takeOutcomes(outcomes))
}
for (const [name, us] of least) console.log(`${us.toFixed(2).padStart(6)}  ${name}`)
