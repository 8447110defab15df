import fc from 'fast-check'
import { expect, test } from 'vitest'
import { errorCode, flag, frameType } from '../../../proxy/http2/frames.ts'
import { block, frame, preface } from '../bad/http2.ts'
import { makeFrames } from '../fuzz/frames.ts'
import { seeded } from '../fuzz/random.ts'
import { type End, type EndOptions, exchange, makeEnd } from './ends.ts'

const request = [':method', 'POST', ':scheme', 'http', ':authority', 'orders', ':path', '/']
const requestBlock = block([
  [':method', 'POST'],
  [':scheme', 'http'],
  [':authority', 'orders'],
  [':path', '/'],
])
const open = (id: number, flags = 0): Buffer => frame(frameType.headers, flag.endHeaders | flags, id, requestBlock)
const uint32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}

/** A server that was sent its preface and these. */
function serve(frames: readonly Buffer[], options: EndOptions = {}): End {
  const end = makeEnd('server', options)
  end.session.receive(Buffer.concat([preface, ...frames]))
  return end
}

function ask(client: End, body?: string, trailers: readonly string[] = []) {
  const stream = client.session.open()!
  const heard = client.listen(stream)
  stream.resume()
  stream.sendHead(request, body === undefined)
  if (body !== undefined) {
    stream.write(Buffer.from(body, 'latin1'))
    stream.end(trailers)
  }
  return heard
}

test('requests and answers go both ways, with bodies larger than any window, and trailers, however they are cut', () => {
  for (const cut of [1, 7, 16_384, Infinity]) {
    const server = makeEnd('server')
    const client = makeEnd('client')
    const size = cut === 1 ? 100_000 : 300_000
    const asked = [ask(client), ask(client, 'q'.repeat(size), ['x-sum', '1']), ask(client, '')]
    exchange(client, server, cut)
    expect(server.heard.map(({ head }) => head)).toEqual([request, request, request])
    expect(server.heard.map(({ body }) => body.length)).toEqual([0, size, 0])
    expect(server.heard.map(({ trailers }) => trailers)).toEqual([[], ['x-sum', '1'], []])
    for (const { stream } of server.heard) {
      stream.sendHead([':status', '103'])
      stream.sendHead([':status', '200', 'x-a', '1'])
      stream.write(Buffer.alloc(size, 'a'))
      stream.end(['grpc-status', '0'])
    }
    exchange(server, client, cut)
    for (const one of asked) {
      expect(one).toMatchObject({ head: [':status', '200', 'x-a', '1'], trailers: ['grpc-status', '0'], closed: null })
      expect(one.body.length).toBe(size)
    }
    expect([client.session.streams, server.session.streams]).toEqual([0, 0])
  }
})

test('a frame that is all an answer has says so, and bodies take turns', () => {
  const server = serve([open(1, flag.endStream), open(3, flag.endStream)])
  server.frames()
  for (const { stream } of server.heard) {
    stream.sendHead([':status', '200'])
    stream.write(Buffer.alloc(50_000))
    stream.end()
  }
  const data = server.frames().filter(({ type }) => type === frameType.data)
  // The connection's window is 65,535 at first: the second stream has its share of it before the first has all.
  expect(data.map(({ id, payload }) => [id, payload.length])).toEqual([
    [1, 16_384],
    [1, 16_384],
    [3, 16_384],
    [3, 16_383],
  ])
  server.session.receive(frame(frameType.windowUpdate, 0, 0, uint32(100_000)))
  const rest = server.frames().filter(({ type }) => type === frameType.data)
  expect(rest.reduce((sum, { payload }) => sum + payload.length, 0)).toBe(100_000 - 65_535)
  expect(
    rest
      .filter(({ flags }) => flags === flag.endStream)
      .map(({ id }) => id)
      .sort(),
  ).toEqual([1, 3])
})

test('who writes more than windows take has to wait, and hears when it may go on', () => {
  const server = serve([open(1, flag.endStream)])
  const [{ stream }] = server.heard as [(typeof server.heard)[0]]
  stream.sendHead([':status', '200'])
  expect(stream.write(Buffer.alloc(65_536))).toBe(true)
  expect(stream.write(Buffer.alloc(65_536))).toBe(false)
  server.frames()
  expect(server.heard[0]!.drains).toBe(0) // 65,537 bytes wait for a window.
  server.session.receive(Buffer.concat([0, 1].map((id) => frame(frameType.windowUpdate, 0, id, uint32(60_000)))))
  server.frames()
  expect(server.heard[0]!.drains).toBe(1)
})

test('while the socket takes nothing more, bodies stay where they are', () => {
  const server = serve([open(1, flag.endStream)])
  server.frames()
  server.session.setBlocked(true)
  server.heard[0]!.stream.sendHead([':status', '200'])
  server.heard[0]!.stream.write(Buffer.from('body'))
  expect(server.frames().map(({ type }) => type)).toEqual([frameType.headers])
  server.session.setBlocked(false)
  expect(server.frames().map(({ type }) => type)).toEqual([frameType.data])
})

test('a stream that nobody reads gives no window, and what is read does', () => {
  const onRequest = () => {}
  const data = (id: number, size: number) => frame(frameType.data, 0, id, Buffer.alloc(size, 'd'))
  const held = serve([open(1), data(1, 16_384), data(1, 16_384)], { onRequest })
  const updates = (end: End) => end.frames().filter(({ type, id }) => type === frameType.windowUpdate && id === 1)
  expect([updates(held), held.heard[0]!.body]).toEqual([[], ''])
  held.heard[0]!.stream.resume()
  expect(held.heard[0]!.body.length).toBe(32_768)
  expect(updates(held).map(({ payload }) => payload.readUInt32BE())).toEqual([32_768])
  const four = [1, 2, 3, 4].map((i) => data(1, i === 4 ? 16_383 : 16_384))
  expect(serve([open(1), ...four], { onRequest }).fault()).toBeUndefined()
  const resets = serve([open(1), ...four, data(1, 1)], { onRequest }).frames()
  expect(resets.at(-1)).toMatchObject({ type: frameType.reset, payload: uint32(errorCode.flowControl) })
})

test('a smaller window of ours counts once it was acknowledged', () => {
  const options = { limits: { streamWindow: 1000 }, onRequest: () => {} }
  const data = frame(frameType.data, 0, 1, Buffer.alloc(1001))
  const acknowledged = frame(frameType.settings, flag.ack, 0)
  const isReset = (frames: readonly Buffer[]) =>
    serve(frames, options)
      .frames()
      .some(({ type }) => type === frameType.reset)
  expect(isReset([open(1), data])).toBe(false)
  expect(isReset([acknowledged, open(1), data])).toBe(true)
})

const resets = (count: number) =>
  Array.from({ length: count }, (_, i) => [open(2 * i + 1), frame(3, 0, 2 * i + 1, uint32(8))]).flat()
const each = (count: number, ...frames: readonly Buffer[]) => Array.from({ length: count }, () => frames).flat()
const madeReset = (bad: (id: number) => Buffer) => (count: number) =>
  Array.from({ length: count }, (_, i) => [open(2 * i + 1, flag.endStream), bad(2 * i + 1)]).flat()
const pieces = (count: number) => [
  frame(frameType.headers, 0, 1, requestBlock),
  ...each(count, frame(frameType.continuation, 0, 1, block([['a', 'b']]))),
]

/** What each allows, by limits of ten; one more ends the connection. */
test.each<[name: string, most: number, frames: (count: number) => readonly Buffer[]]>([
  ['rapid reset (CVE-2023-44487)', 10, resets],
  ['resets that a window of nothing makes (CVE-2025-8671)', 10, madeReset((id) => frame(8, 0, id, uint32(0)))],
  ['resets that an overflowing window makes', 10, madeReset((id) => frame(8, 0, id, uint32(0x7fffffff)))],
  ['resets that DATA behind the end makes', 10, madeReset((id) => frame(0, 0, id, Buffer.from('x')))],
  ['resets that HEADERS behind the end make', 10, madeReset((id) => open(id, flag.endStream))],
  [
    'resets that a dependency on itself makes',
    10,
    madeReset((id) => frame(2, 0, id, Buffer.concat([uint32(id), uint32(0).subarray(3)]))),
  ],
  ['resets that a short PRIORITY makes', 10, madeReset((id) => frame(2, 0, id, uint32(0)))],
  ['PING', 9, (count) => each(count, frame(6, 0, 0, Buffer.alloc(8)))],
  ['SETTINGS', 9, (count) => each(count, frame(4, 0, 0))],
  ['SETTINGS that acknowledge', 9, (count) => each(count, frame(4, 1, 0))],
  ['PRIORITY', 9, (count) => each(count, frame(2, 0, 1, Buffer.alloc(5)))],
  ['WINDOW_UPDATE', 9, (count) => each(count, frame(8, 0, 0, uint32(1)))],
  ['frames that nobody knows', 9, (count) => each(count, frame(99, 0, 0, Buffer.alloc(8)))],
  ['empty DATA', 10, (count) => [open(1), ...each(count, frame(0, 0, 1))]],
  ['DATA of padding alone', 10, (count) => [open(1), ...each(count, frame(0, 8, 1, Buffer.from([3, 0, 0, 0])))]],
  [
    'DATA of a stream that we refused',
    10,
    (count) => [open(1), open(3), ...each(count, frame(0, 0, 3, Buffer.alloc(9)))],
  ],
  ['CONTINUATION in small pieces (CVE-2024-27316)', 63, pieces],
  ['CONTINUATION without anything', 63, (count) => [frame(1, 0, 1), ...each(count, frame(9, 0, 1))]],
  [
    'CONTINUATION beyond the longest head',
    1,
    (count) => [frame(1, 0, 1), ...each(count, frame(9, 0, 1, Buffer.alloc(1500)))],
  ],
])('%s: as many as %i are borne', (name, most, frames) => {
  const streams = name.includes('refused') ? 1 : 100
  const limits = { streamResets: 10, controlFrames: 10, headBytes: 1000, streams }
  expect(serve(frames(most), { limits }).fault()).toBeUndefined()
  expect(serve(frames(most + 1), { limits }).fault()).toBe(errorCode.enhanceYourCalm)
})

test('resets are forgiven with time, and what moves something makes room for frames that do not', () => {
  let nowMs = 0
  const server = serve(resets(10), { limits: { streamResets: 10 }, nowMs: () => nowMs })
  nowMs = 1000
  const more = Array.from({ length: 21 }, (_, i) => [open(2 * i + 101), frame(3, 0, 2 * i + 101, uint32(8))])
  server.session.receive(Buffer.concat(more.slice(0, 10).flat()))
  expect(server.fault()).toBeUndefined()
  server.session.receive(Buffer.concat(more.slice(10).flat()))
  expect(server.fault()).toBe(errorCode.enhanceYourCalm)
  const ping = frame(6, 0, 0, Buffer.alloc(8))
  const nine = each(9, ping)
  const between = [...nine, open(1), ...nine, frame(0, 0, 1, Buffer.from('x')), ...nine]
  expect(serve(between, { limits: { controlFrames: 10 } }).fault()).toBeUndefined()
})

test('answers that a peer does not read are bounded', () => {
  const ping = frame(6, 0, 0, Buffer.alloc(8))
  const most = Math.floor(1_048_576 / 17)
  const limits = { controlFrames: Infinity }
  const server = serve(each(most - 10, ping), { limits })
  expect(server.session.over).toBe(false)
  server.session.receive(Buffer.concat(each(20, ping)))
  expect(server.fault()).toBe(errorCode.enhanceYourCalm)
  const headOnly: EndOptions = {
    limits: { ...limits, streamResets: Infinity },
    onRequest: ({ stream }) => stream.sendHead([':status', '204', 'x-a', 'a'.repeat(10_000)], true),
  }
  const asked = Array.from({ length: 200 }, (_, i) => open(2 * i + 1, flag.endStream))
  const silent = serve(asked, headOnly)
  expect(silent.heard.length).toBeLessThan(110)
  expect(silent.fault()).toBe(errorCode.enhanceYourCalm)
})

test('a head beyond twice the bounds is handed on as one that is not whole, whatever it would unfold to', () => {
  const limits = { headBytes: 1000, headFields: 10 }
  const field = ['x-a', 'a'.repeat(400)] as const
  // The second is a reference of one byte each to what the first has put into the table.
  const bomb = Buffer.concat([requestBlock, Buffer.from([0x40, 3]), Buffer.from('x-a'), Buffer.from([0x7f, 0x91, 2])])
  const first = frame(1, 5, 1, Buffer.concat([bomb, Buffer.from(field[1])]))
  const server = serve([first, frame(1, 5, 3, Buffer.concat([requestBlock, Buffer.alloc(900, 0xbe)]))], { limits })
  expect(server.heard.map(({ whole }) => whole)).toEqual([true, false])
  expect(server.heard[1]!.head.join('').length).toBeLessThan(2000)
  expect(server.fault()).toBeUndefined()
})

test.each<[name: string, frames: readonly Buffer[], code: number]>([
  [
    'DATA behind the end of a stream that is over',
    [open(1, 1), frame(3, 0, 1, uint32(8)), frame(0, 0, 1)],
    errorCode.streamClosed,
  ],
  ['a stream below one that is open', [open(5), open(3)], errorCode.protocol],
  ['a window above 2^31-1', each(2, frame(8, 0, 0, uint32(0x7fffffff))), errorCode.flowControl],
  [
    'an initial window that makes one of a stream too large',
    [open(1), frame(8, 0, 1, uint32(0x7fff0000)), frame(4, 0, 0, Buffer.from([0, 4, 0, 1, 0, 0]))],
    errorCode.flowControl,
  ],
  ['a frame before the SETTINGS', [], errorCode.protocol],
  ['PUSH_PROMISE', [frame(5, 4, 1, Buffer.alloc(9))], errorCode.protocol],
  ['a frame in the middle of a block', [frame(1, 0, 1, requestBlock), open(3)], errorCode.protocol],
])('%s ends the connection', (name, frames, code) => {
  const server = makeEnd('server')
  const first = name.includes('before') ? Buffer.concat([preface.subarray(0, 24), open(1)]) : preface
  server.session.receive(Buffer.concat([first, ...frames]))
  expect(server.fault()).toBe(code)
})

test('what comes late of a stream that we ended is no error, and counts against the window all the same', () => {
  const server = serve([open(1)], { onRequest: ({ stream }) => stream.reset(errorCode.cancel) })
  server.session.receive(Buffer.concat([frame(0, 0, 1, Buffer.alloc(100)), frame(0, 1, 1), frame(8, 0, 1, uint32(5))]))
  expect(server.fault()).toBeUndefined()
  server.session.receive(Buffer.concat(each(40, frame(0, 0, 1, Buffer.alloc(16_384)))))
  expect(server.frames().some(({ type, id }) => type === frameType.windowUpdate && id === 0)).toBe(true)
})

test('a drain loses no request that is on its way, and ends once all are served', () => {
  const server = serve([open(1, flag.endStream)])
  server.frames()
  server.session.drain()
  const [goaway, ping] = server.frames()
  expect(goaway!.payload.readUInt32BE()).toBe(0x7fffffff)
  server.session.receive(open(3, flag.endStream))
  expect(server.heard).toHaveLength(2)
  server.session.receive(frame(frameType.ping, flag.ack, 0, ping!.payload))
  expect(server.frames().map(({ type, payload }) => [type, payload.readUInt32BE()])).toEqual([[frameType.goaway, 3]])
  server.session.receive(Buffer.concat([open(5), frame(0, 1, 5, Buffer.from('x'))]))
  expect(server.heard).toHaveLength(2)
  for (const { stream } of server.heard) stream.sendHead([':status', '204'], true)
  expect(server.session.over).toBe(true)
})

test('of a GOAWAY a client takes streams beyond the last as never looked at, and ends after the others', () => {
  const client = makeEnd('client')
  const [first, second] = [ask(client), ask(client)]
  const goaway = frame(frameType.goaway, 0, 0, Buffer.concat([uint32(1), uint32(0)]))
  client.session.receive(Buffer.concat([frame(4, 0, 0), goaway]))
  expect([first.closed, second.closed]).toEqual([undefined, errorCode.refused])
  expect(client.session.open()).toBeUndefined()
  client.session.receive(frame(1, 5, 1, block([[':status', '200']])))
  expect([first.closed, client.session.over]).toEqual([null, true])
})

test('an answer that is whole is heard, also where the rest of its request is then reset', () => {
  const client = makeEnd('client')
  const stream = client.session.open()!
  const heard = client.listen(stream)
  stream.sendHead(request)
  const answer = [
    frame(1, 4, 1, block([[':status', '200']])),
    frame(0, 1, 1, Buffer.from('all')),
    frame(3, 0, 1, uint32(0)),
  ]
  client.session.receive(Buffer.concat([frame(4, 0, 0), ...answer]))
  expect([heard.body, heard.trailers, heard.closed]).toEqual(['', undefined, undefined])
  stream.resume()
  expect([heard.body, heard.trailers, heard.closed]).toEqual(['all', [], null])
})

test('what a client may not be sent ends its connection or stream', () => {
  const sent = (...frames: readonly Buffer[]) => {
    const client = makeEnd('client')
    const heard = ask(client)
    client.session.receive(Buffer.concat([frame(4, 0, 0), ...frames]))
    return [client.fault(), heard.closed]
  }
  const ok = block([[':status', '200']])
  expect(sent(frame(0, 0, 1, Buffer.from('x')))).toEqual([undefined, errorCode.protocol]) // Before its head.
  expect(sent(frame(1, 5, 1, block([[':status', '103']])))).toEqual([undefined, errorCode.protocol])
  expect(sent(frame(1, 4, 1, ok), frame(1, 4, 1, block([['x-a', '1']])))).toEqual([undefined, errorCode.protocol])
  expect(sent(frame(1, 4, 1, ok), frame(1, 5, 1, block([['X-A', '1']])))).toEqual([undefined, errorCode.protocol])
  expect(sent(frame(1, 5, 2, ok))[0]).toBe(errorCode.protocol)
  expect(sent(frame(1, 5, 3, ok))[0]).toBe(errorCode.protocol)
  expect(sent(frame(4, 0, 0, Buffer.from([0, 2, 0, 0, 0, 1])))[0]).toBe(errorCode.protocol)
})

/** What is heard of bytes that come in pieces of these sizes. */
function heardOf(role: 'server' | 'client', bytes: Buffer, cuts: readonly number[]) {
  const limits = { streams: 5, streamResets: 5, controlFrames: 20, headBytes: 500, headFields: 10, streamWindow: 300 }
  let said = 0
  const end = makeEnd(role, { limits, onRequest: ({ stream }) => (stream.id % 4 === 1 ? stream.resume() : undefined) })
  if (role === 'client') for (const body of [undefined, 'body']) ask(end, body)
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const to = at + Math.max(1, cuts[i % cuts.length]!)
    end.session.receive(bytes.subarray(at, to))
    at = to
    for (const { stream } of end.heard) {
      if (stream.closed || role === 'client' || stream.localEnded) continue
      stream.sendHead([':status', '200'])
      stream.write(Buffer.from('hi'))
      stream.end()
    }
    if (cuts.length > 1) said += end.take().length
  }
  expect(end.session.streams).toBeLessThanOrEqual(5)
  expect(said).toBeLessThan(100_000 + 20 * bytes.length)
  return { over: end.session.over, heard: end.heard.map(({ head, body, trailers }) => ({ head, body, trailers })) }
}

test('no bytes crash a session or make it grow, at either end', () => {
  const bytes = fc.oneof(
    fc.integer().map((seed) => makeFrames(seeded(seed))),
    fc.uint8Array({ maxLength: 200 }).map((rest) => Buffer.concat([preface, rest])),
    fc.array(fc.integer(), { minLength: 2, maxLength: 6 }).map((seeds) =>
      // Several connections' frames on one, without their prefaces.
      Buffer.concat([preface, ...seeds.map((seed) => makeFrames(seeded(seed)).subarray(preface.length))]),
    ),
  )
  const cuts = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 2, maxLength: 6 })
  fc.assert(
    fc.property(bytes, cuts, (all, sizes) => {
      heardOf('server', all, sizes)
      heardOf('client', all.subarray(24), sizes)
    }),
    { numRuns: Number(process.env['FUZZ_FRAMES'] ?? 1000) },
  )
})

test('what is heard does not depend on how the bytes are cut', () => {
  fc.assert(
    fc.property(fc.integer(), fc.integer({ min: 1, max: 20 }), (seed, cut) => {
      const bytes = makeFrames(seeded(seed))
      const onRequest: EndOptions['onRequest'] = ({ stream }) => stream.resume()
      const whole = makeEnd('server', { onRequest })
      const cutUp = makeEnd('server', { onRequest })
      whole.session.receive(bytes)
      for (let at = 0; at < bytes.length; at += cut) cutUp.session.receive(bytes.subarray(at, at + cut))
      const of = ({ heard }: End) => heard.map(({ head, body, trailers, closed }) => ({ head, body, trailers, closed }))
      expect(of(cutUp)).toEqual(of(whole))
      expect(cutUp.fault()).toBe(whole.fault())
      expect(cutUp.frames()).toEqual(whole.frames())
    }),
    { numRuns: 500 },
  )
})
