/** An issuer of identity tokens on loopback, as a CI has one: its keys at a URL, and tokens for who holds the bearer. */

import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { exportJWK, generateKeyPair, type JWK, type JWTPayload, SignJWT } from 'jose'
import { onTestFinished } from 'vitest'

export interface Issuer {
  readonly url: string
  readonly jwks: { readonly keys: readonly JWK[] }
  /** What GitHub puts into the environment of a job. */
  readonly env: Readonly<Record<string, string>>
  token(claims: JWTPayload, times?: { readonly iat: number; readonly exp: number }): Promise<string>
}

export const subject = 'repo:acme/policies:ref:refs/heads/main'

export async function openIssuer(nowS: number): Promise<Issuer> {
  const { privateKey, publicKey } = await generateKeyPair('RS256', { extractable: true })
  const jwks = { keys: [{ ...(await exportJWK(publicKey)), kid: 'k1', alg: 'RS256' }] }
  let url = ''
  const token: Issuer['token'] = (claims, { iat, exp } = { iat: nowS, exp: nowS + 300 }) =>
    new SignJWT({ iss: url, sub: subject, ...claims, iat, exp })
      .setProtectedHeader({ alg: 'RS256', kid: 'k1' })
      .sign(privateKey)
  const server = createServer((request, response) => {
    const asked = new URL(request.url ?? '/', url)
    if (asked.pathname === '/jwks') return void response.end(JSON.stringify(jwks))
    if (request.headers.authorization !== 'Bearer job') return void response.writeHead(401).end()
    void token({ aud: asked.searchParams.get('audience') ?? '' }).then((value) =>
      response.end(JSON.stringify({ value })),
    )
  })
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening))
  onTestFinished(() => new Promise((gone) => server.close(() => gone(undefined))))
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const env = { ACTIONS_ID_TOKEN_REQUEST_URL: `${url}/token?api-version=2`, ACTIONS_ID_TOKEN_REQUEST_TOKEN: 'job' }
  return { url, jwks, env, token }
}
