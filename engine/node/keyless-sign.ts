/** A fresh key to sign one build with, and the identity token of the CI that vouches for it. */

import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { decodeJwt } from 'jose'
import { messageOf, WritError } from '../../core/fault.ts'
import { isObject, parseJson } from '../../core/json.ts'
import { wrongUrl } from '../bundle-url.ts'
import { audienceFor, boundedFetch, keylessAlgorithm, maxIdentityToken, type PublicJwk } from '../keyless.ts'
import type { Signer } from './sign.ts'

export interface KeylessOptions {
  readonly env: Readonly<Record<string, string | undefined>>
  /** File with an identity token. Default WRIT_ID_TOKEN, else GitHub's service. */
  readonly tokenFile?: string
  /** PEM of the private key, where the token was asked for before. Default a fresh one. */
  readonly keyFile?: string
  readonly scope?: string
  readonly nowMs: number
}

/** Throws `unauthorized` where there is no token, or it is not for this key. */
export async function keylessSigner(options: KeylessOptions): Promise<Signer> {
  const key = options.keyFile === undefined ? freshKey() : await keyIn(options.keyFile)
  const { x = '', y = '' } = createPublicKey(key).export({ format: 'jwk' })
  const jwk: PublicJwk = { kty: 'EC', crv: 'P-256', x, y }
  const audience = await audienceFor(jwk)
  const identityToken = await tokenFor(audience, options)
  const atS = Math.floor(options.nowMs / 1000)
  refuseUnfit(identityToken, audience, atS)
  const { scope } = options
  return {
    algorithm: keylessAlgorithm,
    key,
    keyless: { jwk, identityToken, atS },
    ...(scope === undefined ? {} : { scope }),
  }
}

const freshKey = (): KeyObject => generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey

async function keyIn(file: string): Promise<KeyObject> {
  try {
    const key = createPrivateKey(await readFile(file))
    if (key.asymmetricKeyDetails?.namedCurve === 'prime256v1') return key
  } catch (cause) {
    throw new WritError('config_invalid', `the key ${file} cannot be used: ${messageOf(cause)}`, { cause })
  }
  throw new WritError('config_invalid', `the key ${file} is none of P-256`, {
    cure: 'Make one: openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out key.pem',
  })
}

async function tokenFor(audience: string, { env, tokenFile, keyFile }: KeylessOptions): Promise<string> {
  const given = tokenFile === undefined ? env['WRIT_ID_TOKEN'] : await readFile(tokenFile, 'utf8')
  if (given !== undefined && given !== '') {
    if (keyFile !== undefined) return given.trim()
    throw unauthorized('a token that is there already cannot vouch for a key that is made only now', [
      'Name the key that it was asked for with --signing-key, or run where GitHub gives tokens.',
    ])
  }
  const { ACTIONS_ID_TOKEN_REQUEST_URL: url, ACTIONS_ID_TOKEN_REQUEST_TOKEN: bearer } = env
  if (url && bearer) return askGitHub(url, bearer, audience)
  throw unauthorized(`there is no identity token for ${audience}`, [
    'On GitHub give the job `permissions: id-token: write`; elsewhere ask for one with this audience, and',
    'name it with --identity-token and its key with --signing-key.',
  ])
}

/** GitHub's own interface: a URL with a query already, and a bearer token for it. */
async function askGitHub(base: string, bearer: string, audience: string): Promise<string> {
  const url = URL.canParse(base) ? new URL(base) : undefined
  if (!url || wrongUrl(url.origin))
    throw unauthorized('ACTIONS_ID_TOKEN_REQUEST_URL is no URL that tokens are asked for at')
  url.searchParams.set('audience', audience)
  try {
    const answer = await boundedFetch(url.href, {
      headers: { authorization: `Bearer ${bearer}` },
      redirect: 'error',
      signal: AbortSignal.timeout(15_000),
    })
    const text = answer.ok ? await answer.text() : ''
    const body = parseJson(text)
    const value = isObject(body) ? body['value'] : undefined
    if (typeof value === 'string') return value
    throw new Error(`it answered ${answer.status} without a token`)
  } catch (cause) {
    throw unauthorized(
      `GitHub gives no identity token: ${messageOf(cause)}`,
      ['Try again, or see its permissions.'],
      cause,
    )
  }
}

/** What no verifier would take is not signed with. */
function refuseUnfit(token: string, audience: string, atS: number): void {
  if (token.length > maxIdentityToken)
    throw unauthorized(`the identity token is longer than ${maxIdentityToken} characters`)
  let claims: ReturnType<typeof decodeJwt>
  try {
    claims = decodeJwt(token)
  } catch (cause) {
    throw unauthorized(`the identity token is no JWT: ${messageOf(cause)}`, [], cause)
  }
  if (claims.aud !== audience) {
    throw unauthorized(`the identity token is for ${JSON.stringify(claims.aud)}`, [
      `Ask for one with the audience ${audience}`,
    ])
  }
  if (claims.exp === undefined || claims.exp <= atS)
    throw unauthorized('the identity token has expired', ['Ask for a new one.'])
}

const unauthorized = (why: string, cure: readonly string[] = [], cause?: unknown): WritError =>
  new WritError('unauthorized', why, {
    ...(cure.length > 0 ? { cure: cure.join(' ') } : {}),
    ...(cause === undefined ? {} : { cause }),
  })
