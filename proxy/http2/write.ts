/** Writes heads of HTTP/2, from the parsed form only, so that what was judged is what travels. */

import type { Fields } from '../http1/fields.ts'
import type { Request } from '../http1/request.ts'
import { type FieldChanges, isReplaced, type RequestChanges } from '../http1/write.ts'

/** Names and values by turns, pseudo fields first. */
export type Http2Fields = string[]

/** `te`: we take trailers, whatever the caller does, and gRPC servers want to be told. */
export function http2Request(request: Request, changes: RequestChanges, scheme: 'http' | 'https'): Http2Fields {
  const { path, authority } = changes.target ?? request
  const whole = request.query === undefined ? path : `${path}?${request.query}`
  const list = [':method', request.method, ':scheme', scheme, ':authority', authority, ':path', whole]
  copy(list, request.fields, changes)
  list.push('te', 'trailers')
  return list
}

export function http2Response(status: number, fields: Fields, changes: FieldChanges): Http2Fields {
  const list = [':status', String(status)]
  copy(list, fields, changes)
  return list
}

/** `length`: of the body; where there is none, nothing is said of it. */
export function http2Answer(status: number, headers: Readonly<Record<string, string>>, length: number): Http2Fields {
  const list = [':status', String(status)]
  for (const name in headers) list.push(name.toLowerCase(), headers[name]!)
  if (length > 0) list.push('content-length', String(length))
  return list
}

/** Repeated fields are joined (RFC 9110 section 5.3) but for Set-Cookie, which cannot be. */
function copy(list: Http2Fields, { text, at }: Fields, { set, remove, add }: FieldChanges): void {
  const replaced = [...Object.keys(set), ...remove]
  const first = list.length
  for (let i = 0; i < at.length; i += 4) {
    const from = at[i]!
    const to = at[i + 1]!
    if (isReplaced(text, from, to, replaced)) continue
    put(list, first, text.slice(from, to).toLowerCase(), text.slice(at[i + 2], at[i + 3]))
  }
  for (const name in set) list.push(name, set[name]!)
  if (add) for (const [name, value] of add) put(list, first, name, value)
}

function put(list: Http2Fields, first: number, name: string, value: string): void {
  if (name !== 'set-cookie') {
    for (let i = first; i < list.length; i += 2) {
      if (list[i] !== name) continue
      list[i + 1] += value === '' ? ',' : `, ${value}` // None may end with a blank.
      return
    }
  }
  list.push(name, value)
}
