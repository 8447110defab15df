import { randomBytes } from 'node:crypto'
import { createServer } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import type { Service } from '../../../core/snapshot.ts'
import type { Limits } from '../../../proxy/limits.ts'
import {
  call,
  eventually,
  get,
  makeCa,
  makeSource,
  ok,
  outbound,
  service,
  startAnswering,
  startApp,
  startProxy,
  type TestApp,
  web,
} from './kit.ts'

const ca = makeCa()
const source = makeSource(ca.issue(web), ca)

const through = (app: Pick<TestApp, 'port'>, limits?: Partial<Limits>, services?: readonly Service[]) =>
  startProxy({
    source,
    listener: outbound(),
    services: services ?? [service('orders', app.port)],
    ...(limits ? { limits } : undefined),
  })

/** A server of another make, which sends back the body it gets. */
async function startEcho(): Promise<{ port: number }> {
  const server = createServer((request, response) => {
    if (request.url === '/length') response.setHeader('content-length', request.headers['content-length'] ?? 0)
    request.pipe(response)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void server.close().closeAllConnections())
  return { port: (server.address() as AddressInfo).port }
}

const bodyOf = (answer: string): string => answer.slice(answer.indexOf('\r\n\r\n') + 4)

function unchunk(text: string): string {
  let body = ''
  for (let at = 0; ; ) {
    const end = text.indexOf('\r\n', at)
    const size = Number.parseInt(text.slice(at, end), 16)
    if (size === 0) return body
    body += text.slice(end + 2, end + 2 + size)
    at = end + 4 + size
  }
}

test('a body of 1 MiB goes both ways unchanged, by length and in chunks', async () => {
  const { port, sink } = await through(await startEcho())
  const bytes = randomBytes(1_048_576)
  const text = bytes.toString('latin1')

  const byLength = call(port)
  byLength.send(`POST /length HTTP/1.1\r\nHost: orders\r\nContent-Length: ${bytes.length}\r\nConnection: close\r\n\r\n`)
  byLength.send(bytes)
  const plain = await byLength.closed()
  expect(plain).toContain(`content-length: ${bytes.length}`)
  expect(bodyOf(plain) === text).toBe(true)

  const inChunks = call(port)
  inChunks.send('POST / HTTP/1.1\r\nHost: orders\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n')
  for (let at = 0; at < bytes.length; at += 100_000) {
    const chunk = bytes.subarray(at, at + 100_000)
    inChunks.send(`${chunk.length.toString(16)};ext=1\r\n`)
    inChunks.send(chunk)
    inChunks.send('\r\n')
  }
  inChunks.send('0\r\nX-Trailer: 1\r\n\r\n')
  const chunked = await inChunks.closed()
  expect(chunked).toContain('transfer-encoding: chunked')
  expect(unchunk(bodyOf(chunked)) === text).toBe(true)
  await eventually(() => sink.outcomes.length === 2)
  expect(sink.outcomes).toMatchObject([
    { code: 'completed', status: 200, requestBytes: bytes.length, responseBytes: bytes.length },
    { code: 'completed', status: 200, requestBytes: bytes.length, responseBytes: bytes.length },
  ])
})

/** Writes for ever, as fast as it is let, and counts what was accepted. */
function pour(socket: Socket): { accepted: number } {
  const count = { accepted: 0 }
  const piece = Buffer.alloc(65_536)
  const more = (): void => {
    while (!socket.destroyed) {
      count.accepted += piece.length
      if (!socket.write(piece)) break
    }
    socket.once('drain', more)
  }
  more()
  return count
}

async function settled(count: { accepted: number }): Promise<number> {
  for (let before = -1; before !== count.accepted; ) {
    before = count.accepted
    await new Promise((resolve) => setTimeout(resolve, 150))
  }
  return count.accepted
}

test('a caller that does not read holds the upstream back: memory does not grow', async () => {
  let poured: { accepted: number } | undefined
  const app = await startApp((_, socket) => {
    socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${2 ** 40}\r\n\r\n`)
    poured ??= pour(socket)
  })
  const { port } = await through(app)
  const connection = call(port)
  connection.send(get)
  await eventually(() => poured !== undefined)
  connection.socket.pause()
  const accepted = await settled(poured!)
  expect(accepted).toBeLessThan(24 * 1024 * 1024) // What the kernels buffer on the two hops.
  connection.socket.resume()
  await eventually(() => poured!.accepted > accepted + 1_000_000)
})

test('an upstream that does not read holds the caller back', async () => {
  const app = await startApp(() => {})
  const { port } = await through(app)
  const connection = call(port)
  connection.send(`POST / HTTP/1.1\r\nHost: orders\r\nContent-Length: ${2 ** 40}\r\n\r\n`)
  await eventually(() => app.received() !== '')
  app.sockets[0]!.pause()
  const poured = pour(connection.socket)
  const accepted = await settled(poured)
  expect(accepted).toBeLessThan(24 * 1024 * 1024)
  app.sockets[0]!.resume()
  await eventually(() => poured.accepted > accepted + 1_000_000)
})

test('callers that read late each get the body that was sent to them, however long it lay with the proxy', async () => {
  const bodies = Array.from({ length: 3 }, () => randomBytes(12_000_000)) // More than the kernels buffer.
  const app = await startApp((text, socket) => {
    const which = Number(/GET \/(\d)/.exec(text)![1])
    const body = bodies[which]!
    const chunked = which === 0
    socket.write(`HTTP/1.1 200 OK\r\n${chunked ? 'Transfer-Encoding: chunked' : 'Content-Length: 12000000'}\r\n\r\n`)
    if (!chunked) socket.write(body)
    else for (let at = 0; at < body.length; at += 50_000) writeChunk(socket, body.subarray(at, at + 50_000))
    if (chunked) socket.write('0\r\n\r\n')
  })
  const { port } = await through(app)
  const late = bodies.map((_, i) => {
    const caller = call(port)
    caller.send(`GET /${i} HTTP/1.1\r\nHost: orders\r\nConnection: close\r\n\r\n`)
    caller.socket.pause()
    return caller
  })
  await eventually(() => app.sockets.length === bodies.length)
  // The others' bytes go through the same buffers.
  for (const [i, caller] of [...late.entries()].reverse()) {
    caller.socket.resume()
    const body = bodyOf(await caller.closed())
    expect((i === 0 ? unchunk(body) : body) === bodies[i]!.toString('latin1')).toBe(true)
  }
})

const writeChunk = (socket: Socket, bytes: Buffer): void => {
  socket.write(`${bytes.length.toString(16)}\r\n`)
  socket.write(bytes)
  socket.write('\r\n')
}

test('a caller that sends for ever and never reads answers is not served for ever', async () => {
  const app = await startAnswering(ok('x'.repeat(4000)))
  const { port, sink } = await through(app)
  const connection = call(port)
  connection.socket.pause()
  const count = { accepted: 0 }
  const many = Buffer.from(get.repeat(200))
  const more = (): void => {
    do count.accepted += many.length
    while (connection.socket.write(many) && count.accepted < 2 ** 26)
    connection.socket.once('drain', more)
  }
  more()
  await settled(count)
  const served = { accepted: sink.decisions.length }
  const updating = setInterval(() => {
    served.accepted = sink.decisions.length
  }, 10)
  onTestFinished(() => clearInterval(updating))
  await settled(served)
  expect(sink.decisions.length * 4000).toBeLessThan(24 * 1024 * 1024)
})

test('pipelined requests are served one at a time, in order', async () => {
  let open = 0
  let most = 0
  const app = await startApp((text, socket) => {
    most = Math.max(most, ++open)
    const path = /^GET (\S+)/.exec(text)![1]!
    setTimeout(
      () => {
        open--
        socket.write(ok(`[${path}]`))
      },
      path === '/1' ? 30 : 0,
    )
  })
  const { port } = await through(app)
  const connection = call(port)
  connection.send([1, 2, 3].map((n) => `GET /${n} HTTP/1.1\r\nHost: orders\r\n\r\n`).join(''))
  const answer = await connection.until('[/3]')
  expect([...answer.matchAll(/\[\/(\d)\]/g)].map((match) => match[1])).toEqual(['1', '2', '3'])
  expect(most).toBe(1)
})

test('bytes split anywhere give the same answers', async () => {
  const { port } = await through(await startEcho())
  const text =
    'POST /length HTTP/1.1\r\nHost: orders\r\nContent-Length: 5\r\n\r\nhelloGET /length HTTP/1.1\r\nHost: orders\r\nConnection: close\r\n\r\n'
  const connection = call(port)
  for (const character of text) {
    connection.send(character)
    await new Promise(setImmediate)
  }
  const answer = await connection.closed()
  expect(answer.match(/HTTP\/1\.1 200 OK/g)?.length).toBe(2)
  expect(answer).toContain('hello')
})

test('answers to HEAD, 204 and 304 have no body, and the connection goes on', async () => {
  const app = await startApp((text, socket) => {
    if (text.startsWith('HEAD')) socket.write('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n')
    else if (text.includes('/none')) socket.write('HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n')
    else if (text.includes('/same')) socket.write('HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n')
    else socket.write(ok('end'))
  })
  const { port } = await through(app)
  const connection = call(port)
  const ask = (line: string): void => connection.send(`${line} HTTP/1.1\r\nHost: orders\r\n\r\n`)
  for (const line of ['HEAD /', 'GET /none', 'GET /same', 'GET /']) ask(line)
  const answer = await connection.until('end')
  expect(answer.match(/^HTTP.*$/gm)).toEqual([
    'HTTP/1.1 200 OK',
    'HTTP/1.1 204 No Content',
    'HTTP/1.1 304 Not Modified',
    'HTTP/1.1 200 OK',
  ])
  expect(answer.match(/content-length: \d/gi)).toEqual(['Content-Length: 5', 'Content-Length: 5', 'Content-Length: 3'])
  expect(app.sockets.length).toBe(1)
})

test('hop-by-hop fields stop at each hop, in both directions', async () => {
  const app = await startAnswering(
    'HTTP/1.1 200 OK\r\nConnection: X-Mine\r\nX-Mine: 1\r\nKeep-Alive: timeout=5\r\nX-Stays: 1\r\nContent-Length: 2\r\n\r\nok',
  )
  const { port } = await through(app)
  const connection = call(port)
  connection.send(
    'GET / HTTP/1.1\r\nHost: orders\r\nConnection: X-Hop\r\nX-Hop: 1\r\nTE: trailers\r\nProxy-Authorization: x\r\nX-Goes: 1\r\n\r\n',
  )
  const answer = await connection.until('\r\nok')
  expect(app.received()).toMatch(
    /^GET \/ HTTP\/1\.1\r\nhost: orders\r\nX-Goes: 1\r\nx-request-id: [0-9a-f]{32}\r\n\r\n$/,
  )
  expect(answer).toMatch(/^HTTP\/1\.1 200 OK\r\nX-Stays: 1\r\nContent-Length: 2\r\nx-writ-decision: \S+\r\n\r\nok$/)
})

test('an answer without a length comes in chunks to HTTP/1.1 and until the close to HTTP/1.0', async () => {
  const app = await startApp((_, socket) => void socket.end('HTTP/1.1 200 OK\r\n\r\nhello'))
  const { port, sink } = await through(app)
  const modern = call(port)
  modern.send(get)
  expect(await modern.until('0\r\n\r\n')).toMatch(/transfer-encoding: chunked.*\r\n\r\n5\r\nhello\r\n0\r\n\r\n$/s)
  const old = call(port)
  old.send('GET / HTTP/1.0\r\nHost: orders\r\n\r\n')
  expect(await old.closed()).toMatch(/connection: close.*\r\n\r\nhello$/s)
  await eventually(() => sink.outcomes.length === 2)
  expect(sink.outcomes).toMatchObject([{ code: 'completed' }, { code: 'completed' }])
})

test('a caller that waits for 100 gets it once it may send, and Expect does not travel on', async () => {
  const app = await startApp((text, socket) => {
    if (text.includes('hello')) socket.write(ok('thanks'))
  })
  const { port } = await through(app)
  const connection = call(port)
  connection.send('POST / HTTP/1.1\r\nHost: orders\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n')
  expect(await connection.until('Continue\r\n\r\n')).toBe('HTTP/1.1 100 Continue\r\n\r\n')
  connection.send('hello')
  await connection.until('thanks')
  expect(app.received().toLowerCase()).not.toContain('expect')
})

test('interim answers are not taken for the answer', async () => {
  const app = await startAnswering(
    `HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n${ok('end')}`,
  )
  const { port } = await through(app)
  const connection = call(port)
  connection.send(get)
  expect(await connection.until('end')).toMatch(/^HTTP\/1\.1 200 OK/)
})

test('an answer that comes before the body is whole reaches the caller, and the connection ends', async () => {
  const app = await startAnswering('HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig')
  const { port, sink } = await through(app)
  const connection = call(port)
  connection.send('POST / HTTP/1.1\r\nHost: orders\r\nContent-Length: 1000000\r\n\r\nabc')
  expect(await connection.closed()).toMatch(/^HTTP\/1\.1 413 .*big$/s)
  await eventually(() => sink.outcomes.length === 1)
  expect(sink.outcomes).toMatchObject([{ code: 'completed', status: 413, requestBytes: 3 }])
})

test('an upstream that dies in its answer cuts the caller off, so that nobody takes the half for the whole', async () => {
  const app = await startApp((_, socket) => {
    socket.write('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf')
    setTimeout(() => socket.destroy(), 20)
  })
  const { port, sink } = await through(app)
  const connection = call(port)
  connection.send(get)
  expect(await connection.closed()).toMatch(/half$/)
  await eventually(() => sink.outcomes.length === 1)
  expect(sink.outcomes).toMatchObject([{ code: 'upstream_reset', status: 200, responseBytes: 4 }])
})

const failures: readonly (readonly [string, (socket: Socket) => void, number, string])[] = [
  ['dies before its answer', (socket: Socket) => void socket.destroy(), 502, 'upstream_reset'],
  ['answers nonsense', (socket: Socket) => void socket.write('SSH-2.0-x\r\n\r\n'), 502, 'upstream_invalid'],
  [
    'answers with two lengths',
    (socket: Socket) => void socket.write('HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n'),
    502,
    'upstream_invalid',
  ],
  [
    'switches protocols',
    (socket: Socket) => void socket.write('HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n'),
    502,
    'upstream_invalid',
  ],
  [
    'answers with too long a head',
    (socket: Socket) => void socket.write(`HTTP/1.1 200 OK\r\nX: ${'y'.repeat(40_000)}`),
    502,
    'upstream_invalid',
  ],
]

test.each(failures)('an upstream that %s becomes its own refusal', async (_, act, status, code) => {
  const app = await startApp((_, socket) => act(socket))
  const { port, sink } = await through(app)
  const connection = call(port)
  connection.send(get)
  const answer = await connection.until('}\n')
  expect(answer).toMatch(new RegExp(`^HTTP/1\\.1 ${status} .*application/problem\\+json.*"code":"${code}"`, 's'))
  await eventually(() => sink.outcomes.length === 1)
  expect(sink.outcomes).toMatchObject([{ code, status, upstream: `127.0.0.1:${app.port}` }])
  connection.send('GET / HTTP/1.1\r\nHost: nobody\r\n\r\n')
  await connection.until('no_route') // The caller's own connection is in order.
})

test('an upstream that cannot be reached is 503', async () => {
  const app = await startApp(() => {})
  await app.close()
  const { port, sink } = await through(app)
  const connection = call(port)
  connection.send(get)
  expect(await connection.until('}\n')).toMatch(/^HTTP\/1\.1 503 .*"code":"upstream_unreachable"/s)
  expect(sink.outcomes).toMatchObject([{ code: 'upstream_unreachable', status: 503, upstream: '' }])
})

test('an upstream that takes too long is 504, and its late answer answers nobody', async () => {
  const app = await startApp(() => {})
  const { port, sink } = await through(app, { stallMs: 100 })
  const connection = call(port)
  connection.send(get)
  expect(await connection.until('}\n')).toMatch(/^HTTP\/1\.1 504 .*"code":"upstream_timeout"/s)
  await eventually(() => sink.outcomes.length === 1 && app.sockets[0]!.destroyed)
})

test('a caller that leaves takes its upstream exchange with it', async () => {
  const app = await startApp(() => {})
  const { port, sink } = await through(app)
  const connection = call(port)
  connection.send(get)
  await eventually(() => app.received() !== '')
  connection.socket.destroy()
  await eventually(() => sink.outcomes.length === 1 && app.sockets[0]!.destroyed)
  expect(sink.outcomes).toMatchObject([{ code: 'caller_gone', status: 0 }])
})

test('a body that breaks within is answered with 400 and never finished upstream', async () => {
  const app = await startApp(() => {})
  const { port, sink } = await through(app)
  const connection = call(port)
  connection.send('POST / HTTP/1.1\r\nHost: orders\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nzz\r\n')
  expect(await connection.closed()).toMatch(/^HTTP\/1\.1 400 .*"code":"bad_request"/s)
  await eventually(() => sink.outcomes.length === 1 && app.sockets[0]!.destroyed)
  expect(sink.outcomes).toMatchObject([{ code: 'refused', status: 400 }])
  const body = app.received().slice(app.received().indexOf('\r\n\r\n') + 4) // A request id may end in 0.
  expect(body).toContain('abc')
  expect(body).not.toContain('0\r\n\r\n')
})

test('a kept connection that died is replaced for a GET, but a POST is never sent twice', async () => {
  let answered = 0
  const app = await startApp((_, socket) => {
    // The first request on each connection is answered, the second finds the connection dying.
    if ((socket as Socket & { used?: boolean }).used) socket.resetAndDestroy()
    else {
      ;(socket as Socket & { used?: boolean }).used = true
      socket.write(ok(`answer ${++answered}`))
    }
  })
  const { port, sink } = await through(app)
  const connection = call(port)
  connection.send(get)
  await connection.until('answer 1')
  connection.send(get)
  await connection.until('answer 2')
  connection.send('POST / HTTP/1.1\r\nHost: orders\r\nContent-Length: 1\r\n\r\nx')
  expect(await connection.until('}\n')).toContain('"code":"upstream_reset"')
  await eventually(() => sink.outcomes.length === 3)
  expect(sink.outcomes.map(({ code }) => code)).toEqual(['completed', 'completed', 'upstream_reset'])
  expect(app.received().match(/POST/g)?.length).toBe(1)
})

test('bytes after an answer never become the answer to the next request', async () => {
  const app = await startAnswering(`${ok('first')}${ok('poison')}`)
  const { port } = await through(app)
  const connection = call(port)
  connection.send(get)
  await connection.until('first')
  connection.send(get)
  const answer = await connection.until(/first.*first/s)
  expect(answer).not.toContain('poison')
  expect(app.sockets.length).toBe(2)
})

test('more requests than connections wait their turn, and more than may wait are told so', async () => {
  const waiting: Socket[] = []
  const app = await startApp((_, socket) => void waiting.push(socket))
  const { port } = await through(app, { upstreams: 1, pending: 1 })
  const callers = [call(port), call(port), call(port)]
  callers[0]!.send(get)
  await eventually(() => waiting.length === 1)
  callers[1]!.send(get)
  await new Promise((resolve) => setTimeout(resolve, 20))
  callers[2]!.send(get)
  expect(await callers[2]!.until('}\n')).toContain('"code":"upstream_overflow"')
  waiting[0]!.write(ok('one'))
  await callers[0]!.until('one')
  await eventually(() => waiting.length === 2)
  waiting[1]!.write(ok('two'))
  await callers[1]!.until('two')
  expect(app.sockets.length).toBe(1)
})

test('an unused upstream connection is let go after its time', async () => {
  const app = await startAnswering(ok('hello'))
  const { port, proxy } = await through(app, { appIdleMs: 1 })
  const connection = call(port)
  connection.send(get)
  await connection.until('hello')
  expect(proxy.stats().upstreamConnections).toBe(1)
  await eventually(() => proxy.stats().upstreamConnections === 0)
})
