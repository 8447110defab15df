/** A control plane's certificate endpoints on loopback TLS, as small as they can be. */

import { createServer, type Server } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { onTestFinished } from 'vitest'
import { makeIdentify } from '../../ca/identify.ts'
import type { Authority } from '../../ca/node/authority.ts'
import { verifySignature } from '../../ca/node/crypto.ts'
import { chainOf } from '../../ca/node/https.ts'
import { pemOf } from '../../ca/node/pem.ts'
import { makeRegistrar, type Registrar } from '../../ca/node/registrar.ts'
import { memoryTokens } from '../../ca/node/tokens.ts'
import { issuedJson, mintedJson, trustJson } from '../../ca/wire.ts'
import { fromBase64 } from '../../core/bytes.ts'
import { messageOf, WritError } from '../../core/fault.ts'
import type { Identified, TrustBundle } from '../../core/identity.ts'
import type { SpiffeId } from '../../core/spiffe.ts'
import { bundlesOf, id, keepAll, newSvid, random } from './world.ts'

export const controlId: SpiffeId = id('spiffe://bank.example/writ/control')

export interface TestControl {
  readonly url: string
  readonly registrar: Registrar
  readonly server: Server
  /** `METHOD path` of each request, and `resumed` for each handshake that resumed a session. */
  readonly seen: string[]
}

export async function startControl(
  authority: Authority,
  more: { readonly as?: SpiffeId; readonly show?: TrustBundle; readonly svidTtlMs?: number } = {},
): Promise<TestControl> {
  const { as = controlId, show = authority.bundle(), svidTtlMs = 3_600_000 } = more
  const own = newSvid(authority, as)
  const { sink } = keepAll()
  const registrar = makeRegistrar({ authority, tokens: memoryTokens(), sink, nowMs: Date.now, random, svidTtlMs })
  const bundles = bundlesOf(authority.bundle())
  const identify = makeIdentify(() => ({ generation: 1, bundles, denied: new Set() }), verifySignature)
  const seen: string[] = []
  const server = createServer({
    key: own.keyPem,
    cert: own.chain.map((der) => pemOf(der, 'CERTIFICATE')).join(''),
    minVersion: 'TLSv1.3',
    requestCert: true,
    rejectUnauthorized: false,
  })
  server.on('secureConnection', (socket: TLSSocket) => socket.isSessionReused() && seen.push('resumed'))
  server.on('request', async (request, response) => {
    seen.push(`${request.method} ${request.url}`)
    let text = ''
    for await (const part of request) text += part
    const body = text === '' ? {} : JSON.parse(text)
    const chain = chainOf(request.socket as TLSSocket)
    const peer = { evidence: { kind: 'x509', chain } as const, address: '127.0.0.1', port: 0 }
    const caller = chain.length === 0 ? undefined : ((await identify(peer, Date.now())) as Identified)
    const csr = () => fromBase64(body.csr)!
    const answer = async (): Promise<unknown> => {
      switch (request.url) {
        case '/v1/trust':
          return trustJson(show)
        case '/v1/join':
          return issuedJson(await registrar.join(body.token, csr()))
        case '/v1/renew':
          if (!caller?.ok) throw new WritError('unauthorized', caller?.detail ?? 'no certificate', { cure: 'join' })
          return issuedJson(await registrar.renew(caller.identity, csr()))
        case '/v1/jwt':
          if (!caller?.ok) throw new WritError('unauthorized', caller?.detail ?? 'no certificate', { cure: 'join' })
          return mintedJson(await registrar.mintJwt(caller.identity, body.audience))
        case '/v1/large':
          return 'x'.repeat(10_000)
        case '/v1/silence':
          return new Promise(() => {})
        default:
          return { caller: caller?.ok ? caller.identity.id : undefined, body, etag: request.headers['if-none-match'] }
      }
    }
    try {
      response.end(JSON.stringify(await answer()))
    } catch (thrown) {
      const code = thrown instanceof WritError ? thrown.code : 'internal'
      response.statusCode = code === 'unauthorized' || code === 'token_invalid' ? 401 : 400
      response.end(JSON.stringify({ code, detail: messageOf(thrown), cure: 'try again' }))
    }
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  return { url: `https://127.0.0.1:${(server.address() as AddressInfo).port}`, registrar, server, seen }
}
