/** A request as somebody describes it in a few lines of YAML, and the facts that a proxy would have made of it. */

import { parseDocument } from 'yaml'
import { z } from 'zod'
import { parseMoment } from '../../audit/query/moment.ts'
import { toHex, utf8 } from '../../core/bytes.ts'
import type { Decision } from '../../core/decision.ts'
import { isExactObject, readExact } from '../../core/exact.ts'
import type { Authenticated, HeadFault, RequestFacts, RequestHead } from '../../core/facts.ts'
import { messageOf, WritError } from '../../core/fault.ts'
import type { Identified } from '../../core/identity.ts'
import { audiencesOf } from '../../core/input-token.ts'
import type { PolicyUse } from '../../core/policy.ts'
import type { Decide } from '../../core/ports.ts'
import { parseSpiffeId, parseTrustDomain, pathOf, type SpiffeId, spiffeId, trustDomainOf } from '../../core/spiffe.ts'
import type { BodyRead } from '../../proxy/exchange.ts'
import { seeBody } from '../../proxy/flow/body/see.ts'
import { readFacts } from '../../proxy/flow/facts.ts'
import { judge } from '../../proxy/flow/judge.ts'
import { normalisePath, queryFault } from '../../proxy/flow/normalise.ts'
import type { Found } from '../../proxy/flow/route.ts'
import { random } from './machine.ts'

const word = z.string().min(1).max(2048)
const token = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/ // RFC 9110 section 5.6.2.
const field = z
  .union([z.string(), z.number(), z.boolean()])
  .transform(String)
  .pipe(
    z
      .string()
      .max(8192)
      .regex(/^[\t\x20-\x7e\x80-\xff]*$/, 'holds characters that no header may'),
  )

const described = z.strictObject({
  caller: word.exactOptional(),
  target: word,
  trustDomain: word.exactOptional(),
  method: z.string().regex(token, 'is no method').default('GET'),
  path: z.string().max(8192).startsWith('/', 'begins with a slash'),
  headers: z.record(z.string().regex(token, 'is no name of a header'), field).default({}),
  body: z.unknown().exactOptional(),
  service: word.exactOptional(),
  claims: z.record(z.string(), z.unknown()).exactOptional(),
  time: z.string().exactOptional(),
})

export interface Described {
  readonly facts: RequestFacts
  /** What the proxy refuses before it asks a policy, it refuses here. */
  readonly decision: Decision
}

/** Asks as an inbound listener of the target would. Throws `config_invalid` with each field that is wrong. */
export async function judgeDescribed(
  text: string,
  file: string,
  use: PolicyUse,
  decide: Decide,
  nowMs: number,
): Promise<Described> {
  const request = readRequest(text, file)
  const workload = nameOf(request.target, 'target', request, file)
  const service = request.service ?? pathOf(workload).slice(1)
  const head = headOf(request, service)
  const identified = identifiedOf(request, file, nowMs)
  const atMs = request.time === undefined ? nowMs : parseMoment(request.time, nowMs, 'time')
  const exchange = {
    head,
    peer: { evidence: { kind: 'none' }, address: '127.0.0.1', port: 40_000 },
    local: { address: '127.0.0.1', port: 443 },
  } as const
  const found: Found = {
    route: service,
    service,
    endpoint: { address: '127.0.0.1', port: 80, identity: undefined },
    timeoutMs: 0,
  }
  const parts = { direction: 'inbound', listener: `${pathOf(workload).slice(1)}/inbound`, workload, random } as const
  const readBody = async (): Promise<BodyRead> => bodyOf(request)
  const body = 'body' in request ? await seeBody({ head, readBody }, identified, found, maxBody) : undefined
  const token = tokenOf(request, file)
  const facts = readFacts(exchange, identified, found, BigInt(atMs) * 1_000_000n, parts, body, token)
  return { facts, decision: await judge(exchange, facts, found, { direction: 'inbound', policy: use, decide }, body) }
}

/** A good token that says this, of a provider that is called after the command. */
function tokenOf({ claims }: Request, file: string): Authenticated | undefined {
  if (claims === undefined) return undefined
  const read = readExact(JSON.stringify(claims))
  if (!read.ok || !isExactObject(read.value)) return raise(file, `claims: ${read.ok ? 'is no mapping' : read.wrong}`)
  const { iss, sub, aud = [] } = read.value
  if (sub !== undefined && typeof sub !== 'string') return raise(file, 'claims.sub: is no text')
  const audiences = audiencesOf(aud) ?? raise(file, 'claims.aud: is neither a text nor a list of texts')
  const issuer = typeof iss === 'string' ? iss : 'https://issuer.example'
  const token = { provider: 'eval', issuer, subject: sub, audiences, claims: read.value, sha256: '0'.repeat(64) }
  return { ok: true, token }
}

/** The longest body that a binding can let a policy see, in bytes. */
const maxBody = 262_144

/** Text is sent as it is, anything else as JSON. */
function bodyOf({ body }: Request): BodyRead {
  const bytes = utf8(typeof body === 'string' ? body : JSON.stringify(body))
  const truncated = bytes.length > maxBody
  return { kind: 'read', bytes: bytes.subarray(0, maxBody), truncated, size: bytes.length }
}

type Request = z.output<typeof described>

function readRequest(text: string, file: string): Request {
  const document = parseDocument(text, { logLevel: 'silent' })
  const [fault] = [...document.errors, ...document.warnings]
  if (fault) throw invalid(file, [fault.message.split('\n')[0]!])
  let value: unknown
  try {
    value = document.toJS({ maxAliasCount: 100 })
  } catch (thrown) {
    throw invalid(file, [messageOf(thrown)])
  }
  const read = described.safeParse(value)
  if (read.success) return read.data
  throw invalid(
    file,
    read.error.issues.map(({ path, message }) => {
      const problem = message.endsWith('received undefined') ? 'is missing' : message
      return path.length > 0 ? `${path.join('.')}: ${problem}` : problem
    }),
  )
}

/** In the form that the proxy's parsers give it; what they refuse is refused. */
function headOf(request: Request, authority: string): RequestHead | HeadFault {
  const { method, path: target, headers } = request
  const cut = target.indexOf('?')
  const normal = normalisePath(cut < 0 ? target : target.slice(0, cut))
  if ('wrong' in normal) return { code: 'bad_request', detail: normal.wrong }
  const query = cut < 0 ? undefined : target.slice(cut + 1)
  const wrong = query === undefined ? undefined : queryFault(query)
  if (wrong !== undefined) return { code: 'bad_request', detail: wrong }
  const fields: Record<string, string> = Object.create(null)
  for (const [name, value] of Object.entries(headers)) {
    const known = fields[name.toLowerCase()]
    fields[name.toLowerCase()] = known === undefined ? value : `${known}, ${value}`
  }
  if (typeof request.body === 'object') fields['content-type'] ??= 'application/json'
  return { method, authority, path: normal.path, query, headers: fields, protocol: 'HTTP/1.1', scheme: 'https' }
}

function identifiedOf(request: Request, file: string, nowMs: number): Identified {
  if (request.caller === undefined) {
    return { ok: false, code: 'identity_missing', detail: 'the request was described without a caller' }
  }
  const id = nameOf(request.caller, 'caller', request, file)
  const [notBeforeMs, notAfterMs] = [nowMs - 60_000, nowMs + 3_600_000]
  const serial = toHex(random(8))
  return { ok: true, identity: { id, trustDomain: trustDomainOf(id), proof: 'x509', serial, notBeforeMs, notAfterMs } }
}

/** A whole id, or a path in the trust domain that the file names or that its other id is of. */
function nameOf(text: string, member: 'caller' | 'target', request: Request, file: string): SpiffeId {
  if (text.startsWith('spiffe://')) {
    return parseSpiffeId(text) ?? raise(file, `${member}: ${JSON.stringify(text)} is no SPIFFE id of a workload`)
  }
  const other = parseSpiffeId((member === 'caller' ? request.target : request.caller) ?? '')
  const domain =
    request.trustDomain === undefined ? other && trustDomainOf(other) : parseTrustDomain(request.trustDomain)
  if (!domain)
    raise(
      file,
      `${member}: ${text} needs a trustDomain beside it, or is a whole id such as spiffe://bank.example/${text}`,
    )
  return spiffeId(domain, text) ?? raise(file, `${member}: ${JSON.stringify(text)} is no name of a workload`)
}

function raise(file: string, problem: string): never {
  throw invalid(file, [problem])
}

const invalid = (file: string, problems: readonly string[]): WritError =>
  new WritError('config_invalid', problems.map((problem) => `${file}: ${problem}`).join('\n'), {
    cure: 'it takes caller, target, trustDomain, method, path, headers, body, claims, service and time; see docs/POLICIES.md',
  })
