import fc from 'fast-check'
import { expect, test } from 'vitest'
import { detected } from '../../../proxy/http1/detect.ts'

const of = (text: string) => detected(Buffer.from(text, 'latin1'))

test('HTTP is a whole first line with its version, or the preface of HTTP/2', () => {
  for (const line of ['GET / HTTP/1.1\r\n', 'OPTIONS * HTTP/1.0\r\n', 'POST http://a/ HTTP/1.1\r\nHost: a']) {
    expect(of(line), line).toBe('http')
  }
  expect(of('PRI * HTTP/2.0\r\n\r\nSM')).toBe('http')
  expect(of('PRI * HTTP/2.1\r\n')).toBe('tcp')
})

test('words of other protocols are bytes, as soon as their line is there', () => {
  for (const text of [
    'EHLO a.example\r\n',
    'PING\r\n',
    'get key\r\n',
    '*1\r\n$4\r\nPING\r\n',
    'SSH-2.0-x\r\n',
    '\x16\x03\x01',
    '\0',
    '\n',
  ]) {
    expect(of(text), JSON.stringify(text)).toBe('tcp')
  }
  expect(of('GET / HTTP/1.1\n')).toBe('tcp')
  expect(of('GET / HTTP/9.9\r\n')).toBe('tcp')
})

test('what may still become HTTP is waited for, up to a length', () => {
  for (const text of ['', 'G', 'GET', 'GET ', 'GET /a', 'GET / HTTP/1.1', 'GET / HTTP/1.1\r', 'PRI * HT']) {
    expect(of(text), text).toBe('more')
  }
  expect(of(`GET /${'a'.repeat(9000)}`)).toBe('tcp')
})

test('any bytes have an answer, which more bytes behind them do not change', () => {
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 60 }),
    fc.string().map((text) => Buffer.from(text)),
  )
  fc.assert(
    fc.property(bytes, bytes, (first, more) => {
      const answer = detected(first)
      if (answer !== 'more') expect(detected(Buffer.concat([first, more]))).toBe(answer)
    }),
    { numRuns: 2000 },
  )
})
