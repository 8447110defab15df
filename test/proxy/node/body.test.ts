import { createHash, randomBytes } from 'node:crypto'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import fc from 'fast-check'
import { expect, onTestFinished, test } from 'vitest'
import type { RequestBody, RequestFacts } from '../../../core/facts.ts'
import type { Listener } from '../../../core/snapshot.ts'
import { limitDefaults } from '../../../proxy/limits.ts'
import {
  allow,
  call,
  callerTls,
  eventually,
  inbound,
  makeCa,
  makeSource,
  ok,
  orders,
  startApp,
  startProxy,
  web,
} from './kit.ts'

const ca = makeCa()
const source = makeSource(ca.issue(orders), ca)
const tls = callerTls(ca.issue(web), ca)

/** A listener whose policy sees so much of a body. */
function seeing(port: number, bodyBytes: number): Listener {
  const listener = inbound(port)
  return { ...listener, policy: { ...listener.policy!, bodyBytes, recordBody: [['a']] } }
}

async function through(port: number, bodyBytes: number, bodyMs = limitDefaults.bodyMs) {
  const seen: (RequestBody | undefined)[] = []
  const decide = (facts: RequestFacts) => {
    seen.push(facts.body)
    return facts.head?.path === '/no'
      ? ({ verdict: 'deny', code: 'policy_denied', from: allow.from, reasons: [] } as const)
      : allow
  }
  const proxy = await startProxy({ source, listener: seeing(port, bodyBytes), decide, limits: { bodyMs } })
  return { ...proxy, seen }
}

/** A server of another make, which says what body it got. */
async function startDigest(): Promise<number> {
  const server = createServer((request, response) => {
    const hash = createHash('sha256')
    let length = 0
    request.on('data', (bytes: Buffer) => {
      hash.update(bytes)
      length += bytes.length
    })
    request.on('end', () => response.end(`${length} ${hash.digest('hex')}\n`))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void server.close().closeAllConnections())
  return (server.address() as AddressInfo).port
}

const digest = (body: Uint8Array): string => `${body.length} ${createHash('sha256').update(body).digest('hex')}\n`

const json = 'Host: a\r\nContent-Type: application/json\r\n'
const byLength = (body: string, more = ''): string =>
  `POST / HTTP/1.1\r\n${json}${more}Content-Length: ${body.length}\r\n\r\n${body}`

test('a policy sees what the service then gets, by length and in chunks, and the next request follows', async () => {
  const app = await startApp((text, socket) => {
    if (text.endsWith('}') || text.endsWith('0\r\nx: 1\r\n\r\n') || text.startsWith('GET')) socket.write(ok('fine'))
  })
  const { port, seen, sink } = await through(app.port, 100)
  const caller = call(port, tls)
  caller.send(`${byLength('{"a":1}')}GET / HTTP/1.1\r\nHost: a\r\n\r\n`)
  await caller.until(/fine[\s\S]*fine/)
  caller.send(`POST / HTTP/1.1\r\n${json}Transfer-Encoding: chunked\r\n\r\n4\r\n{"a"\r\n3\r\n:2}\r\n0\r\nX: 1\r\n\r\n`)
  await caller.until(/(?:fine[\s\S]*){3}/)
  expect(seen).toEqual([
    { parsed: { a: 1 }, text: '{"a":1}', truncated: false, size: 7 },
    { parsed: null, text: '', truncated: false, size: 0 },
    { parsed: { a: 2 }, text: '{"a":2}', truncated: false, size: 7 },
  ])
  expect(app.received()).toMatch(/content-length: 7\r\n[\s\S]*\r\n\r\n\{"a":1\}GET/i)
  expect(app.received()).toContain('\r\n\r\n7\r\n{"a":2}\r\n0\r\nx: 1\r\n\r\n')
  expect(sink.decisions.map(({ input }) => (input as { parsed_body: unknown }).parsed_body)).toEqual([
    { a: 1 },
    null,
    { a: 2 },
  ])
  await eventually(() => sink.outcomes.length === 3)
  expect(sink.outcomes.map(({ requestBytes }) => requestBytes)).toEqual([7, 0, 7])
})

test('of a longer body the policy sees the beginning, and the service gets all of it', async () => {
  const { port, seen, sink } = await through(await startDigest(), 1000)
  const body = randomBytes(1_000_000)
  const caller = call(port, tls)
  caller.send(`POST / HTTP/1.1\r\n${json}Content-Length: ${body.length}\r\n\r\n`)
  caller.send(body)
  await caller.until(digest(body))
  caller.send(`POST / HTTP/1.1\r\n${json}Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n`)
  for (let at = 0; at < body.length; at += 70_000) {
    const chunk = body.subarray(at, at + 70_000)
    caller.send(`${chunk.length.toString(16)}\r\n`)
    caller.send(chunk)
    caller.send('\r\n')
  }
  caller.send('0\r\n\r\n')
  expect((await caller.closed()).split(digest(body)).length - 1).toBe(2)
  expect(seen).toMatchObject([
    { parsed: null, truncated: true, size: body.length },
    { parsed: null, truncated: true, size: -1 },
  ])
  const first = body.subarray(0, 1000)
  for (const one of seen) expect(Buffer.from(one!.raw!, 'base64').equals(first)).toBe(true)
  await eventually(() => sink.outcomes.length === 2)
  expect(sink.outcomes).toMatchObject([{ requestBytes: body.length }, { requestBytes: body.length }])
})

test('a body as long as the limit is whole, one byte more is not', async () => {
  const { port, seen } = await through(await startDigest(), 8)
  for (const [body, chunked] of [
    ['{"a":12}', false],
    ['{"a":123}', false],
    ['{"a":12}', true],
    ['{"a":123}', true],
  ] as const) {
    const caller = call(port, tls)
    const chunks = `${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`
    caller.send(chunked ? `POST / HTTP/1.1\r\n${json}Transfer-Encoding: chunked\r\n\r\n${chunks}` : byLength(body))
    await caller.until(digest(Buffer.from(body)))
  }
  expect(seen.map((one) => [one!.truncated, one!.text])).toEqual([
    [false, '{"a":12}'],
    [true, '{"a":123'],
    [false, '{"a":12}'],
    [true, '{"a":123'],
  ])
})

test('however the bytes are split, the same is judged and the same is sent on', async () => {
  const { port, seen } = await through(await startDigest(), 16)
  const cuts = fc.uniqueArray(fc.integer({ min: 1, max: 200 }), { maxLength: 5 })
  await fc.assert(
    fc.asyncProperty(fc.stringMatching(/^[a-z]{0,40}$/), fc.boolean(), cuts, async (word, chunked, at) => {
      const body = `"${word}"`
      const half = body.length >> 1
      const sizes = [half, body.length - half].map((size) => size.toString(16))
      const chunks = `${sizes[0]}\r\n${body.slice(0, half)}\r\n${sizes[1]}\r\n${body.slice(half)}\r\n0\r\n\r\n`
      const text = chunked ? `POST / HTTP/1.1\r\n${json}Transfer-Encoding: chunked\r\n\r\n${chunks}` : byLength(body)
      const caller = call(port, tls)
      let from = 0
      for (const cut of [...at.sort((a, b) => a - b), text.length]) {
        caller.send(text.slice(from, cut))
        from = cut
        await new Promise((resolve) => setImmediate(resolve))
      }
      await caller.until(digest(Buffer.from(body)))
      caller.socket.destroy()
      const judged = seen.at(-1)!
      expect(judged).toMatchObject({ text: body.slice(0, 16), truncated: body.length > 16 })
    }),
    { numRuns: 25 },
  )
})

test('who waits for 100 Continue gets it once, before the policy is asked', async () => {
  const app = await startApp((text, socket) => text.endsWith('}') && socket.write(ok('fine')))
  const { port } = await through(app.port, 100)
  const caller = call(port, tls)
  caller.send(`POST / HTTP/1.1\r\n${json}Expect: 100-continue\r\nContent-Length: 7\r\n\r\n`)
  await caller.until('100 Continue')
  caller.send('{"a":1}')
  const answer = await caller.until('fine')
  expect(answer.split('100 Continue')).toHaveLength(2)
  expect(app.received().toLowerCase()).not.toContain('expect')
})

test('a refused body leaves the connection usable where all of it has come, and closes it where not', async () => {
  const app = await startApp((_, socket) => socket.write(ok('fine')))
  const { port, sink } = await through(app.port, 100)
  const caller = call(port, tls)
  caller.send(byLength('{"a":1,"a":2}'))
  const answer = await caller.until('}\n')
  expect(answer).toMatch(/^HTTP\/1\.1 400 /)
  expect(answer).toContain('one name twice')
  caller.send(byLength('{"a":1}').replace('/ HTTP', '/no HTTP'))
  await caller.until('403')
  caller.send(`POST / HTTP/1.1\r\n${json}Transfer-Encoding: chunked\r\n\r\nzz\r\n`)
  expect(await caller.closed()).toContain('a chunk without a size')
  expect(app.received()).toBe('')
  expect(sink.decisions.map(({ code }) => code)).toEqual(['bad_request', 'policy_denied', 'bad_request'])
})

test('a slow body is refused with 408 and a record, and the policy is not asked', async () => {
  const app = await startApp((_, socket) => socket.write(ok('fine')))
  const { port, sink, seen } = await through(app.port, 100, 50)
  const caller = call(port, tls)
  caller.send(byLength('{"a":1}').slice(0, -2))
  expect(await caller.closed()).toMatch(/^HTTP\/1\.1 408 [\s\S]*"code":"body_timeout"/)
  expect(sink.decisions).toMatchObject([{ verdict: 'deny', code: 'body_timeout', by: 'proxy' }])
  expect(seen).toEqual([])
  await eventually(() => sink.outcomes.length === 1)
  expect(sink.outcomes).toMatchObject([{ code: 'refused', status: 408, requestBytes: 5 }])
})

test('a caller that leaves within its body leaves a record, and nothing reaches the service', async () => {
  const app = await startApp((_, socket) => socket.write(ok('fine')))
  const { port, sink } = await through(app.port, 100)
  const caller = call(port, tls)
  caller.send(byLength('{"a":1}').slice(0, -2))
  await new Promise((resolve) => caller.socket.once('secureConnect', resolve))
  await new Promise((resolve) => setTimeout(resolve, 50))
  caller.socket.destroy()
  await eventually(() => sink.outcomes.length === 1)
  expect(sink.decisions).toMatchObject([{ verdict: 'deny', code: 'bad_request', by: 'proxy' }])
  expect(sink.outcomes).toMatchObject([{ code: 'caller_gone', status: 0 }])
  expect(app.received()).toBe('')
})

test('where the policy sees no bodies, a body that is none of JSON passes as it is', async () => {
  const { port, seen } = await through(await startDigest(), 0)
  const caller = call(port, tls)
  caller.send(byLength('{"a":1,"a":'))
  await caller.until(digest(Buffer.from('{"a":1,"a":')))
  expect(seen).toEqual([undefined])
})
