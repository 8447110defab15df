import fc from 'fast-check'
import { expect, test } from 'vitest'
import { readResponse } from '../../../proxy/http1/response.ts'

const read = (text: string, method = 'GET') => readResponse(text.replaceAll('\n', '\r\n'), method, { headFields: 100 })

test('the body ends by length, by chunks or by the close, as RFC 9112 section 6.3 orders them', () => {
  const framing = (text: string, method?: string) => {
    const response = read(text, method)
    return 'wrong' in response ? response.wrong : response.framing.kind
  }
  expect(framing('HTTP/1.1 200 OK\nContent-Length: 3\n\n')).toBe('length')
  expect(framing('HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n')).toBe('chunked')
  expect(framing('HTTP/1.1 200 OK\n\n')).toBe('close')
  expect(framing('HTTP/1.1 200 OK\nContent-Length: 3\n\n', 'HEAD')).toBe('none')
  expect(framing('HTTP/1.1 204 No Content\n\n')).toBe('none')
  expect(framing('HTTP/1.1 304 Not Modified\nContent-Length: 3\n\n')).toBe('none')
})

test('a connection is kept only where both its version and its fields say so', () => {
  expect(read('HTTP/1.1 204\n\n')).toMatchObject({ status: 204, keepAlive: true })
  expect(read('HTTP/1.1 204 \nConnection: close\n\n')).toMatchObject({ keepAlive: false })
  expect(read('HTTP/1.0 204 x\n\n')).toMatchObject({ keepAlive: false })
  expect(read('HTTP/1.1 200 x\n\n')).toMatchObject({ keepAlive: false })
})

test.each([
  ['another version', 'HTTP/2 200\n\n'],
  ['two digits', 'HTTP/1.1 20 OK\n\n'],
  ['four digits', 'HTTP/1.1 2000 OK\n\n'],
  ['a status below 100', 'HTTP/1.1 099 OK\n\n'],
  ['both lengths', 'HTTP/1.1 200 OK\nContent-Length: 3\nTransfer-Encoding: chunked\n\n'],
  ['two lengths', 'HTTP/1.1 200 OK\nContent-Length: 3\nContent-Length: 3\n\n'],
  ['chunked in HTTP/1.0', 'HTTP/1.0 200 OK\nTransfer-Encoding: chunked\n\n'],
  ['a folded field', 'HTTP/1.1 200 OK\nX: 1\n 2\n\n'],
])('%s is wrong', (_, text) => {
  expect(read(text)).toHaveProperty('wrong')
})

test('no text throws, and what is read has a status and an end', () => {
  const piece = fc.constantFrom(
    'HTTP/1.1 ',
    'HTTP/1.0 ',
    '200',
    '204 ',
    '\r\n',
    'Content-Length: 3\r\n',
    'a: b\r\n',
    ':',
    ' ',
  )
  const text = fc.array(fc.oneof(piece, piece, fc.string({ maxLength: 3, unit: 'binary-ascii' })), { maxLength: 10 })
  fc.assert(
    fc.property(text, fc.constantFrom('GET', 'HEAD'), (pieces, method) => {
      const response = readResponse(`${pieces.join('')}\r\n\r\n`, method, { headFields: 100 })
      if ('wrong' in response) return
      expect(response.status).toBeGreaterThanOrEqual(100)
      expect(['none', 'length', 'chunked', 'close']).toContain(response.framing.kind)
    }),
    { numRuns: 3000 },
  )
})
