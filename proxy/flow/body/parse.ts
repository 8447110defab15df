/**
 * What a policy sees of the bytes of a body: OPA-Envoy's `parsed_body`, or why a request with such a body is refused
 * unjudged. What is read here in one way and elsewhere in another is refused: the policy would judge something else than
 * what the service does.
 */

import { toBase64 } from '../../../core/bytes.ts'
import { type Exact, readExact } from '../../../core/exact.ts'
import type { RequestBody, RequestHead } from '../../../core/facts.ts'
import { fieldOf } from '../../exchange.ts'
import { readForm } from './form.ts'
import { isUtf8, type MediaType, readMediaType } from './media.ts'
import { readMultipart } from './multipart.ts'

export interface BodyBytes {
  readonly bytes: Uint8Array
  /** Whether more of the body was left unread. */
  readonly truncated: boolean
  /** Length of the whole body in bytes, -1 where it is not known. */
  readonly size: number
}

export interface BodyWrong {
  readonly wrong: string
}

/** Never throws. */
export function parseBody(head: RequestHead, read: BodyBytes): RequestBody | BodyWrong {
  const { bytes, truncated, size } = read
  const text = textOf(bytes, truncated)
  const seen = text === undefined ? { text, raw: toBase64(bytes), truncated, size } : { text, truncated, size }
  const type = fieldOf(head, 'content-type')
  if (bytes.length === 0 || type === undefined) return { parsed: null, ...seen }
  const media = readMediaType(type)
  if (!media) return { wrong: 'a Content-Type that is no media type' }
  const format = formatOf(media)
  if (format === 'other') return { parsed: null, ...seen }
  const wrong = undecodable(head, media)
  if (wrong !== undefined) return { wrong }
  if (truncated) return { parsed: null, ...seen }
  const parsed = parseAs(format, media, text, bytes)
  return 'wrong' in parsed ? parsed : { parsed: parsed.value, ...seen }
}

type Format = 'json' | 'form' | 'multipart' | 'other'

function formatOf({ type }: MediaType): Format {
  if (type === 'application/json' || type.endsWith('+json')) return 'json'
  if (type === 'application/x-www-form-urlencoded') return 'form'
  return type === 'multipart/form-data' ? 'multipart' : 'other'
}

/** Whoever decodes such a body reads another one than we do. */
function undecodable(head: RequestHead, media: MediaType): string | undefined {
  const encoding = fieldOf(head, 'content-encoding')?.toLowerCase() ?? 'identity'
  if (encoding !== 'identity' && encoding !== '') return 'a body in a Content-Encoding, which cannot be judged'
  return isUtf8(media) ? undefined : 'a body in another charset than UTF-8'
}

type Parsed = { readonly value: Exact } | BodyWrong

function parseAs(format: Format, media: MediaType, text: string | undefined, bytes: Uint8Array): Parsed {
  if (format === 'multipart') {
    const read = readMultipart(bytes, media.parameters.get('boundary'))
    return 'wrong' in read ? read : { value: read.values }
  }
  if (text === undefined) return { wrong: 'a body that is not UTF-8' }
  if (format === 'json') return readExact(text)
  const read = readForm(text)
  return 'wrong' in read ? read : { value: read.values }
}

/** Undefined where it is not UTF-8. Where it was cut off, half a character at its end is left out. */
function textOf(bytes: Uint8Array, truncated: boolean): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes, { stream: truncated })
  } catch {
    return undefined
  }
}
