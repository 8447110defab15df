/**
 * An application that takes messages in the one form that the proxy writes, and nothing else. It shares no code with the
 * proxy's own reader: what that one overlooks is to be seen here.
 */

import { createServer, type Socket } from 'node:net'

export interface Seen {
  readonly id: string
  readonly method: string
  readonly target: string
}

export interface StrictApp {
  readonly port: number
  /** Messages in another form: each is a failure. */
  readonly odd: string[]
  close(): void
}

const head =
  /^([!#$%&'*+.^_`|~0-9A-Z-]{1,32}) (\*|\/[!-~]*) HTTP\/1\.1\r\nhost: ([a-z0-9._~:[\]-]+)\r\n((?:[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t\x20-\x7e\x80-\xff]*\r\n)*)\r\n/
const chunk = /^([0-9a-f]{1,12})\r\n/
const trailers = /^(?:[!#$%&'*+.^_`|~0-9a-z-]+: [\t\x20-\x7e\x80-\xff]*\r\n)*\r\n/

export async function startStrictApp(onSeen: (seen: Seen) => void): Promise<StrictApp> {
  const odd: string[] = []
  const server = createServer((socket) => {
    let held = ''
    socket.on('error', () => {})
    socket.setEncoding('latin1').on('data', (text: string) => {
      held += text
      for (;;) {
        const used = take(held, socket, onSeen)
        if (used === 0) return
        if (used < 0) {
          odd.push(held.slice(0, 500))
          socket.destroy()
          return
        }
        held = held.slice(used)
      }
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return { port: (server.address() as { port: number }).port, odd, close: () => server.close() }
}

/** Characters of the one message at the beginning, 0 while it is not whole, -1 where it has another form. */
function take(text: string, socket: Socket, onSeen: (seen: Seen) => void): number {
  const end = text.indexOf('\r\n\r\n')
  if (end < 0) return 0
  const match = head.exec(text)
  if (!match || match[0].length !== end + 4) return -1
  const fields = match[4]!.toLowerCase()
  const lengths = [...fields.matchAll(/^content-length:[ \t]*([^\r]*)\r$/gm)]
  const codings = [...fields.matchAll(/^transfer-encoding:[ \t]*([^\r]*)\r$/gm)]
  if (lengths.length + codings.length > 1 || /^host:/m.test(fields)) return -1
  let used = match[0].length
  if (lengths[0]) {
    if (!/^(?:0|[1-9]\d{0,14})$/.test(lengths[0][1]!)) return -1
    used += Number(lengths[0][1])
    if (text.length < used) return 0
  } else if (codings[0]) {
    if (codings[0][1] !== 'chunked') return -1
    const body = chunksAt(text, used)
    if (body <= 0) return body
    used = body
  }
  onSeen({ id: /^x-request-id: ([0-9a-f]{32})\r$/m.exec(fields)?.[1] ?? '', method: match[1]!, target: match[2]! })
  socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
  return used
}

/** Where the chunks that begin there end, 0 while they do not, -1 where they are none. */
function chunksAt(text: string, from: number): number {
  for (let at = from; ; ) {
    const line = text.indexOf('\r\n', at)
    if (line < 0) return text.length - at > 14 ? -1 : 0
    const size = chunk.exec(text.slice(at, line + 2))
    if (!size) return -1
    at = line + 2
    const bytes = Number.parseInt(size[1]!, 16)
    if (bytes === 0) {
      const end = text.startsWith('\r\n', at) ? at + 2 : text.indexOf('\r\n\r\n', at) + 4
      if (end === 3) return 0
      return trailers.test(text.slice(at, end)) ? end : -1
    }
    if (text.length < at + bytes + 2) return 0
    if (text.slice(at + bytes, at + bytes + 2) !== '\r\n') return -1
    at += bytes + 2
  }
}
