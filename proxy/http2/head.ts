/**
 * Reads heads of HTTP/2 (RFC 9113 section 8) into the same form as those of HTTP/1.1: lines of text and where each field
 * stands in them. So whatever routes, judges, records or forwards sees no difference between the two.
 */

import type { HeadFault } from '../../core/facts.ts'
import { normalisePath, queryFault } from '../flow/normalise.ts'
import {
  contentLength,
  type Fields,
  type FieldsFault,
  type Framing,
  isFieldValue,
  isToken,
  noBody,
  type Special,
  special,
} from '../http1/fields.ts'
import { connectFault, maxMethod, Request, readAuthority } from '../http1/request.ts'
import type { Response, ResponseFault } from '../http1/response.ts'
import type { Limits } from '../limits.ts'

/** Names and values by turns, as they came. */
export type RawFields = readonly string[]

type HeadLimits = Pick<Limits, 'headFields' | 'headBytes'>

const bad = (detail: string): HeadFault => ({ code: 'bad_request', detail })

/** `endsHere`: the stream ended with the head, so no body follows. */
export function readHttp2Request(
  raw: RawFields,
  endsHere: boolean,
  scheme: 'http' | 'https',
  limits: HeadLimits,
  secret?: readonly string[],
): Request | HeadFault {
  const pseudo = readPseudo(raw, requestPseudo)
  if ('code' in pseudo) return pseudo
  const { ':method': asked, ':path': target, ':authority': named, ':protocol': protocol } = pseudo.values
  if (asked === undefined || !isMethod(asked)) return bad('a method that is not a token in upper case')
  if (asked === 'TRACE') return { code: 'method_unsupported', detail: 'TRACE is not served' }
  if (protocol === undefined && asked === 'CONNECT') return readConnect(raw, pseudo, scheme, limits)
  if (protocol !== undefined) {
    if (asked !== 'CONNECT') return bad('a :protocol of another method than CONNECT')
    if (protocol !== 'websocket') {
      return { code: 'method_unsupported', detail: 'no other protocol than WebSocket is served' }
    }
  }
  const method = protocol === undefined ? asked : 'GET' // One form of a message: as HTTP/1.1 asks for it.
  if (target === undefined) return bad('no :path')
  if (pseudo.values[':scheme'] !== scheme) return bad('a :scheme of another kind than the connection')
  const fields = readFields(raw, pseudo.end, limits, protocol)
  if ('code' in fields) return fields
  const authority = authorityOf(named, fields.host)
  if (authority === undefined) return bad('an :authority that names no host, or another one than Host')
  const place = readTarget(target, method)
  if ('code' in place) return place
  if (fields.expect !== undefined && fields.expect !== '100-continue') return bad('an expectation that nobody knows')
  const line = { method, protocol: 'HTTP/2', ...place } as const
  if (protocol !== undefined) {
    return fields.framing ? bad('an upgrade with a body') : new Request(line, authority, scheme, fields)
  }
  const framing = endsHere ? emptyBody(fields.framing) : (fields.framing ?? chunkedBody)
  if (!framing) return bad('a Content-Length without a body')
  return new Request(line, authority, scheme, { ...fields, framing, secret })
}

/** RFC 9113 section 8.5: nothing but a host and port, and what follows is the tunnel's. */
function readConnect(
  raw: RawFields,
  { values, end }: Pseudo,
  scheme: 'http' | 'https',
  limits: HeadLimits,
): Request | HeadFault {
  const target = values[':authority'] ?? ''
  if (values[':path'] !== undefined || values[':scheme'] !== undefined)
    return bad('a CONNECT with a :path or a :scheme')
  const fields = readFields(raw, end, limits)
  if ('code' in fields) return fields
  const wrong = connectFault(target, fields)
  if (wrong) return wrong
  const line = { method: 'CONNECT', protocol: 'HTTP/2', path: '/', query: undefined } as const
  return new Request(line, readAuthority(target)!, scheme, fields)
}

/** The final response of an upstream, or an interim one. */
export function readHttp2Response(
  raw: RawFields,
  endsHere: boolean,
  method: string,
  limits: HeadLimits,
  secret?: readonly string[],
): Response | ResponseFault {
  const pseudo = readPseudo(raw, responsePseudo)
  if ('code' in pseudo) return { wrong: pseudo.detail }
  const status = pseudo.values[':status']
  if (status === undefined || !/^[1-9][0-9]{2}$/.test(status)) return { wrong: 'a bad :status' }
  const fields = readFields(raw, pseudo.end, limits)
  if ('code' in fields) return { wrong: fields.detail }
  const code = Number(status)
  if (code === 101) return { wrong: 'a 101, which HTTP/2 does not know' }
  const bodiless = method === 'HEAD' || code < 200 || code === 204 || code === 304
  const framing = bodiless ? noBody : endsHere ? emptyBody(fields.framing) : (fields.framing ?? chunkedBody)
  if (!framing) return { wrong: 'a Content-Length without a body' }
  return { status: code, fields: secret ? { ...fields, secret } : fields, framing, keepAlive: true }
}

const chunkedBody: Framing = { kind: 'chunked' }

/** A stream that ended with its head has no body, and may say so. */
const emptyBody = (framing: Framing | undefined): Framing | undefined =>
  framing === undefined ? noBody : framing.kind === 'length' && framing.length === 0 ? framing : undefined

function isMethod(method: string): boolean {
  if (method === '' || method.length > maxMethod) return false
  for (let i = 0; i < method.length; i++) {
    const code = method.charCodeAt(i)
    if (!isToken(code) || (code >= 97 && code <= 122)) return false
  }
  return true
}

/** One of the two is enough; both must be the same (RFC 9113 section 8.3.1). */
function authorityOf(named: string | undefined, host: string | undefined): string | undefined {
  const authority = readAuthority(named ?? host ?? '')
  if (authority === undefined || authority === '') return undefined
  return named === undefined || host === undefined || readAuthority(host) === authority ? authority : undefined
}

function readTarget(
  target: string,
  method: string,
): { readonly path: string; readonly query: string | undefined } | HeadFault {
  if (target === '*')
    return method === 'OPTIONS' ? { path: '*', query: undefined } : bad('the :path * of another method')
  const cut = target.indexOf('?')
  const normal = normalisePath(cut < 0 ? target : target.slice(0, cut))
  if ('wrong' in normal) return bad(normal.wrong)
  const query = cut < 0 ? undefined : target.slice(cut + 1)
  const wrong = query === undefined ? undefined : queryFault(query)
  return wrong === undefined ? { path: normal.path, query } : bad(wrong)
}

const requestPseudo: readonly string[] = [':method', ':scheme', ':authority', ':path', ':protocol']
const responsePseudo: readonly string[] = [':status']

interface Pseudo {
  readonly values: Readonly<Record<string, string | undefined>>
  /** Index of the first field that is none. */
  readonly end: number
}

/** They stand first, each once, and no others (RFC 9113 section 8.3). */
function readPseudo(raw: RawFields, known: readonly string[]): Pseudo | HeadFault {
  const values: Record<string, string> = {}
  let i = 0
  for (; i < raw.length && raw[i]!.charCodeAt(0) === 58; i += 2) {
    const name = raw[i]!
    if (!known.includes(name)) return bad('a pseudo field that nobody knows')
    if (values[name] !== undefined) return bad(`more than one ${name}`)
    values[name] = raw[i + 1]!
  }
  return { values, end: i }
}

/** As `readFields` of HTTP/1.1, with the rules of RFC 9113 section 8.2 on top. `upgrade`: what the stream is to go on in. */
function readFields(raw: RawFields, from: number, limits: HeadLimits, upgrade?: string): Fields | FieldsFault {
  let bytes = 0
  for (let i = 0; i < raw.length; i++) bytes += raw[i]!.length + 2
  if (bytes > limits.headBytes) return tooLarge(`a head of more than ${limits.headBytes} bytes`)
  if ((raw.length - from) / 2 > limits.headFields) return tooLarge(`more than ${limits.headFields} fields`)

  const at: number[] = []
  let text = ''
  let cookie = ''
  let framing: Framing | undefined
  let host: string | undefined
  let expect: string | undefined
  const add = (name: string, value: string): void => {
    const start = text.length
    text += `${name}: ${value}\r\n`
    at.push(start, start + name.length, start + name.length + 2, text.length - 2)
  }
  for (let i = from; i < raw.length; i += 2) {
    const name = raw[i]!
    const value = raw[i + 1]!
    const kind = kindOf(name)
    if (kind === 'invalid') return bad400('a field name that is not a token in lower case')
    if (!isFieldValue(value) || isPadded(value)) return bad400('a field value that may not stand in a field')
    if (kind === 'connection') return bad400('a field that belongs to connections of HTTP/1.1')
    if (name === 'te' && value !== 'trailers') return bad400('a TE other than trailers')
    // Crumbs of one field (RFC 9113 section 8.2.3). An empty one would leave a blank at the end of it.
    if (name === 'cookie') cookie += cookie === '' || value === '' ? value : `; ${value}`
    else {
      switch (kind) {
        case 'other':
          add(name, value)
          break
        case 'dropped':
          break
        case 'host':
          if (host !== undefined) return bad400('more than one Host')
          host = value
          break
        case 'content-length': {
          if (framing) return bad400('more than one Content-Length')
          const length = contentLength(value, 0, value.length)
          if (length < 0) return bad400('a Content-Length that is not one plain number')
          framing = { kind: 'length', length }
          add(name, value)
          break
        }
        case 'expect':
          if (expect !== undefined) return bad400('more than one Expect')
          expect = value.toLowerCase()
          break
        default:
          return bad400('a field that belongs to connections of HTTP/1.1')
      }
    }
  }
  if (cookie !== '') add('cookie', cookie)
  if (upgrade !== undefined) add('upgrade', upgrade)
  return { text: `${text}\r\n`, at, framing, host, connection: none, expect, upgrade }
}

const none: readonly string[] = []
const tooLarge = (detail: string): FieldsFault => ({ code: 'head_too_large', detail })
const bad400 = (detail: string): FieldsFault => ({ code: 'bad_request', detail })

type Kind = Special | 'invalid'

/** Names that came before, as far as they are few: what is said of a name costs its characters once. */
const kinds = new Map<string, Kind>()
const mostKinds = 256
const longestKind = 40

function kindOf(name: string): Kind {
  const known = kinds.get(name)
  if (known !== undefined) return known
  const kind = !isLowerToken(name) ? 'invalid' : isOfConnection(name) ? 'connection' : special(name)
  if (kinds.size < mostKinds && name.length <= longestKind) kinds.set(name, kind)
  return kind
}

/** RFC 9113 section 8.2.2. */
const isOfConnection = (name: string): boolean =>
  name === 'connection' ||
  name === 'keep-alive' ||
  name === 'proxy-connection' ||
  name === 'transfer-encoding' ||
  name === 'upgrade'

export function isLowerToken(name: string): boolean {
  for (let i = 0; i < name.length; i++) {
    const code = name.charCodeAt(i)
    if (code > 255 || !isToken(code) || (code >= 65 && code <= 90)) return false
  }
  return name !== ''
}

/** RFC 9113 section 8.2.1: neither begins nor ends with a blank. */
function isPadded(value: string): boolean {
  const first = value.charCodeAt(0)
  const last = value.charCodeAt(value.length - 1)
  return first === 32 || first === 9 || last === 32 || last === 9
}
