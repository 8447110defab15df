/** What the mesh door answers by registration entries: to agents, and to whoever brings proof of a platform. */

import { sha256 } from '@noble/hashes/sha2.js'
import type { Context } from 'hono'
import { z } from 'zod'
import { entriesJson } from '../../ca/entries.ts'
import { issuedJson, type MintedToken, mintedJson } from '../../ca/wire.ts'
import { fromBase64, toHex, utf8 } from '../../core/bytes.ts'
import { WritError } from '../../core/fault.ts'
import type { Evidence, Identity, TrustBundle } from '../../core/identity.ts'
import { parseSpiffeId, type SpiffeId } from '../../core/spiffe.ts'
import type { RevisedEntry } from '../../core/workload.ts'
import { type DoorApp, type DoorEnv, readBody, readJson } from './http.ts'

type Later<T> = T | Promise<T>

interface Issued {
  readonly chain: readonly Uint8Array[]
  readonly bundles: readonly TrustBundle[]
}

/** ca/node/registration.ts */
export interface RegistrationParts {
  entriesOf(agent: Identity): readonly RevisedEntry[]
  issueFor(agent: Identity, entry: string, csr: Uint8Array): Later<Issued>
  mintFor(agent: Identity, entry: string, audience: readonly string[]): Later<MintedToken>
  attest(shown: Evidence, csr: Uint8Array, want: SpiffeId | undefined, source: string): Later<Issued>
  exchange(
    token: string,
    audience: readonly string[],
    want: SpiffeId | undefined,
    source: string,
  ): Later<MintedToken & { readonly id: SpiffeId }>
}

export interface RegistrationRouteParts {
  readonly registration: RegistrationParts
  readonly nowMs: () => number
  /** False where this address asked too often. */
  readonly mayAsk: (source: string) => boolean
  /** What the connection has proven. */
  readonly evidenceOf: (c: Context<DoorEnv>) => Evidence
  readonly addressOf: (c: Context<DoorEnv>) => string
  /** Answers a workload that has proven its name. */
  readonly mesh: <Path extends string>(
    method: 'get' | 'post',
    path: Path,
    answer: (c: Context<DoorEnv, Path>, identity: Identity) => Later<Response>,
  ) => void
  /** What is issued, with the recovery key that came beside the request, if one did. */
  readonly noted: (how: 'first', c: Context<DoorEnv>, csr: Uint8Array, issue: () => Later<Issued>) => Promise<Issued>
  /** False where the caller has this version already, after the wait that it asked for. */
  readonly news: (c: Context<DoorEnv>, identity: Identity, tag: () => string) => Promise<boolean>
}

const maxBodyBytes = 64 * 1024
const csr = z.string().max(16 * 1024)
const audience = z.string().regex(/^[\x21-\x7e]{1,2048}$/, 'is not 1 to 2048 visible characters')
const id = z.string().transform((text, context) => {
  const found = parseSpiffeId(text)
  if (!found) context.addIssue({ code: 'custom', message: 'is no SPIFFE ID of a workload' })
  return found ?? z.NEVER
})
const svidBody = z.strictObject({ csr })
const jwtBody = z.strictObject({ audience: z.array(audience).min(1).max(16) })
/** Without a token the certificate of the connection is the proof. */
const attestBody = z.strictObject({ csr, token: z.string().min(1).max(16_384).exactOptional(), id: id.exactOptional() })

export function registrationRoutes(app: DoorApp, parts: RegistrationRouteParts): void {
  const { registration, mesh, addressOf } = parts

  mesh('get', '/v1/entries', async (c, identity) => {
    const entries = (): readonly RevisedEntry[] => registration.entriesOf(identity)
    const tag = (): string => tagOf(entries().map(({ name, revision }) => `${name}@${revision}`))
    if (!(await parts.news(c, identity, tag))) return new Response(null, { status: 304, headers: { etag: tag() } })
    return c.json(entriesJson(entries()), 200, { etag: tag() })
  })

  mesh('post', '/v1/entries/:name/svid', async (c, identity) => {
    const { csr } = await readJson(c.req.raw, maxBodyBytes, svidBody)
    return Response.json(issuedJson(await registration.issueFor(identity, c.req.param('name'), derOf(csr))))
  })

  mesh('post', '/v1/entries/:name/jwt', async (c, identity) => {
    const { audience } = await readJson(c.req.raw, maxBodyBytes, jwtBody)
    return Response.json(mintedJson(await registration.mintFor(identity, c.req.param('name'), audience)))
  })

  app.post('/v1/attest', async (c) => {
    const source = addressOf(c)
    if (!parts.mayAsk(source)) throw tooMany()
    const { csr, token, id } = await readJson(c.req.raw, maxBodyBytes, attestBody)
    const der = derOf(csr)
    const shown = token === undefined ? parts.evidenceOf(c) : ({ kind: 'platform', token } as const)
    const issued = await parts.noted('first', c, der, () => registration.attest(shown, der, id, source))
    return Response.json(issuedJson(issued))
  })

  // RFC 8693 section 2. Its errors are those of OAuth (section 2.2.2), which its clients know.
  app.post('/v1/token', async (c) => {
    const source = addressOf(c)
    if (!parts.mayAsk(source)) return oauthError(429, 'invalid_request', 'too many requests from this address')
    if (!/^application\/x-www-form-urlencoded(?:;|$)/.test(c.req.header('content-type') ?? '')) {
      return oauthError(400, 'invalid_request', 'the body is not application/x-www-form-urlencoded')
    }
    const form = new URLSearchParams(new TextDecoder().decode(await readBody(c.req.raw, maxBodyBytes)))
    const asked = readExchange(form)
    if ('error' in asked) return oauthError(400, asked.error, asked.detail)
    try {
      const minted = await registration.exchange(asked.token, asked.audience, asked.want, source)
      const expires = Math.max(0, Math.floor((minted.notAfterMs + 1 - parts.nowMs()) / 1000))
      const body = {
        access_token: minted.token,
        issued_token_type: jwtType,
        token_type: 'N_A', // Section 2.2.1: it is no OAuth access token.
        expires_in: expires,
      }
      return Response.json(body, { headers: { 'cache-control': 'no-store', pragma: 'no-cache' } })
    } catch (thrown) {
      if (!(thrown instanceof WritError) || (thrown.code !== 'unauthorized' && thrown.code !== 'forbidden'))
        throw thrown
      return oauthError(400, 'invalid_grant', thrown.message)
    }
  })
}

/** An ETag of a list, which may be longer than a header. */
export const tagOf = (parts: readonly string[]): string => `"${toHex(sha256(utf8(parts.join('\n'))))}"`

const jwtType = 'urn:ietf:params:oauth:token-type:jwt'
const subjectTypes = [
  jwtType,
  'urn:ietf:params:oauth:token-type:id_token',
  'urn:ietf:params:oauth:token-type:access_token',
]

type Exchange =
  | { readonly token: string; readonly audience: readonly string[]; readonly want: SpiffeId | undefined }
  | { readonly error: string; readonly detail: string }

/** RFC 8693 section 2.1. `scope` may name the SPIFFE ID that is wanted, where a token is good for several. */
function readExchange(form: URLSearchParams): Exchange {
  const bad = (detail: string, error = 'invalid_request'): Exchange => ({ error, detail })
  const names = ['grant_type', 'subject_token', 'subject_token_type', 'requested_token_type', 'scope']
  const twice = names.find((name) => form.getAll(name).length > 1)
  if (twice) return bad(`${twice} stands more than once`)
  if (form.get('grant_type') !== 'urn:ietf:params:oauth:grant-type:token-exchange') {
    return bad('only urn:ietf:params:oauth:grant-type:token-exchange is served', 'unsupported_grant_type')
  }
  if (form.has('actor_token')) return bad('an actor_token is not taken: nobody acts for somebody else here')
  const token = form.get('subject_token') ?? ''
  if (token === '' || token.length > 16_384) return bad('subject_token is missing or too long')
  if (!subjectTypes.includes(form.get('subject_token_type') ?? '')) {
    return bad(`subject_token_type is none of ${subjectTypes.join(', ')}`)
  }
  if (![null, jwtType].includes(form.get('requested_token_type'))) return bad(`requested_token_type is not ${jwtType}`)
  const audiences = form.getAll('audience')
  if (audiences.length === 0 || audiences.length > 16 || !audiences.every((one) => audience.safeParse(one).success)) {
    return bad('audience is missing, or not 1 to 16 of 1 to 2048 visible characters', 'invalid_target')
  }
  const scope = form.get('scope')
  const want = scope === null ? undefined : parseSpiffeId(scope)
  if (scope !== null && !want) return bad('scope is no SPIFFE ID of a workload', 'invalid_scope')
  return { token, audience: audiences, want }
}

const oauthError = (status: number, error: string, error_description: string): Response =>
  Response.json({ error, error_description }, { status, headers: { 'cache-control': 'no-store' } })

const tooMany = (): WritError => new WritError('unavailable', 'too many requests from this address', { cure: 'wait' })

function derOf(text: string): Uint8Array {
  const der = fromBase64(text)
  if (der) return der
  throw new WritError('certificate_invalid', 'the csr is not base64', {
    cure: 'send the PKCS#10 request as base64 DER',
  })
}
