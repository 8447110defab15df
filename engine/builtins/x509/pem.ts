/** PEM blocks (RFC 7468) in text, as leniently as Go finds them. */

import { decodeBase64 } from '../base64.ts'

export interface PemBlock {
  /** `CERTIFICATE`, `PRIVATE KEY` and so on. */
  readonly type: string
  readonly bytes: Uint8Array
}

export interface PemFound {
  readonly block: PemBlock
  /** What comes after the block's last line. */
  readonly rest: string
}

const endMark = '\n-----END '
const beginMark = '-----BEGIN '

export const looksLikePem = (text: string): boolean => text.startsWith('-----BEGIN')

/** The first whole block; what is not one is passed over. */
export function nextPem(text: string): PemFound | undefined {
  for (let from = 0; ; ) {
    const end = text.indexOf(endMark, from)
    if (end < 0) return undefined
    const begin = text.lastIndexOf(beginMark, end)
    const found = begin >= from && (begin === 0 || text[begin - 1] === '\n') ? readBlock(text, begin, end) : undefined
    if (found) return found
    from = end + endMark.length
  }
}

/** The block whose first line begins at `begin` and whose last one follows the line end at `end`. */
function readBlock(text: string, begin: number, end: number): PemFound | undefined {
  const head = /^-----BEGIN (.*)-----[ \t]*\r?$/.exec(text.slice(begin, lineEnd(text, begin)))
  const tailEnd = lineEnd(text, end + 1)
  const tail = text.slice(end + 1, tailEnd).trimEnd()
  const type = head?.[1]
  if (type === undefined || tail !== `-----END ${type}-----`) return undefined
  const bytes = decodeBase64(withoutHeaders(text.slice(lineEnd(text, begin) + 1, end)).replace(/[ \t]/g, ''))
  return bytes && { block: { type, bytes }, rest: text.slice(tailEnd + 1) }
}

/** `Name: value` lines, as encrypted keys of old have them (RFC 1421 section 4.6). */
function withoutHeaders(body: string): string {
  const lines = body.split('\n')
  const first = lines.findIndex((line) => !line.includes(':'))
  return first < 0 ? '' : lines.slice(first).join('\n')
}

function lineEnd(text: string, from: number): number {
  const at = text.indexOf('\n', from)
  return at < 0 ? text.length : at
}
