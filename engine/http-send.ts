/** `http.send` for a policy whose binding allows it: what may be asked, and what a response is to Rego. */

import { messageOf, WritError } from '../core/fault.ts'
import type { HttpAllowance } from '../core/policy.ts'
import type { Sent } from './asking.ts'
import { BuiltinError, type BuiltinHost } from './builtins/builtin.ts'
import { readHttpRequest } from './builtins/request.ts'
import { parseDuration } from './builtins/time/duration.ts'
import { readYaml } from './builtins/yaml/read.ts'
import { formatJson, fromJson, isNumber, objectOf, parseJsonValue, RegoObject, toDouble, type Value } from './value.ts'

/** A request that may be sent. */
export interface OutgoingRequest {
  readonly method: string
  readonly url: URL
  /** Lower-case names. */
  readonly headers: Readonly<Record<string, string>>
  readonly body: string | undefined
  readonly maxBytes: number
  /** Whether a name may stand for an address of a private network. */
  readonly privateAddresses: boolean
  /** Ends it when its time is over. */
  readonly signal: AbortSignal
}

export interface IncomingResponse {
  readonly status: number
  readonly statusText: string
  readonly headers: readonly (readonly [string, string])[]
  readonly body: Uint8Array
}

/** Sends one request and follows no redirect. Rejects where there is no whole response; with `forbidden` where it may not. */
export type HttpTransport = (request: OutgoingRequest) => Promise<IncomingResponse>

/** Lets a policy be opened that calls `http.send`; who may be asked is said by each binding. */
export const askingHost: BuiltinHost = {
  httpSend() {
    throw new Error('the binding does not allow it: name who may be asked in its spec.http.allow')
  },
}

/** All requests of one decision share the time that the binding gives. */
export function senderOf(transport: HttpTransport, allowance: HttpAllowance): (request: Value) => Promise<Sent> {
  const over = AbortSignal.timeout(allowance.timeoutMs)
  return async (request) => {
    let plan: Plan
    try {
      plan = planOf(request, allowance)
    } catch (thrown) {
      // What OPA would not send either has no answer there.
      if (thrown instanceof BuiltinError) return { ok: true, value: undefined }
      return { ok: false, why: messageOf(thrown) }
    }
    const { outgoing, timeoutMs } = plan
    const signal = timeoutMs === undefined ? over : AbortSignal.any([over, AbortSignal.timeout(timeoutMs)])
    try {
      return { ok: true, value: responseOf(await inTime(transport({ ...outgoing, signal }), signal), plan) }
    } catch (thrown) {
      if (thrown instanceof WritError && thrown.code === 'forbidden') return { ok: false, why: thrown.message }
      const error = { code: 'eval_http_send_network_error', message: messageOf(thrown).slice(0, 500).toWellFormed() }
      return { ok: true, value: plan.raiseError ? undefined : fromJson({ status_code: 0, error }) }
    }
  }
}

/** Whatever the transport does, nobody waits longer. */
function inTime<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const late = (): void => reject(new Error('no answer in time'))
    if (signal.aborted) late()
    signal.addEventListener('abort', late, { once: true })
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', late))
  })
}

interface Plan {
  readonly outgoing: Omit<OutgoingRequest, 'signal'>
  /** The request's own, which only shortens the binding's. */
  readonly timeoutMs: number | undefined
  readonly raiseError: boolean
  readonly decode: 'json' | 'yaml' | undefined
}

const methods: ReadonlySet<string> = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'])

/** Members that are read, and those of OPA's caches, which change no answer: within a decision each is asked once. */
const read: ReadonlySet<Value> = new Set([
  ...[
    'method',
    'url',
    'body',
    'raw_body',
    'headers',
    'timeout',
    'raise_error',
    'force_json_decode',
    'force_yaml_decode',
  ],
  ...['cache', 'force_cache', 'force_cache_duration_seconds', 'caching_mode', 'cache_ignored_headers'],
])

/** Members that may say what is so anyway. */
const without: Readonly<Record<string, Value>> = {
  enable_redirect: false,
  tls_use_system_certs: true,
  tls_insecure_skip_verify: false,
  max_retry_attempts: 0,
}

/** Throws a BuiltinError where OPA has no answer, and an Error where the binding does not allow it. */
function planOf(request: Value, allowance: HttpAllowance): Plan {
  const { members, method, url } = readHttpRequest(request)
  for (const [name, value] of members.entries) {
    if (read.has(name)) continue
    const wanted = typeof name === 'string' && Object.hasOwn(without, name) ? without[name] : undefined
    if (wanted === undefined || formatJson(wanted) !== formatJson(value)) {
      throw new Error(`${String(name)} ${formatJson(value).slice(0, 40)} is not to be had here`)
    }
  }
  const verb = method.toUpperCase()
  if (!methods.has(verb)) throw new Error(`the method ${verb.slice(0, 20)} is not sent`)
  const force = (name: string): boolean => members.get(name) === true
  return {
    outgoing: {
      method: verb,
      url: allowedUrl(url, allowance.allow),
      headers: headersOf(members.get('headers')),
      body: bodyOf(members),
      maxBytes: allowance.maxBytes,
      privateAddresses: allowance.privateAddresses,
    },
    timeoutMs: timeoutOf(members.get('timeout')),
    raiseError: members.get('raise_error') !== false,
    decode: force('force_json_decode') ? 'json' : force('force_yaml_decode') ? 'yaml' : undefined,
  }
}

/** The URL as it will be sent, where it begins with one that is allowed: the same scheme, host and port, and whole steps. */
export function allowedUrl(text: string, allow: readonly string[]): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (!url) throw new BuiltinError('no URL')
  const shown = `${url.protocol}//${url.host}${url.pathname}`.slice(0, 120)
  if (url.username !== '' || url.password !== '') throw new Error(`the URL of ${url.host} holds a name or a password`)
  // Steps hidden in escapes would be seen by the other end alone.
  if (/%2e|%2f|%5c/i.test(url.pathname)) throw new Error(`${shown} hides steps in escapes`)
  url.hash = ''
  if (allow.some((prefix) => begins(url, new URL(prefix)))) return url
  throw new Error(`${shown} is not what the binding allows (spec.http.allow)`)
}

function begins(url: URL, prefix: URL): boolean {
  if (url.protocol !== prefix.protocol || url.host !== prefix.host) return false
  const path = prefix.pathname.replace(/\/$/, '')
  return url.pathname === path || url.pathname.startsWith(`${path}/`)
}

/** Fields that frame a message or say whom it is for are ours. */
const own = /^(?:host|connection|keep-alive|proxy-.*|te|trailer|transfer-encoding|upgrade|content-length|expect)$/

function headersOf(value: Value | undefined): Readonly<Record<string, string>> {
  if (value === undefined) return {}
  if (!(value instanceof RegoObject)) throw new BuiltinError('headers are an object')
  const headers: Record<string, string> = {}
  for (const [name, field] of value.entries) {
    if (typeof name !== 'string' || !/^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}$/.test(name))
      throw new BuiltinError('a bad header name')
    if (typeof field !== 'string' || !/^[\t\x20-\x7e\x80-\xff]*$/.test(field)) throw new BuiltinError('a bad header')
    if (own.test(name.toLowerCase())) throw new Error(`the header ${name} is not a policy's to set`)
    headers[name.toLowerCase()] = field
  }
  return headers
}

function bodyOf(members: RegoObject): string | undefined {
  const raw = members.get('raw_body')
  if (raw !== undefined) {
    if (typeof raw !== 'string') throw new BuiltinError('raw_body is a string')
    return raw
  }
  const body = members.get('body')
  return body === undefined ? undefined : formatJson(body)
}

/** Nanoseconds, or a duration as Go writes it. */
function timeoutOf(value: Value | undefined): number | undefined {
  if (value === undefined) return undefined
  const ns = isNumber(value) ? toDouble(value) : typeof value === 'string' ? Number(parseDuration(value)) : Number.NaN
  if (!(ns >= 0)) throw new BuiltinError('timeout is no duration')
  return ns === 0 ? undefined : Math.max(1, Math.ceil(ns / 1e6))
}

function responseOf(response: IncomingResponse, { decode }: Plan): Value {
  const raw = new TextDecoder().decode(response.body)
  const headers: Record<string, string[]> = Object.create(null)
  for (const [name, value] of response.headers) (headers[name.toLowerCase()] ??= []).push(value.toWellFormed())
  const type = headers['content-type']?.[0] ?? ''
  return objectOf([
    ['status', `${response.status} ${response.statusText}`.trim().toWellFormed()],
    ['status_code', response.status],
    ['body', decoded(raw, decode ?? kindOf(type), decode !== undefined)],
    ['raw_body', raw],
    ['headers', fromJson(headers)],
  ])
}

const kindOf = (type: string): Plan['decode'] =>
  /^application\/(?:[\w.+-]+\+)?json(?:;|$)/i.test(type.trim())
    ? 'json'
    : /^application\/(?:x-)?yaml(?:;|$)/i.test(type.trim())
      ? 'yaml'
      : undefined

function decoded(raw: string, kind: Plan['decode'], forced: boolean): Value {
  if (kind === undefined || raw === '') return null
  try {
    return kind === 'json' ? parseJsonValue(raw) : readYaml(raw)
  } catch (thrown) {
    if (forced) throw thrown
    return null
  }
}

/** For runtimes with `fetch` alone. Addresses behind names are the platform's to guard. */
export const fetchTransport: HttpTransport = async ({ method, url, headers, body, maxBytes, signal }) => {
  const init = { method, headers, redirect: 'manual' as const, signal }
  const response = await fetch(url, body === undefined ? init : { ...init, body })
  const chunks: Uint8Array[] = []
  let length = 0
  const reader = response.body?.getReader()
  for (let next = await reader?.read(); next && !next.done; next = await reader?.read()) {
    length += next.value.length
    if (length > maxBytes) {
      await reader?.cancel()
      throw new Error(`its answer is longer than ${maxBytes} bytes`)
    }
    chunks.push(next.value)
  }
  const whole = new Uint8Array(length)
  let at = 0
  for (const chunk of chunks) {
    whole.set(chunk, at)
    at += chunk.length
  }
  return { status: response.status, statusText: response.statusText, headers: [...response.headers], body: whole }
}
