/**
 * `multipart/form-data` (RFC 7578), read so strictly that no two readers find different parts: lines end with CRLF, nothing
 * stands before the first boundary or after the last, and each part says its name once, without escapes.
 */

import { type Exact, readExact } from '../../../core/exact.ts'
import { byteText } from '../../http1/scan.ts'
import { add } from './form.ts'
import { isUtf8, readMediaType, readParameters } from './media.ts'

export type MultipartRead = { readonly values: Readonly<Record<string, readonly Exact[]>> } | { readonly wrong: string }

/** RFC 2046 section 5.1.1, without the space that nobody uses. */
const boundaryShape = /^[0-9A-Za-z'()+_,\-./:=?]{1,70}$/

export function readMultipart(bytes: Uint8Array, boundary: string | undefined): MultipartRead {
  if (boundary === undefined || !boundaryShape.test(boundary)) return { wrong: 'a multipart body without a boundary' }
  const text = byteText(bytes, 0, bytes.length)
  const values: Record<string, Exact[]> = Object.create(null)
  const delimiter = `\r\n--${boundary}`
  let at = delimiter.length - 2
  if (text.slice(0, at) !== delimiter.slice(2))
    return { wrong: 'a multipart body that does not begin with its boundary' }
  while (!text.startsWith('--', at)) {
    if (!text.startsWith('\r\n', at)) return { wrong: 'a multipart boundary that does not end its line' }
    const from = at + 2
    const to = text.indexOf(delimiter, from - 2) // A part without head and content would begin and end with one CRLF.
    if (to < from) return { wrong: 'a multipart body without its last boundary' }
    const part = readPart(text, from, to, bytes)
    if ('wrong' in part) return part
    // A reader that ends lines with a bare LF, or looks for boundaries anywhere, would end the part there.
    if (text.slice(from, to).includes(`--${boundary}`)) return { wrong: 'a multipart part with a boundary in it' }
    add(values, part.name, part.value)
    at = to + delimiter.length
  }
  const rest = text.slice(at + 2)
  return rest === '' || rest === '\r\n'
    ? { values }
    : { wrong: 'a multipart body that goes on after its last boundary' }
}

type Part = { readonly name: string; readonly value: Exact } | { readonly wrong: string }

function readPart(text: string, from: number, to: number, bytes: Uint8Array): Part {
  const end = text.indexOf('\r\n\r\n', from)
  if (end < 0 || end + 4 > to) return { wrong: 'a multipart part without a head' }
  const head = readHead(text.slice(from, end))
  if ('wrong' in head) return head
  const content = bytes.subarray(end + 4, to)
  const value = decode(content, head.isFile)
  if (value === undefined) return { wrong: 'a multipart field that is not UTF-8' }
  if (!head.isJson) return { name: head.name, value }
  const read = readExact(value)
  return read.ok ? { name: head.name, value: read.value } : read
}

interface Head {
  readonly name: string
  readonly isFile: boolean
  readonly isJson: boolean
}

function readHead(text: string): Head | { readonly wrong: string } {
  const fields = new Map<string, string>()
  for (const line of text.split('\r\n')) {
    const found = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t\x20-\x7e\x80-\xff]*)$/.exec(line)
    if (!found) return { wrong: 'a multipart part with a line that is no field' }
    const name = found[1]!.toLowerCase()
    if (fields.has(name)) return { wrong: `a multipart part with more than one ${name}` }
    fields.set(name, found[2]!)
  }
  const encoding = fields.get('content-transfer-encoding')?.toLowerCase().trim() ?? 'binary'
  if (!['7bit', '8bit', 'binary'].includes(encoding)) return { wrong: 'a multipart part in an encoding of its own' }
  const type = fields.get('content-type')
  const media = type === undefined ? undefined : readMediaType(type)
  if (type !== undefined && !media) return { wrong: 'a multipart part whose Content-Type is no media type' }
  if (media && !isUtf8(media)) return { wrong: 'a multipart part in another charset than UTF-8' }
  const named = readDisposition(fields.get('content-disposition') ?? '')
  return 'wrong' in named ? named : { ...named, isJson: media?.type === 'application/json' }
}

function readDisposition(text: string): Pick<Head, 'name' | 'isFile'> | { readonly wrong: string } {
  const kind = /^form-data[ \t]*(?=;)/i.exec(text)
  const parameters = kind ? readParameters(text, kind[0].length) : undefined
  const name = parameters?.get('name')
  if (!parameters || name === undefined || name === '' || parameters.has('name*')) {
    return { wrong: 'a multipart part that does not say its name once' }
  }
  // Browsers write a quote or a line end so, and some readers turn them back.
  if (/%(?:22|0a|0d)/i.test(name)) return { wrong: 'a multipart part with an escape in its name' }
  const read = decode(
    Uint8Array.from(name, (character) => character.charCodeAt(0)),
    false,
  )
  if (read === undefined) return { wrong: 'a multipart part whose name is not UTF-8' }
  return { name: read, isFile: parameters.has('filename') || parameters.has('filename*') }
}

const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
const lenient = new TextDecoder('utf-8', { ignoreBOM: true })

/** A file may hold anything; what is no UTF-8 in it is replaced, as in JSON of Go. */
function decode(bytes: Uint8Array, isFile: boolean): string | undefined {
  if (isFile) return lenient.decode(bytes)
  try {
    return strict.decode(bytes)
  } catch {
    return undefined
  }
}
