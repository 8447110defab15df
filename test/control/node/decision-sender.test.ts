import { createHash } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { gunzipSync } from 'node:zlib'
import { afterEach, expect, onTestFinished, test } from 'vitest'
import { openCollectorDoor } from '../../../control/node/collector-door.ts'
import { decisionSender } from '../../../control/node/decision-sender.ts'
import { makeOpaLog } from '../../../control/node/opa-log.ts'
import type { Door } from '../../../control/node/open-door.ts'
import { WritError } from '../../../core/fault.ts'
import type { SpiffeId } from '../../../core/spiffe.ts'
import { testSink } from './mesh.ts'

const doors: Door[] = []
afterEach(async () => {
  await Promise.all(doors.splice(0).map((door) => door.close()))
})

const event = (id: string) => ({ decision_id: id, timestamp: '2026-11-23T10:00:00Z', path: 'x/allow', result: true })
const unavailable = (why: string) => ({ code: 'audit_unavailable', cause: { message: expect.stringContaining(why) } })

/** The collector's own door, over a sink that only remembers. */
async function overDoor() {
  const sink = testSink()
  const opaLog = makeOpaLog({
    token: (token) => (token === 'good' ? ('spiffe://bank.example/opa/pdp' as SpiffeId) : undefined),
    sink,
    sha256: (bytes) => createHash('sha256').update(bytes).digest(),
    nowMs: () => 0,
  })
  const parts = {
    collectorToken: () => undefined,
    denied: () => ({ denied: new Set<string>() }),
    unexpected: () => undefined,
  }
  const door = await openCollectorDoor({ ...parts, sink, opaLog })
  doors.push(door)
  return { sink, url: `http://127.0.0.1:${door.port}` }
}

/** A collector that answers as it is told to. */
async function answering(answer: (sent: object[], response: ServerResponse, request: IncomingMessage) => void) {
  const posts: object[][] = []
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    const sent = JSON.parse(gunzipSync(Buffer.concat(chunks)).toString('utf8')) as object[]
    posts.push(sent)
    answer(sent, response, request)
  })
  await new Promise<void>((ready) => server.listen(0, '127.0.0.1', ready))
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  return { posts, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` }
}

test('a decision is kept once the collector says so, in the order in which they were made', async () => {
  const { sink, url } = await overDoor()
  const sender = decisionSender({ url, token: 'good' })
  await sender.check()
  await sender.keep(event('a'))
  expect(sink.bodies).toMatchObject([{ kind: 'opa_decision', event: event('a') }])
  const many = Array.from({ length: 700 }, (_, i) => event(`d${i}`))
  await Promise.all(many.map((one) => sender.keep(one)))
  expect(sink.bodies.slice(1)).toMatchObject(many.map((one) => ({ event: one })))
})

test('without a good token nothing is kept, and it is known before the first decision', async () => {
  const { sink, url } = await overDoor()
  const sender = decisionSender({ url, token: 'guessed' })
  await expect(sender.check()).rejects.toMatchObject({ code: 'unauthorized' })
  await expect(sender.keep(event('a'))).rejects.toMatchObject(unavailable('401'))
  expect(sink.bodies).toEqual([])
})

test('where the log is full the decision is not kept; when it has room again the next one is', async () => {
  const { sink, url } = await overDoor()
  const sender = decisionSender({ url, token: 'good' })
  const { keep } = sink
  sink.keep = () => {
    throw new WritError('audit_unavailable', 'the spool is full')
  }
  await expect(sender.keep(event('a'))).rejects.toMatchObject(unavailable('503: the spool is full'))
  sink.keep = keep
  await sender.keep(event('b'))
  expect(sink.bodies).toHaveLength(1)
})

test('what the collector takes for no decision is refused, and those beside it are kept', async () => {
  const { sink, url } = await overDoor()
  const sender = decisionSender({ url, token: 'good' })
  await sender.check()
  const settled = await Promise.allSettled([
    sender.keep(event('a')),
    sender.keep(event('b')),
    sender.keep({ decision_id: 'c' }),
    sender.keep(event('d')),
  ])
  expect(settled.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'rejected', 'fulfilled'])
  expect(settled[2]).toMatchObject({ reason: unavailable('it has no timestamp') })
  expect(sink.bodies).toHaveLength(4)
})

test('those that come while a post is under way go together in the next', async () => {
  const { posts, url } = await answering((sent, response) =>
    response.end(JSON.stringify({ kept: sent.length, repeated: 0, malformed: [] })),
  )
  const sender = decisionSender({ url, token: 'good' })
  await Promise.all(['a', 'b', 'c'].map((id) => sender.keep(event(id))))
  expect(posts.map((post) => post.length)).toEqual([1, 2])
})

test.each([
  ['{}', 'did not say'],
  ['not JSON', 'did not say'],
  ['{"kept":0,"repeated":0,"malformed":[]}', 'did not say'],
  ['{"kept":1,"repeated":0}', 'did not say'],
  ['{"kept":1,"repeated":0,"malformed":[7]}', 'did not say'],
])('an answer that does not account for the decision is none: %s', async (text, why) => {
  const { url } = await answering((_, response) => response.end(text))
  await expect(decisionSender({ url, token: 'good' }).keep(event('a'))).rejects.toMatchObject(unavailable(why))
})

test('a collector that is silent, away or says something endless keeps nothing', async () => {
  const silent = await answering(() => undefined)
  const short = decisionSender({ url: silent.url, token: 'good', timeoutMs: 100 })
  await expect(short.keep(event('a'))).rejects.toMatchObject(unavailable('no answer in 100 ms'))
  const endless = await answering((_, response) => response.end('x'.repeat(1024 ** 2)))
  const sender = decisionSender({ url: endless.url, token: 'good' })
  await expect(sender.keep(event('a'))).rejects.toMatchObject(unavailable('an answer of more than'))
  const elsewhere = await answering((_, response) => response.writeHead(307, { location: silent.url }).end())
  await expect(decisionSender({ url: elsewhere.url, token: 'good' }).keep(event('a'))).rejects.toMatchObject(
    unavailable('307'),
  )
  expect(silent.posts).toHaveLength(1)
})

test('a connection that was closed under it is tried once more, and not for ever', async () => {
  let closed = 0
  const { posts, url } = await answering((sent, response, request) => {
    if (closed++ < 1) request.socket.destroy()
    else response.end(JSON.stringify({ kept: sent.length, repeated: 0, malformed: [] }))
  })
  const sender = decisionSender({ url, token: 'good' })
  await sender.keep(event('a'))
  expect(posts).toHaveLength(2)
  closed = -1
  await expect(sender.keep(event('b'))).rejects.toMatchObject({ code: 'audit_unavailable' })
})

test.each(['http://collector.example', 'http://192.0.2.1:7480', 'ftp://127.0.0.1', 'https://user:pass@a.example', 'x'])(
  'the token does not go to %s',
  (url) => {
    expect(() => decisionSender({ url, token: 'good' })).toThrow(expect.objectContaining({ code: 'config_invalid' }))
  },
)

test.each(['https://collector.example/base', 'http://127.0.0.1:1', 'http://[::1]:1/', 'http://localhost:1'])(
  'it may go to %s',
  (url) => {
    expect(() => decisionSender({ url, token: 'good' })).not.toThrow()
  },
)
