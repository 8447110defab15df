import { createHash } from 'node:crypto'
import { gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { afterEach, expect, test } from 'vitest'
import { openCollectorDoor } from '../../../control/node/collector-door.ts'
import {
  makeOpaLog,
  maxEvents,
  maxInflatedBytes,
  maxUploadBytes,
  type OpaLogParts,
} from '../../../control/node/opa-log.ts'
import type { Door } from '../../../control/node/open-door.ts'
import { WritError } from '../../../core/fault.ts'
import type { SpiffeId } from '../../../core/spiffe.ts'
import { collectorTokens, testSink } from './mesh.ts'

const doors: Door[] = []
afterEach(async () => {
  await Promise.all(doors.splice(0).map((door) => door.close()))
})

const orders = 'spiffe://bank.example/opa/orders' as SpiffeId

async function open(more: Partial<OpaLogParts> = {}) {
  const sink = testSink()
  const denied = new Set<string>()
  const unexpected: unknown[] = []
  const opaLog = makeOpaLog({
    token: (token) => (token === 'opa-orders' ? orders : undefined),
    sink,
    sha256: (bytes) => createHash('sha256').update(bytes).digest(),
    nowMs: () => 0,
    ...more,
  })
  const parts = {
    collectorToken: (token: string) => collectorTokens[token],
    denied: () => ({ denied }),
    sink,
    unexpected: (thrown: unknown) => void unexpected.push(thrown),
    opaLog,
  }
  const door = await openCollectorDoor(parts)
  doors.push(door)
  const post = async (body: Uint8Array | string, headers: Record<string, string> = gzip, token = 'opa-orders') => {
    const answer = await fetch(`http://127.0.0.1:${door.port}/logs`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json', ...headers },
      body: body as BodyInit,
    })
    return { status: answer.status, headers: answer.headers, json: (await answer.json()) as Record<string, unknown> }
  }
  return { sink, denied, unexpected, post, door }
}

const gzip = { 'content-encoding': 'gzip' }
const event = (id: string) => ({ decision_id: id, timestamp: '2026-11-23T10:00:00Z', path: 'x/allow', result: true })
const upload = (...ids: readonly string[]): string => JSON.stringify(ids.map(event))

test('an upload as OPA sends it is kept, and a plain one is too', async () => {
  const { sink, post } = await open()
  expect(await post(gzipSync(upload('a', 'b')))).toMatchObject({
    status: 200,
    json: { kept: 2, repeated: 0, malformed: [] },
  })
  expect(await post(upload('b', 'c'), {})).toMatchObject({ status: 200, json: { kept: 1, repeated: 1 } })
  expect(sink.bodies).toMatchObject([event('a'), event('b'), event('c')].map((it) => ({ workload: orders, event: it })))
})

test('it takes a token for decision logs, and none that is for something else', async () => {
  const { sink, denied, post, door } = await open()
  for (const token of ['guessed', 'edge-orders']) expect((await post(upload('a'), {}, token)).status).toBe(401)
  const records = await fetch(`http://127.0.0.1:${door.port}/v1/records`, {
    method: 'POST',
    headers: { authorization: 'Bearer opa-orders' },
    body: '{}',
  })
  expect(records.status).toBe(401)
  denied.add(orders)
  expect((await post(upload('a'), {})).status).toBe(403)
  expect(sink.bodies).toEqual([])
})

test('an upload may have so many bytes, as it comes and inflated, and so many events, and not one more', async () => {
  const { sink, post } = await open()
  const padded = (length: number): string => upload('a').padEnd(length)
  expect((await post(padded(maxUploadBytes), {})).status).toBe(200)
  expect((await post(padded(maxUploadBytes + 1), {})).status).toBe(413)
  expect((await post(gzipSync(padded(maxInflatedBytes)))).status).toBe(200)
  expect((await post(gzipSync(padded(maxInflatedBytes + 1)))).status).toBe(413)
  expect(sink.bodies).toHaveLength(1)
  const ids = Array.from({ length: maxEvents + 1 }, (_, i) => `d${i}`)
  expect((await post(gzipSync(upload(...ids)))).status).toBe(413)
  expect(sink.bodies).toHaveLength(1)
  expect((await post(gzipSync(upload(...ids.slice(1))))).status).toBe(200)
})

test('a few bytes that would be gigabytes are not inflated', async () => {
  const { post } = await open()
  const bomb = gzipSync(Buffer.alloc(64 * 1024 ** 2), { level: 9 })
  expect(bomb.length).toBeLessThan(maxUploadBytes)
  expect((await post(bomb)).json).toMatchObject({ detail: expect.stringContaining('once it is inflated') })
})

test.each([
  ['', 'the body is not gzip'],
  ['plain text', 'the body is not gzip'],
  [gzipSync(upload('a')).subarray(0, -9), 'the body is not gzip'],
  [gzipSync(Buffer.from([0xff])), 'the body is not UTF-8'],
  [gzipSync('{}'), 'the body: it is no JSON array'],
])('what is no upload is refused with the reason', async (body, detail) => {
  const { sink, post } = await open()
  expect(await post(body)).toMatchObject({ status: 400, json: { code: 'usage', detail } })
  expect(sink.bodies).toEqual([])
})

test('an encoding that is not gzip is refused', async () => {
  const { post } = await open()
  expect(await post(upload('a'), { 'content-encoding': 'br' })).toMatchObject({ status: 400, json: { code: 'usage' } })
})

test('gzip that was damaged anywhere is refused or kept, and nothing unexpected happens', async () => {
  const { unexpected, post } = await open({ rate: { perSecond: 0, burst: 1e9 } })
  const whole = gzipSync(upload('a', 'b', 'c'))
  const change = fc.record({
    at: fc.nat(whole.length - 1),
    to: fc.nat(255),
    cut: fc.nat(whole.length),
    more: fc.uint8Array({ maxLength: 20 }),
  })
  await fc.assert(
    fc.asyncProperty(fc.oneof(change, fc.uint8Array({ maxLength: 200 })), async (how) => {
      let body: Uint8Array
      if (how instanceof Uint8Array) body = Buffer.concat([Buffer.from([0x1f, 0x8b, 8]), how])
      else {
        const bytes = Buffer.from(whole)
        bytes[how.at] = how.to
        body = Buffer.concat([how.cut % 3 === 0 ? bytes.subarray(0, how.cut) : bytes, how.more])
      }
      expect([200, 400, 413]).toContain((await post(body)).status)
    }),
    { numRuns: 300 },
  )
  expect(unexpected).toEqual([])
  expect((await post(whole)).status).toBe(200)
}, 60_000)

test('a name that sends more events than it may is told to wait, and gets on when the time has come', async () => {
  let nowMs = 0
  const { sink, post } = await open({ rate: { perSecond: 2, burst: 4 }, nowMs: () => nowMs })
  expect((await post(upload('a', 'b', 'c'), {})).status).toBe(200)
  const refused = await post(upload('d', 'e'), {})
  expect([refused.status, refused.headers.get('retry-after')]).toEqual([429, '1'])
  expect((await post(upload('d'), {})).status).toBe(429)
  nowMs = 1000
  expect((await post(upload('d', 'e'), {})).status).toBe(200)
  expect(sink.bodies).toHaveLength(5)
})

test('where the log cannot keep them the answer is 503, so that OPA sends them again', async () => {
  const { sink, post } = await open()
  const { keep } = sink
  sink.keep = () => {
    throw new WritError('audit_unavailable', 'the spool is full')
  }
  expect(await post(upload('a'), {})).toMatchObject({ status: 503, json: { code: 'audit_unavailable' } })
  sink.keep = keep
  expect(await post(upload('a'), {})).toMatchObject({ status: 200, json: { kept: 1 } })
})

test('only so many uploads are read at a time, and one less is', async () => {
  const { sink, post } = await open()
  let release = (): void => undefined
  sink.gate = new Promise((resolve) => {
    release = resolve
  })
  const waiting = Array.from({ length: 8 }, (_, i) => post(upload(`d${i}`), {}))
  await expect.poll(() => sink.bodies.length).toBe(8)
  expect((await post(upload('e'), {})).status).toBe(503)
  release()
  expect((await Promise.all(waiting)).map(({ status }) => status)).toEqual(Array(8).fill(200))
  expect((await post(upload('e'), {})).status).toBe(200)
})
