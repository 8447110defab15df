/**
 * Chunked bodies that cannot be read, each with its name and the paragraph that it breaks, as `<RFC> <section>`. Their
 * heads are good and have been let through: the caller gets 400, the outcome is `refused`, and the upstream, which may have
 * had the first of it, never sees an end.
 */

import type { BadHead } from './heads.ts'

const field = (text: string): string => `3\r\nabc\r\n0\r\n${text}\r\n\r\n`

export const bodies: readonly BadHead[] = [
  ['no size', '\r\nabc\r\n0\r\n\r\n', '9112 7.1'],
  ['a size that is no number', 'xyz\r\nabc\r\n0\r\n\r\n', '9112 7.1'],
  ['a size with 0x', '0x3\r\nabc\r\n0\r\n\r\n', '9112 7.1'],
  ['a signed size', '+3\r\nabc\r\n0\r\n\r\n', '9112 7.1'],
  ['a negative size', '-3\r\nabc\r\n0\r\n\r\n', '9112 7.1'],
  ['a size with a blank before', ' 3\r\nabc\r\n0\r\n\r\n', '9112 7.1'],
  ['a size with a blank behind', '3 \r\nabc\r\n0\r\n\r\n', '9112 7.1'],
  ['a size with a tab behind', '3\t\r\nabc\r\n0\r\n\r\n', '9112 7.1'],
  ['a size with an underscore', '1_0\r\n0123456789abcdef\r\n0\r\n\r\n', '9112 7.1'],
  ['a size with a point', '3.0\r\nabc\r\n0\r\n\r\n', '9112 7.1'],
  ['a size of thirteen digits', '0000000000003\r\nabc\r\n0\r\n\r\n', '9112 7.1'],
  ['a size of 2^64', '10000000000000000\r\nabc\r\n0\r\n\r\n', '9112 7.1'],
  ['a size of 2^64 + 3', '10000000000000003\r\nabc\r\n0\r\n\r\n', '9112 7.1'],
  ['a size beyond ASCII', '\xb3\r\nabc\r\n0\r\n\r\n', '9112 7.1'],
  ['a NUL in a size', '3\0\r\nabc\r\n0\r\n\r\n', '9112 7.1'],
  ['a bare LF after a size', '3\nabc\r\n0\r\n\r\n', '9112 2.2'],
  ['a bare CR after a size', '3\rabc\r\n0\r\n\r\n', '9112 2.2'],
  ['CR CR LF after a size', '3\r\r\nabc\r\n0\r\n\r\n', '9112 2.2'],
  ['a chunk longer than its size', '2\r\nabc\r\n0\r\n\r\n', '9112 7.1'],
  ['a chunk shorter than its size', '4\r\nabc\r\n0\r\n\r\n', '9112 7.1'],
  ['a chunk without its line end', '3\r\nabc0\r\n\r\n', '9112 7.1'],
  ['a bare LF after a chunk', '3\r\nabc\n0\r\n\r\n', '9112 2.2'],
  ['a bare CR after a chunk', '3\r\nabc\r0\r\n\r\n', '9112 2.2'],
  ['a blank line between chunks', '3\r\nabc\r\n\r\n0\r\n\r\n', '9112 7.1'],
  ['a bare LF in an extension', '3;a=b\nabc\r\n0\r\n\r\n', '9112 7.1.1'],
  ['a bare CR in an extension', '3;a\rb\r\nabc\r\n0\r\n\r\n', '9112 7.1.1'],
  ['a NUL in an extension', '3;a=\0\r\nabc\r\n0\r\n\r\n', '9112 7.1.1'],
  ['a DEL in an extension', '3;a=\x7f\r\nabc\r\n0\r\n\r\n', '9112 7.1.1'],
  ['an extension without end', `3;${'a'.repeat(300)}\r\nabc\r\n0\r\n\r\n`, '9112 7.1.1'],
  ['a bare LF after the last size', '3\r\nabc\r\n0\n\r\n', '9112 2.2'],
  ['a bare LF as the last line', '3\r\nabc\r\n0\r\n\n', '9112 2.2'],
  ['a bare CR as the last line', '3\r\nabc\r\n0\r\n\rX', '9112 2.2'],
  ['a trailer without a colon', field('X-A'), '9112 7.1.2'],
  ['a trailer without a name', field(': 1'), '9112 7.1.2'],
  ['a trailer with a blank before its colon', field('X-A : 1'), '9112 5.1'],
  ['a folded trailer', field('X-A: 1\r\n 2'), '9112 5.2'],
  ['a trailer with a NUL', field('X-A: a\0b'), '9110 5.5'],
  ['a trailer with a bare LF', field('X-A: a\nb'), '9112 2.2'],
  ['a trailer with a bare CR', field('X-A: a\rb'), '9112 2.2'],
  ['a trailer whose name is no token', field('X(A): 1'), '9110 5.1'],
  ['trailers without end', field(`X-A: ${'a'.repeat(9000)}`), '9112 7.1.2'],
]
