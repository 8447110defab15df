/**
 * Messages of HTTP/1.1 by chance, one character a byte: from a grammar whose every part is usually right and sometimes
 * nearly so, and then bent byte by byte.
 */

import { bodies } from '../bad/bodies.ts'
import { malformed } from '../malformed.ts'
import type { Random } from './random.ts'

const methods = ['GET', 'GET', 'GET', 'POST', 'POST', 'PUT', 'HEAD', 'OPTIONS', 'DELETE', 'PATCH']
const oddMethods = ['CONNECT', 'TRACE', 'get', 'G ET', 'GET\t', '', 'PRI', 'M-SEARCH', 'GET\0', '"GET"', 'A'.repeat(40)]
const targets = [
  '/',
  '/a',
  '/a/b?c=d',
  '/a/../b',
  '//a//b',
  '/%41',
  '/a;b=c',
  '/?',
  '/a?b=%20',
  'http://orders/a',
  '/~x',
  '/a/./b',
]
const oddTargets = [
  '*',
  'a',
  '',
  '/ a',
  '/a#b',
  '/%',
  '/%2f',
  '/%00',
  '/\\',
  '/..;/',
  '/\xff',
  'http://other/',
  'orders:80',
  '/%c0%af',
  '/a\tb',
  '?a',
  '/{a}',
  '/<a>',
  '/a|b',
]
const versions = ['HTTP/1.1', 'HTTP/1.1', 'HTTP/1.1', 'HTTP/1.1', 'HTTP/1.1', 'HTTP/1.0']
const oddVersions = [
  'HTTP/1.2',
  'HTTP/0.9',
  'HTTP/2.0',
  'http/1.1',
  'HTTP/1.',
  'HTTP/11',
  'HTTP/1.1 ',
  '',
  'HTTP/1.1\t',
  'ICE/1.0',
  'HTTP/1.01',
]
const lineEnds = ['\n', '\r', '\r\r\n', '\n\r', ' \r\n', '\r\n ']
const hosts = ['orders', 'orders', 'orders', 'ORDERS', 'orders:80', 'other']
const oddHosts = [
  '',
  'orders, other',
  'me@orders',
  'orders/',
  'or ders',
  '[::1',
  'orders:x',
  '*',
  'orders\xff',
  'orders:99999',
]
const lengths = ['0', '1', '3', '5', '10']
const oddLengths = [
  '+3',
  '-1',
  '03',
  '3, 3',
  '0x3',
  '3.0',
  '',
  '3 3',
  '99999999999999999999',
  '3;a',
  '1e1',
  '3\t',
  '\xb3',
]
const codings = ['chunked', 'chunked', 'chunked', 'chunked', 'Chunked', 'CHUNKED']
const oddCodings = [
  'identity',
  'gzip, chunked',
  'chunked, chunked',
  'chunked;a',
  'xchunked',
  '',
  'chunked,',
  ' ,chunked',
  '\x0bchunked',
  '"chunked"',
  'chun ked',
  'chunked, identity',
]
const names = [
  'X-A',
  'x-b',
  'Accept',
  'User-Agent',
  'Cookie',
  'Connection',
  'TE',
  'Trailer',
  'Upgrade',
  'Expect',
  'Content_Length',
  'Transfer_Encoding',
  'X_Request_Id',
  'Keep-Alive',
  'X-Forwarded-Client-Cert',
]
const oddNames = ['X A', 'X-A ', 'X-A\t', '', ' X-A', 'X(', 'X\0', 'X\xff', ':', 'X-A:', '\x7f']
const values = [
  '1',
  'a b',
  '',
  '  a  ',
  'close',
  'keep-alive',
  'upgrade',
  'websocket',
  'trailers',
  '100-continue',
  'a, b',
  '\xe4',
  '"a"',
  'x'.repeat(200),
]
const oddValues = ['a\0', 'a\rb', 'a\nb', 'a\x01', '\x7f', 'a\r\n b', 'a\r\n\tb', '\x0b']
const specials = [
  '\0',
  '\r',
  '\n',
  '\r\n',
  ' ',
  '\t',
  ':',
  ';',
  ',',
  '%',
  '\x0b',
  '\x7f',
  '\xff',
  '0',
  '/',
  '\r\n\r\n',
  '\x85',
  '\xa0',
  '#',
  '\\',
]
const inserts = [
  'Content-Length: 3\r\n',
  'Transfer-Encoding: chunked\r\n',
  'Host: other\r\n',
  '0\r\n\r\n',
  'GET /x HTTP/1.1\r\nHost: orders\r\n\r\n',
  ' HTTP/1.1',
  'Connection: Content-Length\r\n',
]

/** How many parts of the usual ones there are for one odd part. */
const oddness = 24

export function makeMessage(random: Random): string {
  if (random.oneIn(10)) return bend(random, random.pick(malformed)[1])
  const message = fromGrammar(random)
  return random.oneIn(3) ? bend(random, message) : message
}

function fromGrammar(random: Random): string {
  const choose = (usual: readonly string[], odd: readonly string[]): string =>
    random.pick(random.oneIn(oddness) ? odd : usual)
  const end = (): string => (random.oneIn(8 * oddness) ? random.pick(lineEnds) : '\r\n')
  const field = (name: string, value: string): string => `${name}:${random.oneIn(6) ? '' : ' '}${value}${end()}`

  const blank = random.oneIn(4 * oddness) ? random.pick(['  ', '\t', '']) : ' '
  let head = `${choose(methods, oddMethods)} ${choose(targets, oddTargets)}${blank}${choose(versions, oddVersions)}${end()}`
  const fields: string[] = []
  if (!random.oneIn(2 * oddness)) fields.push(field(random.pick(['Host', 'host']), choose(hosts, oddHosts)))
  if (random.oneIn(3 * oddness)) fields.push(field('Host', random.pick(hosts)))
  for (let i = random.below(4); i > 0; i--) fields.push(field(choose(names, oddNames), choose(values, oddValues)))

  let body = ''
  const framing = random.below(10)
  if (framing < 3) {
    const length = choose(lengths, oddLengths)
    fields.push(field('Content-Length', length))
    const bytes = Number(length) >= 0 && Number(length) < 100 ? Number(length) : 3
    body = 'b'.repeat(Math.max(0, random.oneIn(oddness) ? bytes + random.below(3) - 1 : bytes))
  }
  if (framing === 2 ? random.oneIn(4) : framing >= 3 && framing < 6) {
    fields.push(field('Transfer-Encoding', choose(codings, oddCodings)))
    body = random.oneIn(oddness) ? random.pick(bodies)[1] : chunks(random)
  }
  if (random.oneIn(6 * oddness)) fields.push(field('Content-Length', random.pick(lengths)))
  if (random.oneIn(2)) fields.reverse()
  for (const one of fields) head += one
  return `${head}${end()}${body}`
}

function chunks(random: Random): string {
  let text = ''
  for (let i = random.below(3); i > 0; i--) {
    const size = 1 + random.below(20)
    const extension = random.oneIn(6) ? random.pick([';a', ';a=b', ';a="b"', ' ;a', ';', '; a=b']) : ''
    const digits = random.oneIn(6) ? size.toString(16).toUpperCase().padStart(3, '0') : size.toString(16)
    text += `${digits}${extension}\r\n${'c'.repeat(size)}\r\n`
  }
  const trailer = random.oneIn(6)
    ? random.pick(['X-T: 1\r\n', 'Content-Length: 3\r\n', 'Host: other\r\n', 'X-T : 1\r\n'])
    : ''
  return `${text}0\r\n${trailer}\r\n`
}

/** One to four changes of a few bytes. */
export function bend(random: Random, message: string): string {
  let text = message
  for (let i = 1 + random.below(4); i > 0; i--) {
    const at = random.below(text.length + 1)
    const length = 1 + random.below(random.oneIn(8) ? 40 : 3)
    const rest = text.slice(at + length)
    switch (random.below(6)) {
      case 0: // Another byte.
        text = text.slice(0, at) + String.fromCharCode(random.below(256)) + text.slice(at + 1)
        break
      case 1:
        text = text.slice(0, at) + random.pick(specials) + text.slice(at)
        break
      case 2:
        text = text.slice(0, at) + rest
        break
      case 3: // Twice.
        text = text.slice(0, at + length) + text.slice(at, at + length) + rest
        break
      case 4:
        text = text.slice(0, at) + random.pick(inserts) + text.slice(at)
        break
      default: // In another case.
        text = text.slice(0, at) + swapped(text.slice(at, at + length)) + rest
    }
  }
  return text
}

const swapped = (text: string): string =>
  text.replaceAll(/[A-Za-z]/g, (letter) => (letter < 'a' ? letter.toLowerCase() : letter.toUpperCase()))
