/** `providers.aws.sign_req`: AWS Signature Version 4 in a request's headers. */

import { hmac } from '@noble/hashes/hmac.js'
import { sha256 } from '@noble/hashes/sha2.js'
import { toHex, utf8 } from '../../core/bytes.ts'
import { bytesOfString, compareStrings, objectOf, type RegoObject, type Value } from '../value.ts'
import { type BuiltinContext, BuiltinError, type BuiltinFamily } from './builtin.ts'
import { escapedPath, parseGoUrl } from './go/url.ts'
import { goJson } from './gojson.ts'
import { int64Of } from './int64.ts'
import { objectArg } from './operand.ts'
import { readHttpRequest } from './request.ts'

export const aws: BuiltinFamily = { 'providers.aws.sign_req': signRequest }

interface Config {
  readonly service: string
  readonly accessKey: string
  readonly secretKey: string
  readonly region: string
  readonly sessionToken: string
  readonly signsPayload: boolean
}

type Headers = ReadonlyMap<string, string>

/** The request with headers that sign it as of a time in nanoseconds. */
function signRequest(_: BuiltinContext, request: Value, config: Value, timeNs: Value): Value {
  const { members, method, url } = readHttpRequest(request)
  const settings = readConfig(objectArg(config))
  const now = timeText(timeNs)
  const { host, ...target } = targetOf(url)
  const digest = settings.signsPayload ? toHex(sha256(bodyOf(members))) : 'UNSIGNED-PAYLOAD'
  const given = headersOf(members.get('headers'))
  const added = addedHeaders(settings, host, now, digest)
  const authorization = authorizationFor(settings, now, digest, { method, ...target }, signedHeaders(given, added))
  const headers = objectOf([...given, ['Authorization', authorization], ...added])
  return objectOf([...members.entries, ['headers', headers]])
}

function readConfig(config: RegoObject): Config {
  const text = (name: string): string => {
    const value = config.get(name)
    if (typeof value !== 'string') throw new BuiltinError(`missing or invalid AWS config parameter: ${name}`)
    return value
  }
  const unsigned = config.get('disable_payload_signing') ?? false
  if (typeof unsigned !== 'boolean') throw new BuiltinError("invalid value for 'disable_payload_signing' in AWS config")
  const token = config.get('aws_session_token')
  return {
    service: text('aws_service'),
    accessKey: text('aws_access_key'),
    secretKey: text('aws_secret_access_key'),
    region: text('aws_region'),
    sessionToken: typeof token === 'string' ? token : '',
    signsPayload: !unsigned,
  }
}

/** `20151228T140825Z`. */
function timeText(timeNs: Value): string {
  const ns = int64Of(timeNs)
  const seconds = (ns - (((ns % 1_000_000_000n) + 1_000_000_000n) % 1_000_000_000n)) / 1_000_000_000n
  return new Date(Number(seconds) * 1000).toISOString().replace(/[-:]|\.000/g, '')
}

function targetOf(url: string): { readonly host: string; readonly path: string; readonly query: string } {
  const parsed = parseGoUrl(url)
  return { host: parsed.host, path: escapedPath(parsed), query: parsed.rawQuery }
}

function bodyOf(request: RegoObject): Uint8Array {
  const raw = request.get('raw_body')
  if (raw !== undefined) return bytesOfString(typeof raw === 'string' ? raw : '')
  const body = request.get('body')
  return body === undefined ? new Uint8Array() : utf8(goJson(body))
}

/** What is no text counts as empty. */
function headersOf(value: Value | undefined): Headers {
  if (value === undefined) return new Map()
  const text = (one: Value): string => (typeof one === 'string' ? one : '')
  return new Map(objectArg(value).entries.map(([name, content]) => [text(name), text(content)]))
}

function addedHeaders({ service, sessionToken }: Config, host: string, now: string, digest: string): Headers {
  const headers = new Map([
    ['host', host],
    ['x-amz-date', now],
  ])
  // Other services do not ask for the digest.
  if (service === 's3' || service === 'glacier') headers.set('x-amz-content-sha256', digest)
  if (sessionToken !== '') headers.set('x-amz-security-token', sessionToken)
  return headers
}

/** Those that a proxy may change on the way are left out. */
const unsigned: ReadonlySet<string> = new Set(['authorization', 'user-agent', 'x-amzn-trace-id'])

function signedHeaders(given: Headers, added: Headers): Headers {
  const lower = [...given].map(([name, content]) => [name.toLowerCase(), content] as const)
  const all = new Map([...added, ...lower.filter(([name]) => !unsigned.has(name))])
  return new Map([...all].sort(([a], [b]) => compareStrings(a, b)))
}

/** https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html */
function authorizationFor(
  { service, accessKey, secretKey, region }: Config,
  now: string,
  digest: string,
  { method, path, query }: { readonly method: string; readonly path: string; readonly query: string },
  headers: Headers,
): string {
  const names = [...headers.keys()].join(';')
  const lines = [...headers].map(([name, content]) => `${name}:${content}\n`).join('')
  const canonical = `${method}\n${path}\n${query}\n${lines}\n${names}\n${digest}`
  const day = now.slice(0, 8)
  const scope = `${day}/${region}/${service}/aws4_request`
  const toSign = `AWS4-HMAC-SHA256\n${now}\n${scope}\n${toHex(sha256(bytesOfString(canonical)))}`
  const key = [day, region, service, 'aws4_request'].reduce<Uint8Array>(mac, bytesOfString(`AWS4${secretKey}`))
  const signature = toHex(mac(key, toSign))
  return `AWS4-HMAC-SHA256 Credential=${accessKey}/${scope},SignedHeaders=${names},Signature=${signature}`
}

const mac = (key: Uint8Array, text: string): Uint8Array => hmac(sha256, key, bytesOfString(text))
