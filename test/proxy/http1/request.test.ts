import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { HeadFault, RequestFacts } from '../../../core/facts.ts'
import { policyInput } from '../../../core/input.ts'
import { policyInputText } from '../../../core/input-text.ts'
import { Request, readRequest } from '../../../proxy/http1/request.ts'
import { broken, byteText, headEnd, more, tooLong } from '../../../proxy/http1/scan.ts'
import { writeRequest } from '../../../proxy/http1/write.ts'
import { malformed } from '../malformed.ts'

const limits = { headFields: 100 }
const maxHead = 32_768

const bytesOf = (text: string): Uint8Array => Uint8Array.from(text, (character) => character.charCodeAt(0))

/** Reads as a connection does: scan, then parse. `cuts` says where the bytes are split. */
function read(bytes: Uint8Array, cuts: readonly number[] = [], limit: number = maxHead): Request | HeadFault | 'more' {
  let from = 0
  for (const to of [...cuts, bytes.length]) {
    const end = headEnd(bytes, from, to, limit)
    if (end === broken) return { code: 'bad_request', detail: '' }
    if (end === tooLong) return { code: 'head_too_large', detail: '' }
    if (end !== more) return readRequest(byteText(bytes, 0, end), 'http', limits)
    from = to
  }
  return 'more'
}

const good = (text: string): Request => {
  const head = read(bytesOf(text.replaceAll('\n', '\r\n')))
  if (!(head instanceof Request)) throw new Error(`refused: ${JSON.stringify(head)}`)
  return head
}

const codeOf = (text: string): string => {
  const head = read(bytesOf(text.replaceAll('\n', '\r\n')))
  return head === 'more' ? 'more' : head instanceof Request ? 'read' : head.code
}

describe('what may be read in two ways is refused', () => {
  test.each(malformed)('%s', (_, text) => {
    const head = read(bytesOf(text))
    expect(head).toMatchObject({ code: 'bad_request' })
  })
  test('and its neighbours are read', () => {
    expect(malformed.length).toBeGreaterThan(60)
    expect(codeOf('POST / HTTP/1.1\nHost: orders\nContent-Length: 3\n\n')).toBe('read')
    expect(codeOf('POST / HTTP/1.1\nHost: orders\nTransfer-Encoding: chunked\n\n')).toBe('read')
    expect(codeOf('POST / HTTP/1.0\nContent-Length: 3\n\n')).toBe('read')
    expect(codeOf('GET http://Orders/ HTTP/1.1\nHost: orders\n\n')).toBe('read')
    expect(codeOf('GET / HTTP/1.1\nHost: [::1]:8080\n\n')).toBe('read')
    expect(codeOf('OPTIONS * HTTP/1.1\nHost: orders\n\n')).toBe('read')
    expect(codeOf('GET / HTTP/1.1\nHost: orders\nX-A: a\tb \xe4\n\n')).toBe('read')
    expect(codeOf('GET / HTTP/1.1\nHost: orders\nX-Empty:\n\n')).toBe('read')
  })
})

test('method, host, path and query come out in their one form', () => {
  expect(good('GET /a/%7e/./b/../%c3%a9?x=%2f HTTP/1.1\nHOST: Orders:8080\n\n')).toMatchObject({
    method: 'GET',
    authority: 'orders:8080',
    path: '/a/~/%C3%A9',
    query: 'x=%2f',
    protocol: 'HTTP/1.1',
    scheme: 'http',
    framing: { kind: 'none' },
  })
})

test('repeated fields are joined in order, and names a language knows are names like any other', () => {
  const head = good('GET / HTTP/1.1\nHost: a\nX-A: 1\nx-a: 2\nConstructor: x\n__proto__: y\n\n')
  expect(head.field('x-a')).toBe('1, 2')
  expect(head.field('x-b')).toBeUndefined()
  expect(head.headers['x-a']).toBe('1, 2')
  expect(head.headers['constructor']).toBe('x')
  expect(Object.entries(head.headers)).toContainEqual(['__proto__', 'y'])
  expect(head.headers['tostring']).toBeUndefined()
})

test('what belongs to one connection is no part of the head, nor is a caller its own witness', () => {
  const head = good(
    `GET / HTTP/1.1\nHost: a\nConnection: close, X-Hop\nX-Hop: 1\nKeep-Alive: 5\nTE: trailers\nUpgrade: h2c
X-Forwarded-Client-Cert: URI=spiffe://a/b\nX_Forwarded-Client_Cert: URI=spiffe://a/c\nX-Stays: 1\n\n`,
  )
  expect(head.headers).toEqual({ 'x-stays': '1' })
  expect(head.keepAlive).toBe(false)
  expect(writeRequest(head, { set: {}, remove: [] })).toBe('GET / HTTP/1.1\r\nhost: a\r\nX-Stays: 1\r\n\r\n')
})

test('lines travel as they came, without those that are replaced, dropped or padded, wherever they stand', () => {
  const kept = { set: { 'x-b': 'new' }, remove: ['x_d'] }
  const head = good(
    'GET / HTTP/1.1\nX-A:1\nX_B: 2\nX-C: 3 \t\nTE: x\nX-D: 4\nx-e:\nHost: a\nX-F:  6\nX-b: 7\nX-G: 8\nX-H: 9\n\n',
  )
  expect(writeRequest(head, kept).replaceAll('\r\n', '|')).toBe(
    'GET / HTTP/1.1|host: a|X-A:1|X-C: 3|x-e:|X-F:  6|X-G: 8|X-H: 9|x-b: new||',
  )
  const all = good('GET / HTTP/1.1\nHost: a\nX-A: 1\nX-B: 2\n\n')
  expect(writeRequest(all, { set: {}, remove: ['x-a', 'x-b'] })).toBe('GET / HTTP/1.1\r\nhost: a\r\n\r\n')
})

test.each([
  ...['te', 'trailer', 'keep-alive', 'http2-settings', 'proxy-connection', 'proxy-authenticate'],
  ...['proxy-authorization', 'x-forwarded-client-cert'],
])('%s never travels on, however it is spelled; one letter more does', (name) => {
  for (const spelled of [name, name.toUpperCase(), name.replaceAll('-', '_')]) {
    const head = good(`GET / HTTP/1.1\nHost: a\n${spelled}: 1\n${spelled}s: 2\n\n`)
    expect(head.headers).toEqual({ [`${spelled.toLowerCase()}s`]: '2' })
  }
})

test('fields are given one by one as the map has them, or none where names repeat or are many', () => {
  const name = fc.stringMatching(/^[A-Za-z_-]{1,3}$/)
  const list = fc.array(fc.tuple(name, fc.stringMatching(/^[!-~]{0,5}$/)), { maxLength: 40 })
  fc.assert(
    fc.property(list, (fields) => {
      const kept = fields.filter(([one]) => one.toLowerCase() !== 'te')
      const head = good(`GET / HTTP/1.1\nHost: a\n${kept.map(([one, value]) => `${one}: ${value}\n`).join('')}\n`)
      const given: [string, string][] = []
      const whole = head.eachField((one, value) => given.push([one, value]))
      const names = new Set(kept.map(([one]) => one.toLowerCase()))
      expect(whole).toBe(names.size === kept.length && kept.length <= 24)
      expect(given).toEqual(whole ? Object.entries(head.headers) : [])
    }),
  )
})

test('a policy reads the fields of a head that it is given one by one', () => {
  const facts = { direction: 'inbound', workload: 'w', listener: 'l', requestId: 'r', traceId: '', atNs: 1n } as const
  const ends = {
    source: { identified: { ok: false, code: 'identity_missing', detail: '' }, address: 'a', port: 1 },
    destination: { service: undefined, address: 'b', port: 2 },
  } as const
  for (const more of ['', 'x-a: 2\n']) {
    const head = good(`GET /a?b HTTP/1.1\nHost: a\nX-A: "1"\nAccept: */*\n${more}\n`)
    const of = { ...facts, ...ends, head } as unknown as RequestFacts
    expect(JSON.parse(policyInputText(of))).toEqual(policyInput(of))
  }
})

test('CONNECT names a host and a port, twice the same, and has no body', () => {
  const head = read(bytesOf('CONNECT Pay.example:443 HTTP/1.1\r\nHost: pay.example:443\r\n\r\n'))
  expect(head).toMatchObject({ method: 'CONNECT', authority: 'pay.example:443', path: '/', connects: true })
  expect(writeRequest(head as Request, { set: {}, remove: [] })).toMatch(
    /^CONNECT pay.example:443 HTTP\/1.1\r\nhost: pay.example:443\r\n/,
  )
  expect(codeOf('CONNECT pay.example:443 HTTP/1.0\n\n')).toBe('read')
  for (const bad of [
    'CONNECT pay.example HTTP/1.1\nHost: pay.example\n\n',
    'CONNECT pay.example:443 HTTP/1.1\nHost: other.example:443\n\n',
    'CONNECT pay.example:443 HTTP/1.1\nHost: pay.example\n\n',
    'CONNECT pay.example:443 HTTP/1.1\n\n',
    'CONNECT pay.example:70000 HTTP/1.1\nHost: pay.example:70000\n\n',
    'CONNECT http://pay.example:443 HTTP/1.1\nHost: pay.example:443\n\n',
    'CONNECT a@pay.example:443 HTTP/1.1\nHost: a@pay.example:443\n\n',
    'CONNECT pay.example:443 HTTP/1.1\nHost: pay.example:443\nContent-Length: 1\n\n',
    'CONNECT pay.example:443 HTTP/1.1\nHost: pay.example:443\nTransfer-Encoding: chunked\n\n',
  ]) {
    expect(codeOf(bad), bad).toBe('bad_request')
  }
})

test('TRACE and other upgrades are not served; an Upgrade that Connection does not name is only dropped', () => {
  expect(codeOf('TRACE / HTTP/1.1\nHost: a\n\n')).toBe('method_unsupported')
  expect(codeOf('GET / HTTP/1.1\nHost: a\nConnection: Upgrade\nUpgrade: h2c\n\n')).toBe('method_unsupported')
  expect(codeOf('GET / HTTP/1.1\nHost: a\nConnection: Upgrade\nUpgrade: websocket\n\n')).toBe('read')
  expect(codeOf('POST / HTTP/1.1\nHost: a\nConnection: Upgrade\nUpgrade: websocket\n\n')).toBe('bad_request')
  expect(codeOf('GET / HTTP/1.1\nHost: a\nUpgrade: websocket\n\n')).toBe('read')
})

test('a head of the longest length and of most fields is read, one more of either is not', () => {
  const fields = (count: number) => `GET / HTTP/1.1\nHost: a\n${'a: b\n'.repeat(count)}\n`
  expect(codeOf(fields(99))).toBe('read')
  expect(codeOf(fields(100))).toBe('head_too_large')
  const long = (length: number) => `GET / HTTP/1.1\r\nHost: a\r\nx: ${'y'.repeat(length - 32)}\r\n\r\n`
  expect(long(maxHead).length).toBe(maxHead)
  expect(read(bytesOf(long(maxHead)))).toBeInstanceOf(Request)
  expect(read(bytesOf(long(maxHead + 1)))).toMatchObject({ code: 'head_too_large' })
})

const summary = (head: ReturnType<typeof read>): unknown =>
  head instanceof Request
    ? [head.method, head.authority, head.path, head.query, head.protocol, head.framing, { ...head.headers }]
    : head

/** Bytes that often come close to a request. */
const nearly = fc
  .array(
    fc.oneof(
      fc.constantFrom('GET ', '/ ', 'HTTP/1.1', '\r\n', '\r\n\r\n', 'Host: a\r\n', 'Content-Length: 1\r\n', ' ', '\n'),
      fc.constantFrom('Transfer-Encoding: chunked\r\n', 'GET / HTTP/1.1\r\nHost: a\r\n', '/%2e%2e/%41?b=c ', '\t', ':'),
      fc.uint8Array({ maxLength: 6 }).map((bytes) => byteText(bytes, 0, bytes.length)),
    ),
    { maxLength: 12 },
  )
  .map((pieces) => bytesOf(pieces.join('')))

test('no bytes throw, and how they are split changes nothing', () => {
  fc.assert(
    fc.property(
      nearly,
      fc.array(fc.nat(200), { maxLength: 5 }),
      fc.integer({ min: 8, max: 120 }),
      (bytes, cuts, limit) => {
        const sorted = cuts.filter((cut) => cut <= bytes.length).sort((a, b) => a - b)
        expect(summary(read(bytes, sorted, limit))).toEqual(summary(read(bytes, [], limit)))
      },
    ),
    { numRuns: 3000 },
  )
})

const token = fc.stringMatching(/^[a-z][a-z0-9-]{0,10}$/)
const request = fc.record({
  method: fc.constantFrom('GET', 'POST', 'PUT', 'M-SEARCH'),
  authority: fc.stringMatching(/^[a-z0-9.-]{1,20}(:[1-9][0-9]{0,3})?$/),
  path: fc.stringMatching(/^(\/[A-Za-z0-9_~-]{1,8}){1,4}$/),
  query: fc.option(fc.stringMatching(/^[A-Za-z0-9=&+-]{0,20}$/), { nil: undefined }),
  headers: fc.dictionary(
    token.map((name) => `x-${name}`).filter((name) => name !== 'x-forwarded-client-cert'),
    fc.stringMatching(/^([!-~\xa1-\xff]([ -~]{0,20}[!-~])?)?$/),
    { maxKeys: 8 },
  ),
})

test('what is written is read back the same', () => {
  fc.assert(
    fc.property(
      request,
      fc.constantFrom('', 'content-length: 12\r\n', 'transfer-encoding: chunked\r\n'),
      (one, framing) => {
        const fields = Object.entries(one.headers).map(([name, value]) => `${name}: ${value}\r\n`)
        const target = one.query === undefined ? one.path : `${one.path}?${one.query}`
        const text = `${one.method} ${target} HTTP/1.1\r\nHost: ${one.authority}\r\n${framing}${fields.join('')}\r\n`
        const first = read(bytesOf(text)) as Request
        expect(first).toMatchObject({ method: one.method, authority: one.authority, path: one.path, query: one.query })
        const { 'content-length': _, ...others } = first.headers
        expect(others).toEqual(one.headers)
        const second = read(bytesOf(writeRequest(first, { set: {}, remove: [] })))
        expect(summary(second)).toEqual(summary(first))
      },
    ),
  )
})

test('fields that are set replace those of the same name, also when spelled with an underscore', () => {
  const head = good('GET / HTTP/1.1\nHost: a\nX-User: eve\nX_User: mallory\nX-Gone: 1\nX-Other: 2\n\n')
  const text = writeRequest(head, { set: { 'x-user': 'bob' }, remove: ['x-gone'] })
  expect(text).toBe('GET / HTTP/1.1\r\nhost: a\r\nX-Other: 2\r\nx-user: bob\r\n\r\n')
})
