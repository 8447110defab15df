/** Writes heads: from the parsed form only, so that what was judged is what travels. */

import type { Fields, Framing } from './fields.ts'
import type { Request } from './request.ts'

/** Fields that are set, replacing those of the same name, and fields that are left out. Names are lower case. */
export interface FieldChanges {
  readonly set: Readonly<Record<string, string>>
  readonly remove: readonly string[]
  /** Fields beside those of the same name. Default none. */
  readonly add?: readonly (readonly [string, string])[]
}

/** What goes upstream in place of the request's own. */
export interface RequestChanges extends FieldChanges {
  readonly target?: { readonly authority: string; readonly path: string } | undefined
}

/** The head that goes upstream. A body keeps its kind of framing; `te`, trailers and everything hop-by-hop is gone. */
export function writeRequest(request: Request, changes: RequestChanges): string {
  const { path, authority } = changes.target ?? request
  const whole = request.query === undefined ? path : `${path}?${request.query}`
  let head = `${request.method} ${request.connects ? authority : whole} HTTP/1.1\r\nhost: ${authority}\r\n`
  if (request.framing.kind === 'chunked') head += 'transfer-encoding: chunked\r\n'
  if (request.upgrades) head += 'connection: upgrade\r\n'
  return `${head}${copied(request.fields, changes)}${added(changes.set)}\r\n`
}

/** How a response's body travels to the caller, and whether the connection stays. */
export interface ResponseShape {
  readonly status: number
  readonly framing: Framing
  readonly close: boolean
  /** Whether the connection goes on in another protocol. Default not. */
  readonly upgrades?: boolean
}

/** The head that goes back to the caller. */
export function writeResponse(shape: ResponseShape, fields: Fields, changes: FieldChanges): string {
  let head = `HTTP/1.1 ${shape.status} ${reasonOf(shape.status)}\r\n`
  if (shape.framing.kind === 'chunked') head += 'transfer-encoding: chunked\r\n'
  if (shape.upgrades) head += 'connection: upgrade\r\n'
  else if (shape.close) head += 'connection: close\r\n'
  return `${head}${copied(fields, changes)}${added(changes.set)}${beside(changes.add)}\r\n`
}

const beside = (add: FieldChanges['add']): string =>
  add === undefined ? '' : add.map(([name, value]) => `${name}: ${value}\r\n`).join('')

/** An answer of our own, with a body that is all there. */
export function writeAnswer(
  status: number,
  headers: Readonly<Record<string, string>>,
  length: number,
  close: boolean,
): string {
  const bodiless = status === 204 // RFC 9110 section 8.6.
  const head = `HTTP/1.1 ${status} ${reasonOf(status)}\r\n${bodiless ? '' : `content-length: ${length}\r\n`}`
  return `${head}${close ? 'connection: close\r\n' : ''}${added(headers)}\r\n`
}

/** The lines as they came, in runs that follow each other at once: each was read strictly, so each is one field for every reader. */
function copied({ text, at }: Fields, changes: FieldChanges): string {
  const replaced = [...Object.keys(changes.set), ...changes.remove]
  let lines = ''
  let from = 0
  let to = -1
  for (let i = 0; i < at.length; i += 4) {
    const name = at[i]!
    if (isReplaced(text, name, at[i + 1]!, replaced)) continue
    if (name !== to + 2) {
      if (to >= 0) lines += `${text.slice(from, to)}\r\n`
      from = name
    }
    to = at[i + 3]!
  }
  return to < 0 ? lines : `${lines}${text.slice(from, to)}\r\n`
}

/** An underscore counts as a hyphen here: a server that reads CGI variables would take one name for the other. */
export function isReplaced(text: string, from: number, to: number, replaced: readonly string[]): boolean {
  for (const name of replaced) if (sameName(text, from, to, name)) return true
  return false
}

function sameName(text: string, from: number, to: number, lower: string): boolean {
  if (to - from !== lower.length) return false
  for (let i = 0; i < lower.length; i++) {
    const code = text.charCodeAt(from + i)
    const folded = code >= 65 && code <= 90 ? code + 32 : code === 95 ? 45 : code
    const wanted = lower.charCodeAt(i)
    if (folded !== (wanted === 95 ? 45 : wanted)) return false
  }
  return true
}

function added(headers: Readonly<Record<string, string>>): string {
  let lines = ''
  for (const name in headers) lines += `${name}: ${headers[name]}\r\n`
  return lines
}

const reasons: Readonly<Record<number, string>> = {
  101: 'Switching Protocols',
  200: 'OK',
  201: 'Created',
  202: 'Accepted',
  204: 'No Content',
  206: 'Partial Content',
  301: 'Moved Permanently',
  302: 'Found',
  303: 'See Other',
  304: 'Not Modified',
  307: 'Temporary Redirect',
  308: 'Permanent Redirect',
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  405: 'Method Not Allowed',
  408: 'Request Timeout',
  409: 'Conflict',
  429: 'Too Many Requests',
  431: 'Request Header Fields Too Large',
  500: 'Internal Server Error',
  501: 'Not Implemented',
  502: 'Bad Gateway',
  503: 'Service Unavailable',
  504: 'Gateway Timeout',
}

/** Reason phrases mean nothing (RFC 9112 section 4); these are for people who read along. */
export const reasonOf = (status: number): string => reasons[status] ?? ''
