import { connect } from 'node:http2'
import { expect, onTestFinished, test } from 'vitest'
import type { ListenerLimits, RouteMatch } from '../../../core/snapshot.ts'
import { allow, call, callerTls, eventually, makeCa, startOrders, web } from './kit.ts'

const ca = makeCa()
const tls = callerTls(ca.issue(web), ca)
const under = (value: string): RouteMatch => ({ path: { type: 'prefix', value } })

async function taking(limits: ListenerLimits) {
  let judged = 0
  const { app, port, sink } = await startOrders(ca, { limits }, () => {
    judged++
    return allow
  })
  const ask = async (head: string, body = '') => {
    const caller = call(port, tls)
    caller.send(`${head} HTTP/1.1\r\nHost: orders\r\nConnection: close\r\n${body}`)
    return await caller.closed()
  }
  return { app, port, sink, ask, judged: () => judged }
}

test('a listener and a route of it take some methods: others are 405 with those that there are, recorded, and not judged', async () => {
  const { ask, sink, app, judged } = await taking({
    all: [],
    accepts: { methods: ['GET', 'POST'] },
    routes: [{ route: 'r/read/0', match: under('/read'), limits: [], accepts: { methods: ['GET'] } }],
  })
  expect(await ask('DELETE /', '\r\n')).toMatch(/^HTTP\/1\.1 405 .*\r\nallow: GET, POST\r\n.*"code":"method_refused"/s)
  expect(await ask('POST /read', 'Content-Length: 0\r\n\r\n')).toMatch(/405 .*\r\nallow: GET\r\n/s)
  expect(judged()).toBe(0)
  expect(app.received()).toBe('')
  expect(sink.decisions).toMatchObject([
    { verdict: 'deny', code: 'method_refused', by: 'proxy', reasons: ['DELETE is none of GET, POST'] },
    { code: 'method_refused' },
  ])
  expect(await ask('POST /', 'Content-Length: 0\r\n\r\n')).toContain('here')
  expect(await ask('GET /read', '\r\n')).toContain('here')
})

test('a body that says that it is too long is refused before it is sent, and one that turns out so is cut off', async () => {
  const { ask, sink, judged, app, port } = await taking({ all: [], accepts: { bodyBytes: 10 } })
  expect(await ask('POST /', 'Content-Length: 11\r\n\r\nhello world')).toMatch(
    /^HTTP\/1\.1 413 .*"code":"body_too_large"/s,
  )
  expect(judged()).toBe(0)
  expect(await ask('POST /', 'Content-Length: 10\r\n\r\nhelloworld')).toContain('here')

  const before = app.received().length
  const chunked = 'Transfer-Encoding: chunked\r\n\r\n'
  const answer = await ask('POST /chunked', `${chunked}6\r\nhello \r\n5\r\nworld\r\n0\r\n\r\n`)
  expect(answer).toMatch(/^HTTP\/1\.1 (?:413 .*"code":"request_too_large"|200 OK)/s)
  await eventually(() => sink.outcomes.some(({ code }) => code === 'request_too_large'))
  expect(app.received().slice(before)).not.toContain('\r\n0\r\n\r\n')
  expect(app.received().slice(before)).not.toContain('world')
  expect(sink.decisions.at(-1)).toMatchObject({ code: 'allowed' })
  expect(await ask('POST /', `${chunked}5\r\nhello\r\n5\r\nworld\r\n0\r\n\r\n`)).toContain('here')

  const session = connect(`https://127.0.0.1:${port}`, { ...tls, checkServerIdentity: () => undefined })
  onTestFinished(() => session.destroy())
  session.on('error', () => {})
  const stream = session.request({ ':method': 'POST', ':path': '/', ':authority': 'orders' })
  let status: unknown
  stream.on('response', (fields) => (status = fields[':status'])).on('error', () => {})
  stream.end('hello world')
  stream.resume()
  await new Promise((resolve) => stream.on('close', resolve))
  await eventually(() => sink.outcomes.filter(({ code }) => code === 'request_too_large').length === 2)
  expect([413, 200]).toContain(status)
})
