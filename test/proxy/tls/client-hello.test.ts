import { Duplex } from 'node:stream'
import { type ConnectionOptions, connect } from 'node:tls'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type ClientHello, maxHello, readClientHello } from '../../../proxy/tls/client-hello.ts'

/** What Node's own TLS sends first. */
function helloOf(options: ConnectionOptions): Promise<Buffer> {
  return new Promise((resolve) => {
    const wire = new Duplex({
      read() {},
      write(chunk: Buffer, _, done) {
        resolve(chunk)
        done()
      },
    })
    connect({ socket: wire, ...options }).on('error', () => {})
  })
}

const real = await helloOf({ servername: 'Shop.Example', ALPNProtocols: ['h2', 'http/1.1'] })
const u16 = (value: number): readonly number[] => [value >> 8, value & 255]
const vector = (bytes: readonly number[]): readonly number[] => [...u16(bytes.length), ...bytes]
const ascii = (text: string): readonly number[] => [...text].map((one) => one.charCodeAt(0))
const nameEntry = (name: string): readonly number[] => [0, ...vector(ascii(name))]
const extension = (type: number, body: readonly number[]): readonly number[] => [...u16(type), ...vector(body)]
const sni = (...entries: (readonly number[])[]): readonly number[] => extension(0, vector(entries.flat()))

interface Shape {
  readonly version?: number
  readonly session?: number
  readonly suites?: readonly number[]
  readonly compressions?: readonly number[]
  readonly extensions?: readonly number[] | undefined
  readonly after?: readonly number[]
}

const message = ({ version = 0x0303, session = 32, after = [], ...more }: Shape): readonly number[] => {
  const { suites = [0x13, 1], compressions = [0], extensions = sni(nameEntry('shop.example')) } = more
  const body = [
    ...u16(version),
    ...new Array(32).fill(7),
    ...[session, ...new Array(session).fill(9)],
    ...vector(suites),
    ...[compressions.length, ...compressions],
    ...('extensions' in more && more.extensions === undefined ? [] : vector(extensions)),
    ...after,
  ]
  return [1, body.length >> 16, ...u16(body.length & 0xffff), ...body]
}

/** In records of at most that many bytes. */
function records(bytes: readonly number[], size = 16_384): Uint8Array {
  const all: number[] = []
  for (let at = 0; at < bytes.length; at += size) {
    const piece = bytes.slice(at, at + size)
    all.push(22, 3, 1, ...u16(piece.length), ...piece)
  }
  return Uint8Array.from(all)
}

const read = (shape: Shape): ClientHello => readClientHello(records(message(shape)))
const shop: ClientHello = { kind: 'hello', serverName: 'shop.example' }

test('the name that Node asks for is read, in lower case, and so is that it asks for none', async () => {
  expect(readClientHello(real)).toEqual(shop)
  expect(readClientHello(await helloOf({}))).toEqual({ kind: 'hello', serverName: undefined })
  expect(readClientHello(await helloOf({ servername: 'a.example', maxVersion: 'TLSv1.2' }))).toEqual({
    ...shop,
    serverName: 'a.example',
  })
  expect(read({})).toEqual(shop)
})

test('however its bytes and its records are split, it is the same; and before its last byte it is not there', () => {
  for (const size of [1, 2, 3, 7, 100]) expect(readClientHello(records(message({}), size))).toEqual(shop)
  for (const whole of [real, Buffer.from(records(message({}), 5))]) {
    for (let length = 0; length < whole.length; length++) {
      expect(readClientHello(whole.subarray(0, length)), String(length)).toEqual({ kind: 'more' })
    }
    expect(readClientHello(Buffer.concat([whole, Buffer.from('whatever follows')]))).toEqual(shop)
  }
})

test.each<[string, Shape]>([
  ['another version', { version: 0x0302 }],
  ['a session id that is too long', { session: 33 }],
  ['no ciphers', { suites: [] }],
  ['half a cipher', { suites: [1, 2, 3] }],
  ['no compressions', { compressions: [] }],
  ['bytes after the extensions', { after: [0] }],
  ['an extension that is cut short', { extensions: [0, 0, 0, 9, 1] }],
  ['an extension twice', { extensions: [...extension(5, []), ...extension(5, [])] }],
  ['two extensions of names', { extensions: [...sni(nameEntry('a.example')), ...sni(nameEntry('b.example'))] }],
  ['two names', { extensions: sni(nameEntry('a.example'), nameEntry('b.example')) }],
  ['a name of another type', { extensions: sni([1, ...vector(ascii('a.example'))]) }],
  ['no name in the list', { extensions: sni() }],
  ['bytes after the list of names', { extensions: extension(0, [...vector(nameEntry('a.example')), 0]) }],
  ['an empty name', { extensions: sni(nameEntry('')) }],
  ['a name with a dot at its end', { extensions: sni(nameEntry('shop.example.')) }],
  ['a name with a zero', { extensions: sni(nameEntry('shop.example\0.evil')) }],
  ['a name with a space', { extensions: sni(nameEntry('shop example')) }],
  ['an address', { extensions: sni(nameEntry('10.0.0.1')) }],
  ['an address of IPv6', { extensions: sni(nameEntry('[::1]')) }],
  ['a name that is too long', { extensions: sni(nameEntry(`${'a.'.repeat(127)}b`)) }],
])('%s is refused', (_, shape) => {
  expect(read(shape)).toMatchObject({ kind: 'bad' })
})

test('what is no TLS is known for it by its first bytes', () => {
  for (const text of ['G', 'GET / HTTP/1.1', 'SSH-2.0', '\x80\x2e\x01', '\x16\x02', '\x16\x03\x04', '\x15\x03\x01']) {
    expect(readClientHello(Buffer.from(text, 'latin1')), JSON.stringify(text)).toMatchObject({ kind: 'bad' })
  }
  expect(readClientHello(Uint8Array.of(22, 3, 1, 0, 4, 2, 0, 0, 0))).toMatchObject({ kind: 'bad' })
  expect(readClientHello(Uint8Array.of(22, 3, 1, 0, 0))).toMatchObject({ kind: 'bad' })
})

test('nothing longer than a first message is waited for', () => {
  const long = extension(21, new Array(maxHello).fill(0))
  expect(read({ extensions: long })).toMatchObject({ kind: 'bad' })
  const announced = Uint8Array.of(22, 3, 1, 64, 0, 1, 0, 64, 1)
  expect(readClientHello(announced)).toMatchObject({ kind: 'bad', detail: 'too long' })
  const drip = records(
    new Array(maxHello).fill(1).map((_, at) => [1, 0, 63, 250][at] ?? 0),
    1,
  )
  expect(readClientHello(drip)).toMatchObject({ kind: 'bad' })
  const nothingBehind = Buffer.concat([records(message({})).subarray(0, 5), Buffer.from(message({}).slice(0, 4))])
  expect(readClientHello(nothingBehind)).toEqual({ kind: 'more' })
})

test('a record that holds more than the message is refused: the server would read on in it', () => {
  expect(readClientHello(records([...message({}), 1, 0, 0, 0]))).toMatchObject({ kind: 'bad' })
})

test('any bytes, and any message with bytes changed, are read, refused or waited for, and never throw', () => {
  const kinds = (bytes: Uint8Array): void => {
    expect(['more', 'bad', 'hello']).toContain(readClientHello(bytes).kind)
  }
  fc.assert(fc.property(fc.uint8Array({ maxLength: 400 }), kinds), { numRuns: 2000 })
  const change = fc.array(fc.tuple(fc.nat(real.length - 1), fc.integer({ min: 0, max: 255 })), { maxLength: 4 })
  fc.assert(
    fc.property(change, fc.nat(real.length), (changes, length) => {
      const bytes = Buffer.from(real)
      for (const [at, value] of changes) bytes[at] = value
      kinds(bytes.subarray(0, length))
      const whole = readClientHello(bytes)
      // More bytes behind a message, or a refusal, change neither.
      if (whole.kind !== 'more') expect(readClientHello(Buffer.concat([bytes, bytes]))).toEqual(whole)
    }),
    { numRuns: 5000 },
  )
})

test('whatever name is written is the one that is read', () => {
  const label = fc.stringMatching(/^[a-z]([-a-z0-9]{0,20}[a-z0-9])?$/)
  fc.assert(
    fc.property(fc.array(label, { minLength: 1, maxLength: 6 }), fc.integer({ min: 1, max: 300 }), (labels, size) => {
      const serverName = labels.join('.')
      const bytes = records(message({ extensions: [...extension(43, [2, 3, 4]), ...sni(nameEntry(serverName))] }), size)
      expect(readClientHello(bytes)).toEqual({ kind: 'hello', serverName })
    }),
  )
})
