/** An issuer of tokens, its keys, and a request that brings one. */

import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import { readTokenKeys } from '../../../ca/token/key-set.ts'
import type { HeldKeys } from '../../../ca/token/keys.ts'
import { tokenAlgorithms } from '../../../ca/token/read.ts'
import { toBase64Url, utf8 } from '../../../core/bytes.ts'
import type { RequestHead } from '../../../core/facts.ts'
import type { Json } from '../../../core/json.ts'
import type { TokenKey, TokenProvider } from '../../../core/token.ts'

/** A moment in seconds. */
export const nowS = 1_800_000_000
export const nowMs: number = nowS * 1000

export interface Standing {
  readonly iss: string
  readonly aud: string
  readonly sub: string
  readonly exp: number
  readonly iat: number
}

export const standing: Standing = { iss: 'https://id.example', aud: 'shop', sub: 'ada', exp: nowS + 300, iat: nowS }

export interface Signing {
  readonly jwk: { readonly [member: string]: Json | undefined }
  readonly key: CryptoKey
  /** Signs that payload, whatever it is. */
  sign(payload: string | object, header?: object): Promise<string>
}

export async function signing(alg = 'ES256', kid = 'k1'): Promise<Signing> {
  const { publicKey, privateKey } = await generateKeyPair(alg, { extractable: true })
  const jwk = { ...(await exportJWK(publicKey)), kid, alg, use: 'sig' }
  return {
    jwk,
    key: privateKey,
    async sign(payload, header = {}) {
      if (typeof payload !== 'string') {
        return new SignJWT({ ...payload }).setProtectedHeader({ alg, kid, ...header }).sign(privateKey)
      }
      const signed = `${part({ alg, kid, ...header })}.${toBase64Url(utf8(payload))}`
      const algorithm = { name: 'ECDSA', hash: 'SHA-256' }
      const signature = await crypto.subtle.sign(algorithm, privateKey, utf8(signed) as Uint8Array<ArrayBuffer>)
      return `${signed}.${toBase64Url(new Uint8Array(signature))}`
    },
  }
}

export const part = (value: object): string => toBase64Url(utf8(JSON.stringify(value)))

export const setOf = (...keys: readonly Signing['jwk'][]): Uint8Array => utf8(JSON.stringify({ keys }))

export function keysOf(...jwks: readonly Signing['jwk'][]): readonly TokenKey[] {
  const read = readTokenKeys(setOf(...jwks))
  if (!read.ok) throw new Error(read.wrong)
  return read.keys
}

export const providerOf = (keys: readonly TokenKey[], more: Partial<TokenProvider> = {}): TokenProvider => ({
  name: 'staff',
  issuer: standing.iss,
  audiences: ['shop'],
  keys: { kind: 'known', keys },
  from: [{ kind: 'header', name: 'authorization', prefix: 'Bearer ' }],
  clockSkewMs: 60_000,
  algorithms: tokenAlgorithms,
  certificateBound: false,
  ...more,
})

/** Keys that are known are all there are. */
export const knownOnly: HeldKeys = {
  current: (of) => (of.kind === 'known' ? of.keys : undefined),
  again: (of) => (of.kind === 'known' ? of.keys : undefined),
}

export const headOf = (headers: Readonly<Record<string, string>>, query?: string): RequestHead => ({
  ...{ method: 'GET', authority: 'shop', path: '/', query, headers, protocol: 'HTTP/1.1', scheme: 'https' },
})

export const bearing = (token: string): RequestHead => headOf({ authorization: `Bearer ${token}` })
