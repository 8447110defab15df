/** Messages of DNS (RFC 1035 section 4), as far as a resolver needs them that knows some names and asks another for the rest. */

export interface Query {
  readonly id: number
  /** Lower case, without the dot at its end. Undefined where a label has a byte that no host name has. */
  readonly name: string | undefined
  readonly type: number
  /** Index just past the question, which a response repeats. */
  readonly end: number
}

export const types = { a: 1, aaaa: 28 } as const
export const codes = { formatError: 1, serverFailure: 2, notImplemented: 4 } as const

const headerBytes = 12
const longestName = 255
const internet = 1

/**
 * A query with one question, or the code that answers what is none. Undefined where nobody is to be answered: it is no
 * query, or too short to have a header.
 */
export function readQuery(bytes: Uint8Array): Query | { readonly code: number } | undefined {
  if (bytes.length < headerBytes || (bytes[2]! & 0x80) !== 0) return undefined
  if ((bytes[2]! & 0x78) !== 0) return { code: codes.notImplemented }
  if (wordAt(bytes, 4) !== 1) return { code: codes.formatError }
  const labels: string[] = []
  let at = headerBytes
  for (;;) {
    const length = bytes[at]
    if (length === undefined || length > 63) return { code: codes.formatError } // No pointer stands in a first name.
    at++
    if (length === 0) break
    if (at + length > bytes.length || at + length - headerBytes > longestName) return { code: codes.formatError }
    labels.push(String.fromCharCode(...bytes.subarray(at, at + length)))
    at += length
  }
  if (at + 4 > bytes.length) return { code: codes.formatError }
  const isHost = wordAt(bytes, at + 2) === internet && labels.every((label) => /^[A-Za-z0-9_-]+$/.test(label))
  const name = isHost ? labels.join('.').toLowerCase() : undefined
  return { id: wordAt(bytes, 0), name, type: wordAt(bytes, at), end: at + 4 }
}

/** Says that the name has these IPv4 addresses, or, without any, that it has nothing of what was asked (RFC 2308 section 2.2). */
export function addressAnswer(
  query: Uint8Array,
  { end }: Query,
  addresses: readonly string[],
  ttlS: number,
): Uint8Array {
  const answer = new Uint8Array(end + 16 * addresses.length)
  answer.set(query.subarray(0, end))
  const view = header(answer, 0x04, 0) // Authoritative.
  view.setUint16(6, addresses.length)
  let at = end
  for (const address of addresses) {
    view.setUint16(at, 0xc000 | headerBytes) // The name of the question.
    view.setUint16(at + 2, types.a)
    view.setUint16(at + 4, internet)
    view.setUint32(at + 6, ttlS)
    view.setUint16(at + 10, 4)
    answer.set(address.split('.').map(Number), at + 12)
    at += 16
  }
  return answer
}

/** An answer without any, with the question where that could be read. */
export function refusal(query: Uint8Array, code: number, read?: Query): Uint8Array {
  const answer = new Uint8Array(query.subarray(0, read?.end ?? headerBytes))
  const view = header(answer, 0, code)
  if (!read) view.setUint16(4, 0)
  return answer
}

/** The same message under another id. */
export function withId(message: Uint8Array, id: number): Uint8Array {
  const copy = new Uint8Array(message) // A Buffer's own `slice` would be none.
  new DataView(copy.buffer).setUint16(0, id)
  return copy
}

/** Whether a message answers this query, which was asked under this id: anybody may send one to an open port. */
export function answers(message: Uint8Array, query: Uint8Array, { end }: Query, id: number): boolean {
  if (message.length < end || (message[2]! & 0x80) === 0 || wordAt(message, 0) !== id) return false
  for (let i = headerBytes; i < end; i++) if (message[i] !== query[i]) return false
  return true
}

/** Recursion is there where it is desired; nothing follows the question yet. */
function header(answer: Uint8Array, flags: number, code: number): DataView {
  const view = new DataView(answer.buffer)
  view.setUint8(2, 0x80 | flags | (answer[2]! & 0x01))
  view.setUint8(3, 0x80 | code)
  for (const count of [6, 8, 10]) view.setUint16(count, 0)
  return view
}

const wordAt = (bytes: Uint8Array, at: number): number => (bytes[at]! << 8) | bytes[at + 1]!
