import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Fields } from '../../../proxy/http1/fields.ts'
import { Request, readRequest } from '../../../proxy/http1/request.ts'
import { writeRequest } from '../../../proxy/http1/write.ts'
import { type RawFields, readHttp2Request, readHttp2Response } from '../../../proxy/http2/head.ts'
import { http2Request } from '../../../proxy/http2/write.ts'

/** The session has read the frames; whatever it hands on comes here. */

const limits = { headFields: 100, headBytes: 32_768 }

const text = fc.string({
  unit: fc.oneof(fc.constantFrom(...'aZ0 :-_/?%.\t\r\n\0'), fc.integer({ min: 0, max: 300 }).map(String.fromCharCode)),
  maxLength: 12,
})
const known = ['x-a', 'x-b', 'cookie', 'host', 'content-length', 'te', 'connection', 'expect', 'X-Upper', 'x_forwarded']
const likely = ['1', 'a.example', 'trailers', '100-continue', 'a=b', '']
const field = fc.tuple(
  fc.oneof({ weight: 9, arbitrary: fc.constantFrom(...known) }, { weight: 1, arbitrary: text }),
  fc.oneof({ weight: 9, arbitrary: fc.constantFrom(...likely) }, { weight: 1, arbitrary: text }),
)
const fields = fc.array(field, { maxLength: 4 }).map((list) => list.flat())

/** Each line where `at` says, and nothing between or in them that a server of HTTP/1.1 would take for a line's end. */
function expectLines({ text: lines, at }: Fields): void {
  let whole = ''
  for (let i = 0; i < at.length; i += 4) {
    const name = lines.slice(at[i], at[i + 1])
    const value = lines.slice(at[i + 2], at[i + 3])
    expect(name).toMatch(/^[!#$%&'*+.^_`|~0-9a-z-]+$/)
    expect(value).toMatch(/^(?![ \t])[\t\x20-\x7e\x80-\xff]*(?<![ \t])$/)
    whole += `${name}: ${value}\r\n`
  }
  expect(lines).toBe(`${whole}\r\n`)
}

/** Lists of fields say the same with and without blanks after their commas (RFC 9110 section 5.6.1). */
const joined = (headers: Readonly<Record<string, string>>) =>
  Object.entries(headers).map(([name, value]) => [name, value.replaceAll(/, */g, ',')])

test('of any fields a request is refused, or has lines that are read in one way, and is read again as it is written', () => {
  let read = 0
  const pseudoOf = (path: string) => [':method', 'GET', ':scheme', 'http', ':authority', 'a.example', ':path', path]
  const oneOf = (...values: readonly string[]) =>
    fc.oneof({ weight: 12, arbitrary: fc.constantFrom(...values) }, { weight: 1, arbitrary: text })
  const pseudo = fc
    .tuple(oneOf('GET', 'POST'), oneOf('http'), oneOf('a.example'), oneOf('/', '/a/../b?c=%20', '/%41'))
    .map(([method, scheme, authority, path]) => {
      return [':method', method, ':scheme', scheme, ':authority', authority, ':path', path]
    })
  fc.assert(
    fc.property(pseudo, fields, fc.boolean(), (first, rest, endsHere) => {
      const head = readHttp2Request([...first, ...rest], endsHere, 'http', limits)
      if (!(head instanceof Request)) {
        expect(['bad_request', 'head_too_large', 'method_unsupported']).toContain(head.code)
        return
      }
      read++
      expectLines(head.fields)
      const raw = http2Request(head, { set: {}, remove: [] }, 'http')
      const again = readHttp2Request(raw, endsHere, 'http', limits)
      if (!(again instanceof Request)) throw new Error(again.detail)
      expect(again).toMatchObject({ method: head.method, authority: head.authority, path: head.path })
      expect([again.query, again.framing]).toEqual([head.query, head.framing])
      expect(joined(again.headers)).toEqual(joined(head.headers))
    }),
    {
      numRuns: 2000,
      examples: [
        [pseudoOf('/'), ['x-b', '1', 'x-b', ''], false],
        [pseudoOf('/'), ['cookie', 'a=b', 'cookie', ''], true],
      ],
    },
  )
  expect(read).toBeGreaterThan(100)
})

test('of any fields a response is refused, or has lines that are read in one way', () => {
  let read = 0
  const status = fc.oneof(fc.constantFrom('200', '204', '103', '101', '099', '1000'), text)
  fc.assert(
    fc.property(status, fields, fc.boolean(), fc.constantFrom('GET', 'HEAD'), (code, rest, endsHere, method) => {
      const head = readHttp2Response([':status', code, ...rest], endsHere, method, limits)
      if ('wrong' in head) return
      read++
      expect(String(head.status)).toBe(code)
      expect(head.status).not.toBe(101)
      expectLines(head.fields)
    }),
    { numRuns: 2000 },
  )
  expect(read).toBeGreaterThan(50)
})

test('pseudo fields stand first, each once; as many fields and bytes as the limits say pass, one more does not', () => {
  const first = [':method', 'GET', ':scheme', 'http', ':authority', 'a.example', ':path', '/']
  const codeOf = (raw: RawFields, over = limits): string => {
    const head = readHttp2Request(raw, true, 'http', over)
    return head instanceof Request ? 'read' : head.code
  }
  expect(codeOf([...first, 'x-a', '1'])).toBe('read')
  expect(codeOf([...first, ':path', '/'])).toBe('bad_request')
  expect(codeOf(['x-a', '1', ...first])).toBe('bad_request')
  expect(codeOf([...first, ':status', '200'])).toBe('bad_request')
  const many = (count: number) => Array.from({ length: count }, () => ['x-a', '1']).flat()
  expect(codeOf([...first, ...many(100)])).toBe('read')
  expect(codeOf([...first, ...many(101)])).toBe('head_too_large')
  const bytes = first.reduce((sum, one) => sum + one.length + 2, 0)
  expect(codeOf(first, { ...limits, headBytes: bytes })).toBe('read')
  expect(codeOf(first, { ...limits, headBytes: bytes - 1 })).toBe('head_too_large')
})

test('of any CONNECT what is read names a host and port or asks for a WebSocket, has no body, and is written in one way', () => {
  const oneOf = (...values: readonly (string | undefined)[]) =>
    fc.oneof({ weight: 8, arbitrary: fc.constantFrom(...values) }, { weight: 1, arbitrary: text })
  const pseudo = fc
    .record({
      ':authority': oneOf('a.example:443', 'A.example:80', 'a.example', undefined),
      ':scheme': oneOf(undefined, 'http'),
      ':path': oneOf(undefined, '/', '/a?b'),
      ':protocol': oneOf(undefined, 'websocket', 'connect-udp'),
    })
    .map((given) =>
      [[':method', 'CONNECT'], ...Object.entries(given)].flatMap((one) => (one[1] === undefined ? [] : one)),
    )
  let tunnels = 0
  let upgrades = 0
  fc.assert(
    fc.property(pseudo, fields, (first, rest) => {
      const head = readHttp2Request([...first, ...rest] as RawFields, false, 'http', limits)
      if (!(head instanceof Request)) {
        expect(['bad_request', 'head_too_large', 'method_unsupported']).toContain(head.code)
        return
      }
      expectLines(head.fields)
      expect([head.tunnels, head.framing.kind]).toEqual([true, 'none'])
      const again = readRequest(writeRequest(head, { set: {}, remove: [] }), 'http', limits)
      expect(again).toMatchObject({
        method: head.method,
        authority: head.authority,
        path: head.path,
        query: head.query,
      })
      if (head.connects) {
        tunnels++
        expect(head.authority).toMatch(/^[a-z.]+:\d+$/)
      } else {
        upgrades++
        expect([head.method, head.headers['upgrade'], (again as Request).upgrades]).toEqual(['GET', 'websocket', true])
      }
    }),
    { numRuns: 2000 },
  )
  expect(Math.min(tunnels, upgrades)).toBeGreaterThan(2)
})
