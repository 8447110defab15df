/**
 * TLS towards callers from outside: a certificate for each host, chosen by the name that the caller asks for (RFC 6066
 * section 3). A caller that names no host, or one that is not served, gets no handshake. A certificate that is replaced is
 * shown to the next connection; those that are open go on.
 */

import { constants } from 'node:crypto'
import { createSecureContext, type SecureContext, type TLSSocket, type TlsOptions } from 'node:tls'
import { messageOf } from '../../core/fault.ts'
import type { Certificates, IdentitySource } from '../../core/ports.ts'
import type { ClientCertificates } from '../../core/snapshot.ts'
import type { FindSite } from '../flow/gateway.ts'
import type { ListenerTls, Shown } from './listener-tls.ts'
import { leafOf, peerOf } from './peer.ts'

export interface GatewayTlsOptions {
  readonly certificates: Certificates
  /** Its bundles say which SVIDs hold: callers are judged again when they change. */
  readonly source: IdentitySource
  /** As the newest snapshot has it. */
  readonly site: FindSite
  readonly clients: ClientCertificates['mode'] | undefined
  /** Oldest version that is spoken. Default 1.3. */
  readonly minTls: '1.2' | undefined
  /** A host has no certificate that can be shown. */
  readonly onMissing: (text: string) => void
}

/**
 * Of every context alike, so that none falls back to a default. No session is resumed: it would show no certificate. Of TLS
 * 1.2 what RFC 9325 section 4.2 and RFC 9113 section 9.2.2 recommend: ephemeral keys, ciphers that authenticate, and no
 * renegotiation.
 */
const commonOf = (minTls: '1.2' | undefined) =>
  ({
    minVersion: minTls === '1.2' ? 'TLSv1.2' : 'TLSv1.3',
    secureOptions: constants.SSL_OP_NO_TICKET | constants.SSL_OP_NO_RENEGOTIATION,
    ...(minTls === '1.2' && { ciphers: ciphers.join(':') }),
  }) as const

const ciphers: readonly string[] = [
  ...['TLS_AES_256_GCM_SHA384', 'TLS_CHACHA20_POLY1305_SHA256', 'TLS_AES_128_GCM_SHA256'],
  ...['ECDHE-ECDSA-AES128-GCM-SHA256', 'ECDHE-RSA-AES128-GCM-SHA256'],
  ...['ECDHE-ECDSA-AES256-GCM-SHA384', 'ECDHE-RSA-AES256-GCM-SHA384'],
  ...['ECDHE-ECDSA-CHACHA20-POLY1305', 'ECDHE-RSA-CHACHA20-POLY1305'],
]

export function gatewayTls(options: GatewayTlsOptions): ListenerTls {
  const { certificates, source, clients } = options
  const common = commonOf(options.minTls)
  /** By the certificates' names: what was made of them, until one of them changes. */
  const made = new Map<string, SecureContext | undefined>()

  function contextOf(host: string): SecureContext | undefined {
    const site = options.site(host)
    if (site?.serves !== 'https') return undefined
    const key = site.certificates.join(' ')
    if (!made.has(key)) made.set(key, firstOf(site.certificates, host))
    return made.get(key)
  }

  function firstOf(names: readonly string[], host: string): SecureContext | undefined {
    const problems: string[] = []
    for (const name of names) {
      const pair = certificates.serving(name)
      if (!pair) problems.push(`there is no certificate ${name}`)
      else {
        try {
          return createSecureContext({ ...common, cert: pair.certificates, key: pair.key, ca: [] })
        } catch (thrown) {
          problems.push(`certificate ${name}: ${messageOf(thrown)}`)
        }
      }
    }
    options.onMissing(`nothing is served for ${host}: ${problems.join('; ')}`)
    return undefined
  }

  return {
    options: (): TlsOptions => ({
      ...common,
      ca: [],
      ALPNProtocols: ['h2', 'http/1.1'],
      requestCert: clients !== undefined,
      rejectUnauthorized: false, // `Identify` is the judge, right after the handshake.
      SNICallback(name, answer) {
        const context = contextOf(name.toLowerCase())
        if (context) answer(null, context)
        else answer(new Error('no certificate for the host that was asked for'))
      },
    }),
    shown: (socket): Shown => shownBy(socket, clients),
    subscribe(changed) {
      const ends = [
        source.subscribe(changed),
        certificates.subscribe(() => {
          made.clear()
          changed()
        }),
      ]
      return () => {
        for (const end of ends) end()
      }
    },
  }
}

/** Nobody is asked for a name that no site wants. One that is wanted and not shown is none, where that may be. */
function shownBy(socket: TLSSocket, clients: ClientCertificates['mode'] | undefined): Shown {
  const stranger = {
    evidence: { kind: 'none' },
    address: socket.remoteAddress ?? '',
    port: socket.remotePort ?? 0,
  } as const
  if (clients === undefined) return { peer: { ...stranger } }
  if (clients === 'optional' && !socket.isSessionReused() && !leafOf(socket)) {
    return { peer: { ...stranger } }
  }
  return peerOf(socket)
}
