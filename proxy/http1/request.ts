/** Reads a request head by the letter of RFC 9112; where two readers could differ, it is refused. */

import type { HeadFault, RequestHead } from '../../core/facts.ts'
import { normalisePath, queryFault } from '../flow/normalise.ts'
import type { Limits } from '../limits.ts'
import { eachField, type Fields, type Framing, fieldMap, fieldValue, isToken, noBody, readFields } from './fields.ts'

/** A request head and what its connection has to know. `headers` is built when somebody asks for it. */
export class Request implements RequestHead {
  readonly method: string
  readonly authority: string
  readonly path: string
  readonly query: string | undefined
  readonly protocol: RequestHead['protocol']
  readonly scheme: 'http' | 'https'
  readonly fields: Fields
  readonly framing: Framing
  #headers: Readonly<Record<string, string>> | undefined

  constructor(
    line: Pick<RequestHead, 'method' | 'path' | 'query' | 'protocol'>,
    authority: string,
    scheme: 'http' | 'https',
    fields: Fields,
  ) {
    this.method = line.method
    this.authority = authority
    this.path = line.path
    this.query = line.query
    this.protocol = line.protocol
    this.scheme = scheme
    this.fields = fields
    this.framing = fields.framing ?? noBody
  }

  get headers(): Readonly<Record<string, string>> {
    return (this.#headers ??= fieldMap(this.fields))
  }

  field(name: string): string | undefined {
    return this.#headers ? this.#headers[name] : fieldValue(this.fields, name)
  }

  /** Each field, without building `headers`; false, and nothing given, where that takes a map. */
  eachField(visit: (name: string, value: string) => void): boolean {
    return eachField(this.fields, visit)
  }

  /** Whether the caller wants to use its connection again (RFC 9112 section 9.3). HTTP/1.0 callers never do here. */
  get keepAlive(): boolean {
    return this.protocol === 'HTTP/1.1' && !this.fields.connection.includes('close')
  }

  /** Whether the caller waits for a 100 before it sends its body (RFC 9110 section 10.1.1). */
  get expectsContinue(): boolean {
    return this.fields.expect !== undefined && this.protocol !== 'HTTP/1.0' && this.framing.kind !== 'none'
  }

  /** Whether the caller asks for a tunnel to a host and port (RFC 9110 section 9.3.6). */
  get connects(): boolean {
    return this.method === 'CONNECT'
  }

  /** Whether the caller asks to go on in WebSocket (RFC 6455 section 4.1); no other upgrade is ever read. */
  get upgrades(): boolean {
    return this.fields.upgrade !== undefined
  }

  /** Whether the caller asks for a tunnel, in either way. */
  get tunnels(): boolean {
    return this.connects || this.upgrades
  }
}

/** RFC 9110 section 9.3.6: `host:port`, and nothing that could be taken for the tunnel's own. */
export function connectFault(
  target: string,
  { host, framing }: Pick<Fields, 'host' | 'framing'>,
): HeadFault | undefined {
  if (!/:\d+$/.test(target) || readAuthority(target) === undefined)
    return bad('a target of CONNECT that is no host and port')
  if (host !== undefined && readAuthority(host) !== readAuthority(target)) {
    return bad('a Host that is not the host of the target')
  }
  return framing === undefined ? undefined : bad('a CONNECT with a body')
}

interface RequestLine {
  readonly method: string
  readonly path: string
  readonly query: string | undefined
  readonly protocol: 'HTTP/1.1' | 'HTTP/1.0'
  /** From a target in absolute form. */
  readonly absolute: { readonly scheme: string; readonly authority: string } | undefined
  /** Target of CONNECT, in authority form. */
  readonly connect?: string
  /** Where the fields begin. */
  readonly end: number
}

/** Longest method, in bytes: the longest registered one has 17. */
export const maxMethod = 32

const bad = (detail: string): HeadFault => ({ code: 'bad_request', detail })

/** Reads a whole head: text from the request line to the blank line, one character for each byte. */
export function readRequest(
  text: string,
  scheme: 'http' | 'https',
  limits: Pick<Limits, 'headFields'>,
): Request | HeadFault {
  const line = readLine(text)
  if ('code' in line) return line
  const fields = readFields(text, line.end, limits.headFields)
  if ('code' in fields) return fields
  const http10 = line.protocol === 'HTTP/1.0'
  if (fields.host === undefined && !http10) return bad('no Host')
  if (line.connect !== undefined) {
    const wrong = connectFault(line.connect, fields)
    if (wrong) return wrong
  }
  const authority = readAuthority(line.connect ?? fields.host ?? '')
  if (authority === undefined || (authority === '' && !http10)) return bad('a Host that names no host')
  if (line.absolute) {
    if (line.absolute.scheme !== scheme) return bad('a target of another scheme than the connection')
    const target = readAuthority(line.absolute.authority)
    if (target === undefined || target === '') return bad('a target that names no host')
    if (target !== authority) return bad('a Host that is not the host of the target')
  }
  if (http10 && fields.framing?.kind === 'chunked') return bad('Transfer-Encoding in HTTP/1.0')
  if (line.method === 'TRACE') return { code: 'method_unsupported', detail: 'TRACE is not served' }
  if (fields.upgrade !== undefined) {
    const wrong = upgradeFault(line, fields)
    if (wrong) return wrong
  }
  if (fields.expect !== undefined && fields.expect !== '100-continue') return bad('an expectation that nobody knows')
  return new Request(line, authority, scheme, fields)
}

/** RFC 6455 section 4.1. What follows the answer is the other protocol's, so nothing may stand where a body could. */
function upgradeFault({ method, protocol }: RequestLine, { upgrade, framing }: Fields): HeadFault | undefined {
  if (upgrade !== 'websocket')
    return { code: 'method_unsupported', detail: 'no other upgrade than WebSocket is served' }
  if (protocol !== 'HTTP/1.1' || method !== 'GET') return bad('an upgrade of another method or version')
  return framing === undefined ? undefined : bad('an upgrade with a body')
}

/** RFC 9112 section 3: exactly one space between method, target and version. */
function readLine(text: string): RequestLine | HeadFault {
  let i = 0
  while (isToken(text.charCodeAt(i))) {
    const code = text.charCodeAt(i)
    if (code >= 97 && code <= 122) return bad('a method in lower case')
    i++
  }
  if (i === 0 || text.charCodeAt(i) !== 32) return bad('a method that is not a token')
  if (i > maxMethod) return bad('a method longer than any')
  const method = text.slice(0, i)
  const from = i + 1
  const to = text.indexOf('\r', from)
  const space = text.indexOf(' ', from)
  if (space < 0 || space > to) return bad('a request line without a version')
  const version = text.slice(space + 1, to)
  if (version !== 'HTTP/1.1' && version !== 'HTTP/1.0') return bad('a version that is neither HTTP/1.1 nor HTTP/1.0')
  const target = text.slice(from, space)
  const rest = { method, protocol: version, end: to + 2 } as const
  if (method === 'CONNECT') return { ...rest, path: '/', query: undefined, absolute: undefined, connect: target }
  if (target === '*') {
    if (method !== 'OPTIONS') return bad('the target * of another method than OPTIONS')
    return { ...rest, path: '*', query: undefined, absolute: undefined }
  }
  if (target.charCodeAt(0) === 47) return splitTarget(target, undefined, rest)

  const absolute = /^(https?):\/\/([^/?#]*)(.*)$/i.exec(target)
  if (!absolute) return bad('a target that is neither a path nor a URL')
  const path = absolute[3]!
  return splitTarget(
    path.startsWith('/') ? path : `/${path}`,
    { scheme: absolute[1]!.toLowerCase(), authority: absolute[2]! },
    rest,
  )
}

function splitTarget(
  target: string,
  absolute: RequestLine['absolute'],
  rest: Pick<RequestLine, 'method' | 'protocol' | 'end'>,
): RequestLine | HeadFault {
  const cut = target.indexOf('?')
  const normal = normalisePath(cut < 0 ? target : target.slice(0, cut))
  if ('wrong' in normal) return bad(normal.wrong)
  const query = cut < 0 ? undefined : target.slice(cut + 1)
  const wrong = query === undefined ? undefined : queryFault(query)
  if (wrong !== undefined) return bad(wrong)
  return { method: rest.method, protocol: rest.protocol, end: rest.end, path: normal.path, query, absolute }
}

/** Host and port of RFC 3986 section 3.2, lower case, without user information; undefined for anything else. */
export function readAuthority(text: string): string | undefined {
  if (text === '') return ''
  const match = /^(?:[A-Za-z0-9._~-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::(\d{1,5}))?$/.exec(text)
  if (!match || (match[1] !== undefined && Number(match[1]) > 65_535)) return undefined
  return text.toLowerCase()
}
