/** Ends of a connection in memory: a session, what it said, and what became of its streams. */

import { errorCode, frameType } from '../../../proxy/http2/frames.ts'
import type { RawFields } from '../../../proxy/http2/head.ts'
import { Session } from '../../../proxy/http2/session.ts'
import type { Stream } from '../../../proxy/http2/stream.ts'
import { type Limits, limitDefaults } from '../../../proxy/limits.ts'

export interface Frame {
  readonly type: number
  readonly flags: number
  readonly id: number
  readonly payload: Buffer
}

/** A stream and all that was heard of it. */
export interface Heard {
  readonly stream: Stream
  head: RawFields
  whole: boolean
  body: string
  trailers: RawFields | undefined
  drains: number
  /** Undefined while it is open; `null` where both have said all. */
  closed: number | null | undefined
}

export interface End {
  readonly session: Session
  readonly heard: Heard[]
  /** What it has to say now. */
  take(): Buffer
  /** The same, cut into frames. */
  frames(): Frame[]
  listen(stream: Stream): Heard
  /** Code of the GOAWAY that it said last, once it is over. */
  fault(): number | undefined
}

export interface EndOptions {
  readonly limits?: Partial<Limits>
  readonly nowMs?: () => number
  /** What a server does with a request. Default it takes the body. */
  readonly onRequest?: (heard: Heard) => void
}

export function makeEnd(role: 'server' | 'client', options: EndOptions = {}): End {
  const heard: Heard[] = []
  const said: Buffer[] = []
  let lastGoaway: number | undefined
  const listen = (stream: Stream): Heard => {
    const one: Heard = { stream, head: [], whole: true, body: '', trailers: undefined, drains: 0, closed: undefined }
    stream.user = {
      onHead: ({ fields }) => {
        one.head = fields
      },
      onData: (bytes) => {
        one.body += Buffer.from(bytes).toString('latin1')
      },
      onEnd: (trailers) => {
        one.trailers = trailers
      },
      onDrain: () => {
        one.drains++
      },
      onClose: (code) => {
        one.closed = code ?? null
      },
    }
    heard.push(one)
    return one
  }
  const session = new Session(
    { role, limits: { ...limitDefaults, ...options.limits }, nowMs: options.nowMs ?? (() => 0) },
    {
      onRequest(stream, { fields, whole }) {
        const one = listen(stream)
        Object.assign(one, { head: fields, whole })
        if (options.onRequest) options.onRequest(one)
        else stream.resume()
      },
      onPending() {},
      onOver() {},
    },
  )
  const take = (): Buffer => {
    const bytes = Buffer.concat(session.take())
    said.push(bytes)
    return bytes
  }
  return {
    session,
    heard,
    take,
    listen,
    frames: () => framesOf(withoutPreface(take())),
    fault() {
      take()
      for (const { type, payload } of framesOf(withoutPreface(Buffer.concat(said)))) {
        if (type === frameType.goaway) lastGoaway = payload.readUInt32BE(4)
      }
      return session.over ? (lastGoaway ?? errorCode.none) : undefined
    },
  }
}

const withoutPreface = (bytes: Buffer): Buffer =>
  bytes.toString('latin1', 0, 3) === 'PRI' ? bytes.subarray(24) : bytes

export function framesOf(bytes: Buffer): Frame[] {
  const frames: Frame[] = []
  for (let at = 0; at < bytes.length; ) {
    const length = bytes.readUIntBE(at, 3)
    const payload = bytes.subarray(at + 9, at + 9 + length)
    frames.push({ type: bytes[at + 3]!, flags: bytes[at + 4]!, id: bytes.readUInt32BE(at + 5), payload })
    at += 9 + length
  }
  return frames
}

/** Carries what both say until neither has more. `cut`: the size of the pieces in which it arrives. */
export function exchange(one: End, other: End, cut: number = Infinity): void {
  for (let more = true; more; ) {
    more = false
    for (const [from, to] of [
      [one, other],
      [other, one],
    ] as const) {
      const bytes = from.take()
      more ||= bytes.length > 0
      for (let at = 0; at < bytes.length; at += cut) to.session.receive(bytes.subarray(at, at + cut))
    }
  }
}
