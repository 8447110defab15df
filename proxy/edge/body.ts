/** The first bytes of a fetch request's body, read to be judged, and the same body again for the handler. */

import type { BodyRead } from '../exchange.ts'
import { Gathered } from '../http1/gather.ts'

export interface ReadAhead {
  readonly read: BodyRead
  /** What the handler gets: what was read, and then the rest as it comes. Null where there is none. */
  readonly body: Uint8Array<ArrayBuffer> | ReadableStream<Uint8Array> | null
}

/** Never rejects. `timeMs`: time for it, in milliseconds. */
export async function readAhead(
  request: Pick<Request, 'body' | 'headers'>,
  maxBytes: number,
  timeMs: number,
): Promise<ReadAhead> {
  if (!request.body) return { read: { kind: 'none' }, body: null }
  const reader = request.body.getReader()
  const gathered = new Gathered(maxBytes + 1, 8192) // One byte more tells that there is more.
  const late = Promise.withResolvers<'late'>()
  const timer = setTimeout(() => late.resolve('late'), timeMs)
  try {
    while (!gathered.full) {
      const next = await Promise.race([reader.read(), late.promise])
      if (next === 'late') return abandoned(reader, 'late')
      if (next.done) return whole(gathered, maxBytes)
      gathered.add(next.value)
    }
  } catch {
    return abandoned(reader, 'gone')
  } finally {
    clearTimeout(timer)
  }
  const length = Number(request.headers.get('content-length') ?? Number.NaN)
  const read = {
    ...({ kind: 'read', bytes: gathered.bytes.subarray(0, maxBytes), truncated: true } as const),
    size: Number.isSafeInteger(length) ? length : -1,
  }
  return { read, body: resumed(copyOf(gathered), reader) }
}

/** What the handler gets is its own: it may write into it, and hand it on. */
const copyOf = ({ bytes }: Gathered): Uint8Array<ArrayBuffer> => new Uint8Array(bytes)

function whole(gathered: Gathered, maxBytes: number): ReadAhead {
  const { bytes } = gathered
  const read = { kind: 'read', bytes: bytes.subarray(0, maxBytes), truncated: false, size: bytes.length } as const
  return { read, body: copyOf(gathered) }
}

function abandoned(reader: ReadableStreamDefaultReader, kind: 'late' | 'gone'): ReadAhead {
  reader.cancel().catch(() => {}) // What matters about it was seen.
  return { read: { kind }, body: null }
}

function resumed(
  first: Uint8Array<ArrayBuffer>,
  reader: ReadableStreamDefaultReader<Uint8Array>,
): ReadableStream<Uint8Array> {
  return new ReadableStream<Uint8Array>({
    start: (to) => to.enqueue(first),
    async pull(to) {
      const { done, value } = await reader.read()
      if (done) to.close()
      else to.enqueue(value)
    },
    cancel: (reason) => reader.cancel(reason),
  })
}
