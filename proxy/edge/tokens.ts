/** Tokens that an edge function takes beside the one that says who its caller is. */

import { makeAuthenticate } from '../../ca/token/authenticate.ts'
import { readTokenKeys } from '../../ca/token/key-set.ts'
import { holdKeys } from '../../ca/token/keys.ts'
import { tokenAlgorithms } from '../../ca/token/read.ts'
import { utf8 } from '../../core/bytes.ts'
import { WritError } from '../../core/fault.ts'
import type { Authenticate } from '../../core/ports.ts'
import type { TokenKeys, TokenProvider, TokenUse } from '../../core/token.ts'
import { wrongUrl } from '../../engine/bundle-url.ts'
import { fetchTransport } from '../../engine/index.ts'

export interface EdgeTokens {
  readonly providers: readonly EdgeProvider[]
  /** Whether the handler gets the token too. Default true. */
  readonly forward?: boolean
}

/** One of `jwks` and `jwksUrl`. `from` has no default: `Authorization` is the caller's own JWT-SVID here. */
export interface EdgeProvider
  extends Pick<TokenProvider, 'name' | 'issuer' | 'audiences' | 'from'>,
    Partial<Pick<TokenProvider, 'clockSkewMs' | 'algorithms'>> {
  /** The issuer's keys, a JWK set. */
  readonly jwks?: unknown
  /** Where they are, over https; they are asked for with `fetch`, and every five minutes again. */
  readonly jwksUrl?: string
}

/** Throws `config_invalid`. */
export function tokenUseOf({ providers, forward = true }: EdgeTokens): TokenUse {
  return { forward, providers: providers.map(providerOf) }
}

function providerOf(given: EdgeProvider): TokenProvider {
  const { name, issuer, audiences, from, clockSkewMs = 60_000, algorithms = tokenAlgorithms } = given
  const wrong = (what: string, cure: string): WritError =>
    new WritError('config_invalid', `tokens of provider ${name}: ${what}`, { cure })
  if (audiences.length === 0) throw wrong('no audience', 'name the one that its tokens for this function have')
  if (from.length === 0 || from.some((place) => place.kind === 'header' && place.name === 'authorization')) {
    throw wrong('they stand nowhere, or where the caller proves its name', 'give another header, a cookie or the query')
  }
  if (from.some((place) => place.kind === 'header' && place.name !== place.name.toLowerCase())) {
    throw wrong('the name of a header has capitals', 'write it in lower case')
  }
  const symmetric = algorithms.find((alg) => !tokenAlgorithms.includes(alg))
  if (symmetric !== undefined) throw wrong(`${symmetric} is not verified by a public key`, 'name others, or none')
  return { name, issuer, audiences, from, clockSkewMs, algorithms, certificateBound: false, keys: keysOf(given, wrong) }
}

function keysOf({ jwks, jwksUrl }: EdgeProvider, wrong: (what: string, cure: string) => WritError): TokenKeys {
  if ((jwks === undefined) === (jwksUrl === undefined))
    throw wrong('it takes one of jwks and jwksUrl', 'say where its keys are')
  if (jwksUrl !== undefined) {
    const problem = wrongUrl(jwksUrl)
    if (problem) throw wrong(`${jwksUrl} ${problem}`, 'give an https:// address')
    return { kind: 'url', url: jwksUrl, refreshMs: 300_000, privateAddresses: false }
  }
  const read = readTokenKeys(utf8(JSON.stringify(jwks)))
  if (!read.ok) throw wrong(`jwks ${read.wrong}`, "give the issuer's public keys")
  return { kind: 'known', keys: read.keys }
}

/** Whom `fetch` reaches is the platform's to say; it follows no redirect. */
export const edgeAuthenticate = (): Authenticate =>
  makeAuthenticate({
    keys: holdKeys(async (url, { maxBytes, timeoutMs, privateAddresses }) => {
      const { status, body } = await fetchTransport({
        ...{ method: 'GET', url: new URL(url), headers: { accept: 'application/json' }, body: undefined },
        ...{ maxBytes, privateAddresses, signal: AbortSignal.timeout(timeoutMs) },
      })
      if (status !== 200) throw new Error(`it answered ${status}`)
      return body
    }),
  })
