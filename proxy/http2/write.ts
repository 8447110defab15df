/** Writes heads of HTTP/2, from the parsed form only, so that what was judged is what travels. */

import type { Fields } from '../http1/fields.ts'
import type { Request } from '../http1/request.ts'
import type { FieldChanges, RequestChanges } from '../http1/write.ts'

/** Fields by name, as node:http2 takes them. */
export type Http2Fields = { [name: string]: string | string[] }

/** `trailers`: whether the caller takes them, which gRPC servers want to be told. */
export function http2Request(request: Request, changes: RequestChanges, scheme: 'http' | 'https'): Http2Fields {
  const head: Http2Fields = Object.create(null)
  head[':method'] = request.method
  head[':scheme'] = scheme
  const { path, authority } = changes.target ?? request
  head[':authority'] = authority
  head[':path'] = request.query === undefined ? path : `${path}?${request.query}`
  copy(head, request.fields, changes)
  head['te'] = 'trailers' // We take them, whatever the caller does.
  return head
}

export function http2Response(status: number, fields: Fields, changes: FieldChanges): Http2Fields {
  const head: Http2Fields = Object.create(null)
  head[':status'] = String(status)
  copy(head, fields, changes)
  return head
}

export function http2Answer(status: number, headers: Readonly<Record<string, string>>, length: number): Http2Fields {
  return Object.assign(Object.create(null) as Http2Fields, {
    ':status': String(status),
    ...headers,
    'content-length': String(length),
  })
}

/** Repeated fields are joined (RFC 9110 section 5.3) but for Set-Cookie, which cannot be. */
function copy(head: Http2Fields, { text, at }: Fields, { set, remove, add }: FieldChanges): void {
  const replaced = [...Object.keys(set), ...remove].map(asHyphens)
  for (let i = 0; i < at.length; i += 4) {
    const name = text.slice(at[i], at[i + 1]).toLowerCase()
    if (replaced.includes(asHyphens(name))) continue
    put(head, name, text.slice(at[i + 2], at[i + 3]))
  }
  for (const name in set) head[name] = set[name]!
  for (const [name, value] of add ?? []) put(head, name, value)
}

function put(head: Http2Fields, name: string, value: string): void {
  const before = head[name]
  if (name === 'set-cookie') head[name] = before === undefined ? [value] : [...[before].flat(), value]
  else if (before === undefined) head[name] = value
  else head[name] = value === '' ? `${before},` : `${before}, ${value}` // None may end with a blank.
}

/** An underscore counts as a hyphen here: a server that reads CGI variables would take one name for the other. */
const asHyphens = (name: string): string => name.replaceAll('_', '-')
