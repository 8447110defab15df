/**
 * What a client asks for before any key is agreed on: the name of the server, in the first message of TLS (RFC 8446 section
 * 4.1.2, RFC 6066 section 3). Read by the letter and within bounds: who is let through by it must be read here as the server
 * reads it, so whatever two readers could take for different things is refused.
 */

export type ClientHello =
  /** It is not all there yet. */
  | { readonly kind: 'more' }
  | { readonly kind: 'bad'; readonly detail: string }
  | {
      readonly kind: 'hello'
      /** Lower case; undefined where it names no server. */
      readonly serverName: string | undefined
    }

/** Longest first message with its records, in bytes. Those of browsers have about 2 KB. */
export const maxHello = 16_384

const more: ClientHello = { kind: 'more' }
const bad = (detail: string): ClientHello => ({ kind: 'bad', detail })

/** `bytes`: all that has come so far, from the first one on. What follows the message is not looked at. */
export function readClientHello(bytes: Uint8Array): ClientHello {
  const message = gather(bytes)
  if (!(message instanceof Uint8Array)) return message
  try {
    return readMessage(message)
  } catch (thrown) {
    if (thrown instanceof Malformed) return bad(thrown.message)
    throw thrown
  }
}

const recordHead = 5
const handshakeHead = 4

/** The message out of its records, which may split it anywhere (RFC 8446 section 5.1). */
function gather(bytes: Uint8Array): Uint8Array | ClientHello {
  const pieces: Uint8Array[] = []
  let length = 0
  let wanted: number | undefined
  for (let at = 0; ; ) {
    // Each byte of a head is judged as soon as it is there: what is no TLS is not waited for.
    if (at < bytes.length && bytes[at] !== 22) return bad('no handshake record')
    if (at + 1 < bytes.length && bytes[at + 1] !== 3) return bad('no version of TLS')
    if (at + 2 < bytes.length && (bytes[at + 2]! < 1 || bytes[at + 2]! > 3)) return bad('no version of TLS')
    if (at + recordHead > bytes.length) return more
    const size = (bytes[at + 3]! << 8) | bytes[at + 4]!
    if (size === 0 || size > 16_384) return bad('a record of an impossible length')
    const from = at + recordHead
    const piece = bytes.subarray(from, Math.min(from + size, bytes.length))
    pieces.push(piece)
    length += piece.length
    if (wanted === undefined) {
      const head = firstBytes(pieces)
      if (head.length > 0 && head[0] !== 1) return bad('another message than a ClientHello')
      if (head.length === handshakeHead) wanted = handshakeHead + ((head[1]! << 16) | (head[2]! << 8) | head[3]!)
      if (wanted !== undefined && wanted > maxHello) return bad('too long')
    }
    if (wanted !== undefined) {
      const withRecord = length - piece.length + size
      // A record ends with the message: what else it held would be read by the server, and not by us.
      if (withRecord > wanted) return bad('more than the message in its record')
      if (length === wanted) return joined(pieces, length).subarray(handshakeHead)
    }
    if (piece.length < size) return more
    at = from + size
    if (at > 2 * maxHello) return bad('too long') // Of records that carry next to nothing.
  }
}

function firstBytes(pieces: readonly Uint8Array[]): readonly number[] {
  const first: number[] = []
  for (const piece of pieces) {
    for (let i = 0; i < piece.length && first.length < handshakeHead; i++) first.push(piece[i]!)
  }
  return first
}

function joined(pieces: readonly Uint8Array[], length: number): Uint8Array {
  if (pieces.length === 1) return pieces[0]!
  const all = new Uint8Array(length)
  let at = 0
  for (const piece of pieces) {
    all.set(piece, at)
    at += piece.length
  }
  return all
}

class Malformed extends Error {}

/** Takes from the front, and never past the end. */
class Reader {
  readonly #bytes: Uint8Array
  #at = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  get left(): number {
    return this.#bytes.length - this.#at
  }

  take(length: number, what: string): Uint8Array {
    if (length > this.left) throw new Malformed(`${what} is cut short`)
    this.#at += length
    return this.#bytes.subarray(this.#at - length, this.#at)
  }

  /** A number of that many bytes. */
  number(bytes: 1 | 2, what: string): number {
    const [high, low] = this.take(bytes, what)
    return bytes === 1 ? high! : (high! << 8) | low!
  }

  /** A vector after its length, which has that many bytes. */
  vector(lengthBytes: 1 | 2, what: string): Reader {
    return new Reader(this.take(this.number(lengthBytes, what), what))
  }

  end(what: string): void {
    if (this.left > 0) throw new Malformed(`more than ${what}`)
  }
}

const serverNameType = 0

function readMessage(message: Uint8Array): ClientHello {
  const hello = new Reader(message)
  if (hello.number(2, 'the version') !== 0x0303) throw new Malformed('another version than that of TLS 1.2 and 1.3')
  hello.take(32, 'the random')
  if (hello.vector(1, 'the session id').left > 32) throw new Malformed('a session id of more than 32 bytes')
  const suites = hello.vector(2, 'the list of ciphers')
  if (suites.left < 2 || suites.left % 2 === 1) throw new Malformed('a list of ciphers of an impossible length')
  if (hello.vector(1, 'the list of compressions').left < 1) throw new Malformed('no compression, not even none')
  if (hello.left === 0) return { kind: 'hello', serverName: undefined }
  const extensions = hello.vector(2, 'the list of extensions')
  hello.end('the message')
  const seen = new Set<number>()
  let serverName: string | undefined
  while (extensions.left > 0) {
    const type = extensions.number(2, 'an extension')
    const body = extensions.vector(2, 'an extension')
    if (seen.has(type)) throw new Malformed(`extension ${type} twice`) // RFC 8446 section 4.2.
    seen.add(type)
    if (type === serverNameType) serverName = readServerName(body)
  }
  return { kind: 'hello', serverName }
}

/** RFC 6066 section 3: one name of the only type there is. An address is none, and a dot at the end stands for nothing. */
function readServerName(body: Reader): string {
  const list = body.vector(2, 'the list of names')
  body.end('the list of names')
  if (list.number(1, 'the name') !== 0) throw new Malformed('a name of an unknown type')
  const bytes = list.take(list.number(2, 'the name'), 'the name')
  list.end('one name')
  const name = String.fromCharCode(...bytes.subarray(0, maxName + 1)).toLowerCase()
  if (name.length > maxName || !hostShape.test(name)) throw new Malformed('a name that is no host name')
  return name
}

const maxName = 253

/** Labels of letters, digits, hyphens and underscores; the last one is no number, so that no address fits. */
const hostShape = /^(?:[a-z0-9_](?:[-a-z0-9_]{0,61}[a-z0-9_])?\.)*(?![0-9]+$)[a-z0-9_](?:[-a-z0-9_]{0,61}[a-z0-9_])?$/
