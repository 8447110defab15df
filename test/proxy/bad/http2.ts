/**
 * Bad messages of HTTP/2 as bytes, each with its name, what becomes of it and the paragraph that it breaks, as
 * `<RFC> <section>`. `400`: an answer and a record, and the connection goes on. `ended`: it is no HTTP/2, so the whole
 * connection ends, without a record.
 */

export type Verdict = '400' | '501' | 'ended'
export type BadFrames = readonly [name: string, bytes: Buffer, verdict: Verdict, rfc: string]

export function frame(type: number, flags: number, stream: number, payload: Uint8Array = Buffer.alloc(0)): Buffer {
  const head = Buffer.alloc(9)
  head.writeUIntBE(payload.length, 0, 3)
  head[3] = type
  head[4] = flags
  head.writeUInt32BE(stream, 5)
  return Buffer.concat([head, payload])
}

/** Fields as literals that are not indexed and not coded (RFC 7541 section 6.2.2). */
export function block(fields: readonly (readonly [name: string, value: string])[]): Buffer {
  const text = (value: string): Buffer => {
    const bytes = Buffer.from(value, 'latin1')
    if (bytes.length < 127) return Buffer.concat([Buffer.from([bytes.length]), bytes])
    const more: number[] = [127]
    let left = bytes.length - 127
    for (; left >= 128; left >>= 7) more.push((left & 127) | 128)
    return Buffer.concat([Buffer.from([...more, left]), bytes])
  }
  return Buffer.concat(fields.map(([name, value]) => Buffer.concat([Buffer.from([0]), text(name), text(value)])))
}

export const preface: Buffer = Buffer.concat([Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), frame(4, 0, 0)])

type Field = readonly [name: string, value: string]
const method: Field = [':method', 'GET']
const scheme: Field = [':scheme', 'http']
const authority: Field = [':authority', 'orders']
const path: Field = [':path', '/']
const good: readonly Field[] = [method, scheme, authority, path]

const endStream = 1
const endHeaders = 4
const headers = (fields: readonly Field[], flags: number = endStream | endHeaders): Buffer =>
  frame(1, flags, 1, block(fields))
const withField = (name: string, value: string): Buffer => headers([...good, [name, value]])
const withPath = (value: string): Buffer => headers([method, scheme, authority, [':path', value]])
const withAuthority = (value: string): Buffer => headers([method, scheme, [':authority', value], path])
const withMethod = (value: string): Buffer => headers([[':method', value], scheme, authority, path])
const post = (length: string, ...parts: readonly string[]): Buffer =>
  Buffer.concat([
    headers([[':method', 'POST'], scheme, authority, path, ['content-length', length]], endHeaders),
    ...parts.map((part, i) => frame(0, i === parts.length - 1 ? endStream : 0, 1, Buffer.from(part))),
  ])

export const badFrames: readonly BadFrames[] = [
  ['an upper-case field name', withField('X-A', '1'), '400', '9113 8.2.1'],
  ['a field name with a blank', withField('x a', '1'), '400', '9113 8.2.1'],
  ['a field name with a colon', withField('x:a', '1'), '400', '9113 8.2.1'],
  ['an empty field name', withField('', '1'), '400', '9113 8.2.1'],
  ['a NUL in a value', withField('x-a', 'a\0b'), '400', '9113 8.2.1'],
  ['a line feed in a value', withField('x-a', 'a\nb'), '400', '9113 8.2.1'],
  ['a carriage return in a value', withField('x-a', 'a\rb'), '400', '9113 8.2.1'],
  ['a line and a field in a value', withField('x-a', 'a\r\nx-b: c'), '400', '9113 8.2.1'],
  ['Connection', withField('connection', 'close'), '400', '9113 8.2.2'],
  ['Keep-Alive', withField('keep-alive', 'timeout=5'), '400', '9113 8.2.2'],
  ['Proxy-Connection', withField('proxy-connection', 'close'), '400', '9113 8.2.2'],
  ['Transfer-Encoding', withField('transfer-encoding', 'chunked'), '400', '9113 8.2.2'],
  ['Upgrade', withField('upgrade', 'websocket'), '400', '9113 8.2.2'],
  ['a TE other than trailers', withField('te', 'gzip'), '400', '9113 8.2.2'],
  ['an unknown pseudo field', headers([...good, [':x', '1']]), '400', '9113 8.3'],
  ['a pseudo field of responses', headers([...good, [':status', '200']]), '400', '9113 8.3'],
  ['a pseudo field after the others', headers([method, scheme, authority, ['x-a', '1'], path]), '400', '9113 8.3'],
  ['two methods', headers([method, ...good]), '400', '9113 8.3.1'],
  ['two paths', headers([...good, path]), '400', '9113 8.3.1'],
  ['two schemes', headers([scheme, ...good]), '400', '9113 8.3.1'],
  ['two authorities', headers([...good, authority]), '400', '9113 8.3.1'],
  ['no method', headers([scheme, authority, path]), '400', '9113 8.3.1'],
  ['no path', headers([method, scheme, authority]), '400', '9113 8.3.1'],
  ['no scheme', headers([method, authority, path]), '400', '9113 8.3.1'],
  ['an empty path', withPath(''), '400', '9113 8.3.1'],
  ['no authority and no Host', headers([method, scheme, path]), '400', '9113 8.3.1'],
  ['another scheme than the connection', headers([method, [':scheme', 'https'], authority, path]), '400', '9113 8.3.1'],
  ['an unknown scheme', headers([method, [':scheme', 'ftp'], authority, path]), '400', '9113 8.3.1'],
  ['a Host that is another', withField('host', 'payments'), '400', '9113 8.3.1'],
  ['an authority with user information', withAuthority('me@orders'), '400', '9113 8.3.1'],
  ['an authority with a path', withAuthority('orders/x'), '400', '9113 8.3.1'],
  ['an authority with a blank', withAuthority('a b'), '400', '9113 8.3.1'],
  ['an authority with a bad port', withAuthority('orders:99999'), '400', '9113 8.3.1'],
  ['a method in lower case', withMethod('get'), '400', '9110 9.1'],
  ['a method that is no token', withMethod('GE T'), '400', '9110 9.1'],
  ['an empty method', withMethod(''), '400', '9110 9.1'],
  ['TRACE', withMethod('TRACE'), '501', '9110 9.3.8'],
  ['a path without a slash', withPath('x'), '400', '9113 8.3.1'],
  ['* for another method', withPath('*'), '400', '9113 8.3.1'],
  ['a path that is a URL', withPath('http://payments/'), '400', '9113 8.3.1'],
  ['a blank in the path', withPath('/a b'), '400', '9113 8.3.1'],
  ['a fragment', withPath('/a#b'), '400', '3986 3.5'],
  ['a backslash', withPath('/a\\b'), '400', '3986 3.3'],
  ['an encoded slash', withPath('/a%2fb'), '400', '3986 2.1'],
  ['an encoded NUL', withPath('/%00'), '400', '3986 2.1'],
  ['an overlong slash', withPath('/%c0%af'), '400', '3986 2.1'],
  ['a bad escape', withPath('/%zz'), '400', '3986 2.1'],
  ['a dot segment with parameters', withPath('/..;/a'), '400', '3986 5.2.4'],
  ['a bad escape in the query', withPath('/?a=%'), '400', '3986 2.1'],
  ['an unknown expectation', withField('expect', '200-maybe'), '400', '9110 10.1.1'],
  ['a length without a body', withField('content-length', '3'), '400', '9113 8.1.1'],
  ['a length that is no number', post('three', 'abc'), '400', '9113 8.1.1'],
  ['a signed length', post('+3', 'abc'), '400', '9113 8.1.1'],
  ['a length with a leading zero', post('03', 'abc'), '400', '9110 8.6'],
  [
    'two lengths',
    headers([...good, ['content-length', '3'], ['content-length', '3']], endHeaders),
    '400',
    '9113 8.1.1',
  ],
  ['DATA on stream 0', frame(0, 1, 0, Buffer.from('x')), 'ended', '9113 6.1'],
  ['DATA on a stream that nobody opened', frame(0, 1, 1, Buffer.from('x')), 'ended', '9113 5.1'],
  ['HEADERS on stream 0', frame(1, 5, 0, block(good)), 'ended', '9113 6.2'],
  ['HEADERS on an even stream', frame(1, 5, 2, block(good)), 'ended', '9113 5.1.1'],
  ['a block that cannot be decoded', frame(1, 5, 1, Buffer.from([0xff, 0xff, 0xff, 0xff, 0xff])), 'ended', '7541 5.1'],
  ['an index of no table', frame(1, 5, 1, Buffer.from([0xc0])), 'ended', '7541 2.3.3'],
  ['an index of zero', frame(1, 5, 1, Buffer.from([0x80])), 'ended', '7541 6.1'],
  ['a table larger than agreed', frame(1, 5, 1, Buffer.from([0x3f, 0xff, 0xff, 0x7f])), 'ended', '7541 6.3'],
  ['padding longer than its frame', frame(1, 5 | 8, 1, Buffer.from([200, 0x82])), 'ended', '9113 6.2'],
  [
    'a frame between HEADERS and CONTINUATION',
    Buffer.concat([headers(good, 1), frame(6, 0, 0, Buffer.alloc(8))]),
    'ended',
    '9113 6.10',
  ],
  ['CONTINUATION of nothing', frame(9, 4, 1, block(good)), 'ended', '9113 6.10'],
  [
    'CONTINUATION of another stream',
    Buffer.concat([headers(good, 1), frame(9, 4, 3, block([]))]),
    'ended',
    '9113 6.10',
  ],
  ['a PING of seven bytes', frame(6, 0, 0, Buffer.alloc(7)), 'ended', '9113 6.7'],
  ['a PING on a stream', frame(6, 0, 1, Buffer.alloc(8)), 'ended', '9113 6.7'],
  ['SETTINGS of five bytes', frame(4, 0, 0, Buffer.alloc(5)), 'ended', '9113 6.5'],
  ['SETTINGS on a stream', frame(4, 0, 1), 'ended', '9113 6.5'],
  ['an acknowledgement of SETTINGS with bytes', frame(4, 1, 0, Buffer.alloc(6)), 'ended', '9113 6.5'],
  ['a window of 2^31', frame(4, 0, 0, Buffer.from([0, 4, 0x80, 0, 0, 0])), 'ended', '9113 6.5.2'],
  ['a frame size of one byte', frame(4, 0, 0, Buffer.from([0, 5, 0, 0, 0, 1])), 'ended', '9113 6.5.2'],
  ['ENABLE_PUSH of two', frame(4, 0, 0, Buffer.from([0, 2, 0, 0, 0, 2])), 'ended', '9113 6.5.2'],
  ['WINDOW_UPDATE of nothing', frame(8, 0, 0, Buffer.alloc(4)), 'ended', '9113 6.9'],
  ['WINDOW_UPDATE of three bytes', frame(8, 0, 0, Buffer.alloc(3)), 'ended', '9113 6.9'],
  ['RST_STREAM of a stream that nobody opened', frame(3, 0, 1, Buffer.alloc(4)), 'ended', '9113 6.4'],
  ['RST_STREAM of three bytes', frame(3, 0, 1, Buffer.alloc(3)), 'ended', '9113 6.4'],
  ['RST_STREAM on stream 0', frame(3, 0, 0, Buffer.alloc(4)), 'ended', '9113 6.4'],
  ['GOAWAY on a stream', frame(7, 0, 1, Buffer.alloc(8)), 'ended', '9113 6.8'],
  ['PUSH_PROMISE of a client', frame(5, 4, 1, Buffer.concat([Buffer.alloc(4), block(good)])), 'ended', '9113 8.4'],
  ['a frame longer than agreed', frame(0, 0, 1, Buffer.alloc(20_000)), 'ended', '9113 4.2'],
  ['a preface that breaks off', Buffer.from('GET / HTTP/1.1\r\n\r\n'), 'ended', '9113 3.4'],
]
