/** Tokens of platforms (OpenID Connect, projected service accounts) as proof: verified in full, then read as selectors. */

import { sha256 } from '@noble/hashes/sha2.js'
import { toHex, utf8 } from '../../core/bytes.ts'
import { Decimal, type Exact, isExactObject } from '../../core/exact.ts'
import type { IdentityRefusal } from '../../core/identity.ts'
import type { PlatformIssuer, Proven, ProvePlatform } from '../../core/platform.ts'
import type { TokenKey } from '../../core/token.ts'
import type { Selector } from '../../core/workload.ts'
import { selectorShape } from '../entries.ts'
import { isSignedBy } from '../token/authenticate.ts'
import { keyFor } from '../token/key-set.ts'
import type { HeldKeys } from '../token/keys.ts'
import { type ReadToken, readToken } from '../token/read.ts'

const refuse = (code: IdentityRefusal, detail: string): Proven => ({ ok: false, code, detail })

/** The issuer is found by what the token says of itself, letter for letter; then nothing it says is believed unverified. */
export function makeProvePlatform(issuers: () => readonly PlatformIssuer[], held: HeldKeys): ProvePlatform {
  return async (text, nowMs) => {
    const read = readToken(text)
    if (!read.ok) return refuse('identity_invalid', read.wrong)
    const { token } = read
    const platform = issuers().find(({ issuer }) => issuer === token.issuer)
    if (!platform) return refuse('identity_untrusted', 'a token of an issuer that is not taken here')
    const wrong = (what: string): Proven => refuse('identity_invalid', `${platform.name}: ${what}`)
    if (!platform.algorithms.includes(token.alg)) return wrong(`a token signed by ${token.alg}`)
    if (!platform.audiences.some((one) => token.audiences.includes(one))) return wrong('a token for another audience')
    const key = await keyOf(token, platform, held, nowMs)
    if (key === undefined) return refuse('identity_untrusted', `${platform.name}: a token by no key of its issuer`)
    if (!(await isSignedBy(token, key))) return wrong('a signature that does not hold')
    const { notBeforeMs, notAfterMs } = token
    if (nowMs > notAfterMs + platform.clockSkewMs) {
      return refuse('identity_expired', `${platform.name}: not valid after ${new Date(notAfterMs).toISOString()}`)
    }
    if (nowMs < notBeforeMs - platform.clockSkewMs) {
      return refuse('identity_expired', `${platform.name}: not valid before ${new Date(notBeforeMs).toISOString()}`)
    }
    const digest = toHex(sha256(utf8(text)))
    return {
      ...{ ok: true, digest, notBeforeMs, notAfterMs, reuse: platform.reuse },
      selectors: selectorsOf(platform.name, token.claims),
      evidence: `${platform.name}:${digest.slice(0, 8)}`,
    }
  }
}

async function keyOf(
  token: ReadToken,
  { keys }: PlatformIssuer,
  held: HeldKeys,
  nowMs: number,
): Promise<TokenKey | undefined> {
  const current = await held.current(keys, nowMs)
  const known = current && keyFor(token, current)
  if (known) return known
  const newer = await held.again(keys, nowMs)
  return newer && keyFor(token, newer)
}

/** Most selectors of one token, and how deep claims are read. What is beyond proves nothing. */
const maxSelectors = 256
const maxDepth = 4

/**
 * `<issuer>:<claim>:<value>`, of nested claims with their steps joined by `/`; each item of a list is one. Colons, slashes
 * and percent signs in a claim's name are written as in URLs, so no two claims read alike. Values that are no printable
 * text are left out.
 */
export function selectorsOf(
  issuer: string,
  claims: { readonly [name: string]: Exact | undefined },
): ReadonlySet<Selector> {
  const found = new Set<Selector>()
  const add = (path: string, value: Exact | undefined, depth: number): void => {
    if (found.size >= maxSelectors || depth > maxDepth) return
    if (Array.isArray(value)) for (const item of value as readonly Exact[]) add(path, item, depth + 1)
    else if (isExactObject(value)) {
      for (const [name, member] of Object.entries(value)) {
        add(path === '' ? escaped(name) : `${path}/${escaped(name)}`, member, depth + 1)
      }
    } else {
      const text = textOf(value)
      const selector = `${issuer}:${path}:${text}`
      if (text !== undefined && text !== '' && path !== '' && selectorShape.test(selector)) found.add(selector)
    }
  }
  add('', claims as Exact, 0)
  return found
}

const escaped = (name: string): string => name.replace(/[%:/]/g, (character) => encodeURIComponent(character))

function textOf(value: Exact | undefined): string | undefined {
  if (typeof value === 'string') return value
  if (value instanceof Decimal) return value.text
  return typeof value === 'number' || typeof value === 'boolean' ? String(value) : undefined
}
