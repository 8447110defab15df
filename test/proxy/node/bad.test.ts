/** Bad messages by hand, from the tables of test/proxy/bad, through real sockets: none is passed on, and each is heard of. */

import { expect, onTestFinished, test } from 'vitest'
import { bodies } from '../bad/bodies.ts'
import { badFrames, preface, type Verdict } from '../bad/http2.ts'
import { malformed } from '../malformed.ts'
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
  startProxy,
  web,
} from './kit.ts'

const ca = makeCa()
const source = makeSource(ca.issue(web), ca)

async function start() {
  const app = await startAnswering(ok('hello'))
  const services = [service('orders', app.port), service('payments', app.port)]
  return { app, ...(await startProxy({ source, listener: outbound(), services })) }
}

test('there are enough of them, and each names the paragraph that it breaks', () => {
  const all = [...malformed, ...bodies, ...badFrames]
  expect(all.length).toBeGreaterThan(400)
  for (const row of all) expect(row.at(-1), row[0]).toMatch(/^\d{4} \d+(\.\d+)*$/)
  expect(new Set(all.map(([name]) => name)).size).toBeGreaterThan(380)
})

test('a body that cannot be read is refused, and its upstream never sees the end of it', async () => {
  const { app, port, sink } = await start()
  for (const [name, body] of bodies) {
    const before = app.sockets.length
    const connection = call(port)
    connection.send(`POST / HTTP/1.1\r\nHost: orders\r\nTransfer-Encoding: chunked\r\n\r\n${body}${get}`)
    const answer = await connection.closed()
    // The answer of an application that does not wait for the body may have come first: then the caller is cut.
    expect(answer.match(/HTTP\/1\.1 \d+/g)?.length ?? 0, name).toBeLessThan(2)
    await eventually(() => sink.outcomes.length === sink.decisions.length)
    expect(sink.outcomes.at(-1)?.code, name).toBe('refused')
    await eventually(() => app.sockets.slice(before).every((socket) => socket.destroyed))
  }
  expect(sink.decisions).toHaveLength(bodies.length)
  expect(app.received()).not.toMatch(/\r\n0\r\n\r\n|GET \//)
})

test('bad messages of HTTP/2 are answered or end their connection, and nothing of them goes upstream', async () => {
  const { app, port, sink } = await start()
  for (const [name, bytes, verdict] of badFrames) {
    const before = sink.decisions.length
    expect(await fateOf(port, bytes), name).toBe(fates[verdict])
    expect(sink.decisions.slice(before), name).toMatchObject(codes[verdict].map((code) => ({ code })))
  }
  expect(app.received()).toBe('')
})

type Fate = 'answered' | 'reset' | 'ended'
const fates: Readonly<Record<Verdict, Fate>> = {
  ...{ '400': 'answered', '501': 'answered', ended: 'ended' },
}
const codes: Readonly<Record<Verdict, readonly string[]>> = {
  ...{ '400': ['bad_request'], '501': ['method_unsupported'], ended: [] },
}

/** What the proxy says to it first. */
function fateOf(port: number, bytes: Buffer): Promise<Fate> {
  const { socket } = call(port)
  let all = Buffer.alloc(0)
  return new Promise((resolve) => {
    socket.on('data', (more: Buffer) => {
      all = Buffer.concat([all, more])
      for (let at = 0; at + 9 <= all.length; ) {
        const length = all.readUIntBE(at, 3)
        if (at + 9 + length > all.length) return
        const type = all[at + 3]
        if (type === 1) return resolve('answered')
        if (type === 3) return resolve('reset')
        if (type === 7 && all.readUInt32BE(at + 13) !== 0) return resolve('ended')
        at += 9 + length
      }
    })
    socket.on('close', () => resolve('ended'))
    socket.write(Buffer.concat([preface, bytes]))
    onTestFinished(() => void socket.destroy())
  })
}
