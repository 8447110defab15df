/** What does a request's token say, and who vouches for it? Read this file first. */

import { sha256 as portableSha256 } from '@noble/hashes/sha2.js'
import { compactVerify } from 'jose'
import { toBase64Url, toHex, utf8 } from '../../core/bytes.ts'
import { isExactObject } from '../../core/exact.ts'
import type { Authenticated, TokenFacts } from '../../core/facts.ts'
import type { Evidence } from '../../core/identity.ts'
import type { Authenticate, Sha256 } from '../../core/ports.ts'
import type { TokenKey, TokenPlace, TokenProvider } from '../../core/token.ts'
import { keyFor } from './key-set.ts'
import type { HeldKeys } from './keys.ts'
import { broughtToken, nameOfPlace } from './places.ts'
import { maxToken, type ReadToken, readToken } from './read.ts'

export interface AuthenticateOptions {
  readonly keys: HeldKeys
  /** Default a portable one. */
  readonly sha256?: Sha256
  /** Tokens of one provider that are remembered. Default 1024; beyond them the one that came first is verified again. */
  readonly maxRemembered?: number
}

/** A token that was found good: remembered by its digest until its end, and for as long as its key is published. */
interface Good {
  readonly provider: TokenProvider
  readonly key: TokenKey
  readonly notBeforeMs: number
  readonly notAfterMs: number
  /** Digest of the certificate that it names (RFC 8705). */
  readonly boundTo: string | undefined
  readonly token: TokenFacts
}

/** The one token of a request. */
interface Asked {
  readonly text: string
  readonly sha256: string
  /** Its digest and where it stood. */
  readonly name: string
  /** Where it is taken out of what is sent on. */
  readonly strip: TokenPlace | undefined
  /** Those who look where it stood. */
  readonly providers: readonly TokenProvider[]
  readonly evidence: Evidence
  readonly nowMs: number
}

type Refused = Extract<Authenticated, { ok: false }>

const refuse = (code: Refused['code'], detail: string): Refused => ({ ok: false, code, detail })

export function makeAuthenticate(options: AuthenticateOptions): Authenticate {
  const { keys: held, sha256 = portableSha256, maxRemembered = 1024 } = options
  const remembered = new WeakMap<TokenProvider, Map<string, Good>>()
  const certificates = new WeakMap<Uint8Array, string>()

  return (head, { evidence }, { providers, forward }, nowMs) => {
    const brought = broughtToken(head, providers)
    if (brought.kind === 'none') return undefined
    if (brought.kind === 'many') return refuse('token_ambiguous', 'more than one token')
    const { text, place } = brought
    if (text.length > maxToken) return refuse('token_invalid', `a token of more than ${maxToken} characters`)
    const digest = toHex(sha256(utf8(text)))
    const stood = nameOfPlace(place)
    const asked: Asked = {
      ...{ text, sha256: digest, name: `${digest} ${stood}`, strip: forward ? undefined : place, evidence, nowMs },
      providers: providers.filter(({ from }) => from.some((one) => nameOfPlace(one) === stood)),
    }
    const known = recalled(asked)
    return known ? answerOf(known, asked) : verified(asked)
  }

  /** A key that is gone vouches for nothing any more. */
  function recalled({ name, providers, nowMs }: Asked): Good | undefined {
    for (const provider of providers) {
      const good = remembered.get(provider)?.get(name)
      if (!good) continue
      const keys = held.current(provider.keys, nowMs)
      if (!(keys instanceof Promise) && keys?.includes(good.key)) return good
      remembered.get(provider)!.delete(name)
    }
    return undefined
  }

  function remember(good: Good, name: string): void {
    const of = remembered.get(good.provider) ?? new Map<string, Good>()
    remembered.set(good.provider, of)
    of.set(name, good)
    if (of.size > maxRemembered) of.delete(of.keys().next().value!)
  }

  async function verified(asked: Asked): Promise<Authenticated> {
    const read = readToken(asked.text)
    if (!read.ok) return refuse('token_invalid', read.wrong)
    const { token } = read
    // Not believed yet: it only says whose keys are asked.
    const provider = asked.providers.find(({ issuer }) => issuer === token.issuer)
    if (!provider) return refuse('token_invalid', 'a token of an issuer that is not taken here')
    const wrong = (what: string): Refused => refuse('token_invalid', `${provider.name}: ${what}`)
    if (!provider.algorithms.includes(token.alg)) return wrong(`a token signed by ${token.alg}`)
    if (!provider.audiences.some((one) => token.audiences.includes(one))) return wrong('a token for another audience')
    const key = await keyOf(token, provider, asked.nowMs)
    if (key === 'none') return refuse('token_unverifiable', `${provider.name}: no keys of its issuer are known`)
    if (key === 'unknown') return wrong('a token by no key of its issuer')
    if (!(await isSignedBy(token, key))) return wrong('a signature that does not hold')
    const good = goodOf(token, key, provider, asked)
    if (timeFault(good, asked.nowMs) === undefined) remember(good, asked.name)
    return answerOf(good, asked)
  }

  async function keyOf(
    token: ReadToken,
    { keys }: TokenProvider,
    nowMs: number,
  ): Promise<TokenKey | 'unknown' | 'none'> {
    const current = await held.current(keys, nowMs)
    if (!current) return 'none'
    const known = keyFor(token, current)
    if (known) return known
    const newer = await held.again(keys, nowMs)
    return (newer && keyFor(token, newer)) ?? 'unknown'
  }

  function answerOf(good: Good, { evidence, nowMs }: Asked): Authenticated {
    const { provider, boundTo, token } = good
    const late = timeFault(good, nowMs)
    if (late !== undefined) return refuse('token_expired', `${provider.name}: ${late}`)
    const isBound = boundTo !== undefined && boundTo === thumbprintOf(evidence)
    if (provider.certificateBound && !isBound) {
      return refuse('token_invalid', `${provider.name}: a token that is not bound to the certificate of its caller`)
    }
    return { ok: true, token: isBound ? { ...token, bound: true } : token }
  }

  /** RFC 8705 section 3.1. A connection's certificate is the same bytes for all its requests. */
  function thumbprintOf(evidence: Evidence): string | undefined {
    const leaf = evidence.kind === 'x509' ? evidence.chain[0] : undefined
    if (!leaf) return undefined
    const known = certificates.get(leaf) ?? toBase64Url(sha256(leaf))
    certificates.set(leaf, known)
    return known
  }
}

/** False, never a throw, where its signature does not hold. */
export async function isSignedBy({ text, alg }: ReadToken, key: TokenKey): Promise<boolean> {
  try {
    await compactVerify(text, key, { algorithms: [alg] })
    return true
  } catch {
    return false
  }
}

function goodOf(token: ReadToken, key: TokenKey, provider: TokenProvider, { sha256, strip }: Asked): Good {
  const { issuer, subject, audiences, claims, notBeforeMs, notAfterMs } = token
  const facts = { provider: provider.name, issuer, subject, audiences, claims, sha256 }
  const confirmation = claims['cnf']
  const boundTo = isExactObject(confirmation) ? confirmation['x5t#S256'] : undefined
  return {
    ...{ provider, key, notBeforeMs, notAfterMs },
    boundTo: typeof boundTo === 'string' ? boundTo : undefined,
    token: strip ? { ...facts, strip } : facts,
  }
}

function timeFault({ notBeforeMs, notAfterMs, provider: { clockSkewMs } }: Good, nowMs: number): string | undefined {
  if (nowMs > notAfterMs + clockSkewMs) return `not valid after ${time(notAfterMs)}`
  return nowMs < notBeforeMs - clockSkewMs ? `not valid before ${time(notBeforeMs)}` : undefined
}

const time = (ms: number): string => new Date(ms).toISOString()
