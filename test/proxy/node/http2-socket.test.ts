/** Our sessions against those of node:http2, over real sockets: what one says is what the other hears. */

import { connect, createServer, type IncomingHttpHeaders, type ServerHttp2Stream } from 'node:http2'
import { type AddressInfo, connect as connectTcp, createServer as createTcpServer, type Server } from 'node:net'
import fc from 'fast-check'
import { expect, onTestFinished, test } from 'vitest'
import type { RawFields } from '../../../proxy/http2/head.ts'
import type { Session } from '../../../proxy/http2/session.ts'
import type { Stream } from '../../../proxy/http2/stream.ts'
import { limitDefaults } from '../../../proxy/limits.ts'
import { joinHttp2 } from '../../../proxy/node/http2-socket.ts'
import { frame, preface } from '../bad/http2.ts'

/** One direction of an exchange. */
interface Message {
  readonly fields: Readonly<Record<string, string>>
  /** Undefined is none; else the sizes of its pieces. */
  readonly body: readonly number[] | undefined
  readonly trailers: Readonly<Record<string, string>>
}

const value = fc.stringMatching(/^[!-~]([ -~]{0,60}[!-~])?$/)
const fields = fc.dictionary(fc.constantFrom('x-a', 'x-b', 'cookie', 'authorization', 'user-agent', 'x-long'), value, {
  noNullPrototype: true,
})
const message: fc.Arbitrary<Message> = fc.record({
  fields,
  body: fc.option(fc.array(fc.nat(100_000), { maxLength: 4 }), { nil: undefined, freq: 2 }),
  trailers: fc.dictionary(fc.constantFrom('x-sum', 'grpc-status'), value, { noNullPrototype: true }),
})
const exchanges = fc.array(fc.tuple(message, message), { minLength: 1, maxLength: 6 })

const lengthOf = ({ body }: Message): number => (body ?? []).reduce((sum, size) => sum + size, 0)
const trailersOf = (one: Message) => (one.body === undefined ? {} : one.trailers)
const flat = (record: Readonly<Record<string, string>>): string[] => Object.entries(record).flat()
const own = (record: IncomingHttpHeaders, like: Readonly<Record<string, string>>) =>
  Object.fromEntries(Object.keys(like).map((name) => [name, record[name]]))
const recordOf = (list: RawFields) =>
  Object.fromEntries(list.flatMap((name, i) => (i % 2 === 0 && !name.startsWith(':') ? [[name, list[i + 1]]] : [])))

/** What came of the other side. */
interface Heard {
  head: RawFields
  bytes: number
  trailers: RawFields
}

/** Sends a message on a stream of ours, and hears the other side's: an answer once its request is whole. */
function speak(stream: Stream, pseudo: readonly string[], said: Message, heard: Heard, onEnd: (heard: Heard) => void) {
  const answers = pseudo[0] === ':status'
  const send = (): void => {
    stream.sendHead([...pseudo, ...flat(said.fields)], said.body === undefined)
    if (said.body !== undefined) write()
  }
  const pieces = [...(said.body ?? [])]
  const write = (): void => {
    while (pieces.length > 0) if (!stream.write(Buffer.alloc(pieces.shift()!, 'o'))) return
    stream.end(flat(trailersOf(said)))
  }
  stream.user = {
    onHead: ({ fields }) => {
      heard.head = fields
    },
    onData: (bytes) => {
      heard.bytes += bytes.length
    },
    onDrain: write,
    onEnd(trailers) {
      heard.trailers = trailers
      onEnd(heard)
      if (answers) send()
    },
    onClose() {},
  }
  if (!answers) send()
  stream.resume()
}

const nobody: Heard = { head: [], bytes: 0, trailers: [] }

async function listening(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void server.close())
  return (server.address() as AddressInfo).port
}

test('a client of node:http2 and a server of ours hear what the other says', async () => {
  const answers = new Map<string, Message>()
  const requests = new Map<string, Heard>()
  const server = createTcpServer({ allowHalfOpen: true }, (socket) => {
    joinHttp2(
      socket,
      { role: 'server', limits: limitDefaults, nowMs: Date.now },
      {
        onRequest(stream, { fields: head }) {
          const path = head[head.indexOf(':path') + 1]!
          const heard = { ...nobody, head }
          requests.set(path, heard)
          speak(stream, [':status', '200'], answers.get(path)!, heard, () => {})
        },
        onClosed() {},
      },
    )
  })
  const session = connect(`http://127.0.0.1:${await listening(server)}`)
  onTestFinished(() => session.destroy())
  let round = 0
  await fc.assert(
    fc.asyncProperty(exchanges, async (all) => {
      const prefix = `/${round++}/`
      for (const [i, [, answer]] of all.entries()) answers.set(`${prefix}${i}`, answer)
      const seen = await Promise.all(
        all.map(async ([request], i) => {
          const stream = session.request(
            { ':method': 'POST', ':path': `${prefix}${i}`, ...request.fields },
            { endStream: request.body === undefined, waitForTrailers: true },
          )
          stream.on('wantTrailers', () => stream.sendTrailers(request.trailers))
          let head: IncomingHttpHeaders = {}
          let trailers: IncomingHttpHeaders = {}
          let bytes = 0
          stream.on('response', (given) => {
            head = given
          })
          stream.on('trailers', (given) => {
            trailers = given
          })
          stream.on('data', (chunk: Buffer) => {
            bytes += chunk.length
          })
          for (const size of request.body ?? []) stream.write(Buffer.alloc(size, 't'))
          if (request.body !== undefined) stream.end()
          await new Promise<void>((resolve, reject) => stream.on('end', resolve).on('error', reject))
          return { head, bytes, trailers }
        }),
      )
      for (const [i, [request, answer]] of all.entries()) {
        const one = seen[i]!
        expect(own(one.head, answer.fields)).toEqual(answer.fields)
        expect(one.bytes).toBe(lengthOf(answer))
        expect(own(one.trailers, trailersOf(answer))).toEqual(trailersOf(answer))
        const asked = requests.get(`${prefix}${i}`)!
        expect(asked.bytes).toBe(lengthOf(request))
        expect(recordOf(asked.head)).toMatchObject(request.fields)
        expect(recordOf(asked.trailers)).toEqual(trailersOf(request))
      }
    }),
    { numRuns: 40 },
  )
})

test('answers that a peer does not read wait in the session, and are bounded there', async () => {
  const sessions: Session[] = []
  let most = 0
  const limits = { ...limitDefaults, controlFrames: Infinity }
  const server = createTcpServer({ allowHalfOpen: true }, (socket) => {
    const { session } = joinHttp2(socket, { role: 'server', limits, nowMs: Date.now }, { onClosed() {} })
    sessions.push(session)
    socket.on('data', () => {
      most = Math.max(most, socket.writableLength)
    })
  })
  const socket = connectTcp(await listening(server), '127.0.0.1')
  onTestFinished(() => void socket.destroy())
  socket.on('error', () => {})
  socket.pause()
  socket.write(preface)
  const pings = Buffer.concat(Array.from({ length: 3000 }, () => frame(6, 0, 0, Buffer.alloc(8))))
  const closed = new Promise((resolve) => socket.once('close', resolve))
  let sent = 0
  // A little each turn, so that it is answered each turn.
  const send = (): void => {
    if (socket.destroyed || sessions[0]?.over || sent > 100_000_000) return
    if (socket.writableLength < 1_000_000) socket.write(pings)
    sent += pings.length
    setImmediate(send)
  }
  send()
  await expect.poll(() => sessions[0]?.over, { timeout: 20_000 }).toBe(true)
  socket.resume()
  await closed
  expect(most).toBeLessThan(1_500_000)
})

test('a client of ours and a server of node:http2 hear what the other says', async () => {
  const answers = new Map<string, Message>()
  const requests = new Map<string, { head: IncomingHttpHeaders; bytes: number; trailers: IncomingHttpHeaders }>()
  const server = createServer()
  server.on('stream', (stream: ServerHttp2Stream, head) => {
    const path = head[':path']!
    const answer = answers.get(path)!
    const heard = { head, bytes: 0, trailers: {} as IncomingHttpHeaders }
    requests.set(path, heard)
    stream.on('error', () => {})
    stream.on('data', (chunk: Buffer) => {
      heard.bytes += chunk.length
    })
    stream.on('trailers', (given) => {
      heard.trailers = given
    })
    stream.on('end', () => {
      const options = { endStream: answer.body === undefined, waitForTrailers: answer.body !== undefined }
      stream.respond({ ':status': 200, ...answer.fields }, options)
      stream.on('wantTrailers', () => stream.sendTrailers(answer.trailers))
      for (const size of answer.body ?? []) stream.write(Buffer.alloc(size, 't'))
      if (answer.body !== undefined) stream.end()
    })
    stream.resume()
  })
  const socket = connectTcp(await listening(server as unknown as Server), '127.0.0.1')
  const joined = joinHttp2(socket, { role: 'client', limits: limitDefaults, nowMs: Date.now }, { onClosed() {} })
  onTestFinished(() => joined.destroy())
  let round = 0
  await fc.assert(
    fc.asyncProperty(exchanges, async (all) => {
      const prefix = `/${round++}/`
      const heard = await Promise.all(
        all.map(([request, answer], i) => {
          answers.set(`${prefix}${i}`, answer)
          const pseudo = [':method', 'POST', ':scheme', 'http', ':authority', 'orders', ':path', `${prefix}${i}`]
          return new Promise<Heard>((resolve) => speak(joined.session.open()!, pseudo, request, { ...nobody }, resolve))
        }),
      )
      for (const [i, [request, answer]] of all.entries()) {
        const asked = requests.get(`${prefix}${i}`)!
        expect(own(asked.head, request.fields)).toEqual(request.fields)
        expect(asked.bytes).toBe(lengthOf(request))
        expect(own(asked.trailers, trailersOf(request))).toEqual(trailersOf(request))
        expect(recordOf(heard[i]!.head)).toMatchObject(answer.fields)
        expect(heard[i]!.bytes).toBe(lengthOf(answer))
        expect(recordOf(heard[i]!.trailers)).toEqual(trailersOf(answer))
      }
    }),
    { numRuns: 40 },
  )
})
