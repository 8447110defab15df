/** Messages of Envoy's secret discovery service (`envoy/service/secret/v3`, `transport_sockets/tls/v3`). */

import { utf8 } from '../../../core/bytes.ts'
import type { TrustBundle } from '../../../core/identity.ts'
import { parseTrustDomain, trustDomainOf } from '../../../core/spiffe.ts'
import type { HeldIdentities, HeldSvid } from '../../../core/workload.ts'
import { decode, encode, type Field, textOf, textsOf } from '../../workload/proto.ts'
import { pemOf } from '../pem.ts'

export const secretService = 'envoy.service.secret.v3.SecretDiscoveryService'
const types = 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3'
export const secretType: string = `${types}.Secret`

/** Names that stand for whatever the caller has; any other is a SPIFFE ID or a trust domain's. */
export const defaultSecret = 'default'
export const ownRoots = 'ROOTCA'
export const allRoots = 'ALL'

export interface SecretRequest {
  readonly names: readonly string[]
  /** The answer that this one is about; empty in the first request of a stream. */
  readonly nonce: string
  /** Why Envoy refused that answer. */
  readonly refused: string | undefined
}

/** DiscoveryRequest. */
export function readSecretRequest(bytes: Uint8Array): SecretRequest | { readonly wrong: string } {
  const read = decode(bytes)
  if ('wrong' in read) return read
  const { fields } = read
  const [names, type, nonce] = [textsOf(fields, 3), textOf(fields, 4), textOf(fields, 5)]
  if (!names || type === undefined || nonce === undefined) return { wrong: 'a text that is no UTF-8' }
  if (type !== '' && type !== secretType) return { wrong: `resources of the type ${type} are not served here` }
  if (names.length > 100) return { wrong: 'more than 100 names' }
  const error = fields.get(6)?.at(-1)
  const detail = error && decode(error)
  const refused = detail && ('fields' in detail ? (textOf(detail.fields, 2) ?? '') : detail.wrong)
  return { names, nonce, refused }
}

/** DiscoveryResponse. A name that the caller may not have is left out. */
export function secretResponse(held: HeldIdentities, names: readonly string[], nonce: string): Uint8Array {
  const wanted = names.length > 0 ? names : [defaultSecret, ownRoots]
  const resources = [...new Set(wanted)].flatMap((name): Field[] => {
    const secret = secretOf(held, name)
    return secret ? [[2, encode([1, secretType], [2, secret])]] : []
  })
  return encode([1, nonce], ...resources, [4, secretType], [5, nonce])
}

function secretOf(held: HeldIdentities, name: string): Uint8Array | undefined {
  const first = held.svids[0]
  if (name === allRoots) return encode([1, name], [4, spiffeValidation([...held.bundles.values()])])
  if (name === ownRoots) {
    const own = first && held.bundles.get(trustDomainOf(first.svid.id))
    return own && encode([1, name], [4, spiffeValidation([own])])
  }
  const svid = name === defaultSecret ? first : held.svids.find(({ svid }) => svid.id === name)
  if (svid) return encode([1, name], [2, tlsCertificate(svid)])
  const domain = name.startsWith('spiffe://') ? parseTrustDomain(name.slice(9)) : undefined
  const bundle = domain && held.bundles.get(domain)
  return bundle && encode([1, name], [4, spiffeValidation([bundle])])
}

const inline = (text: string): Uint8Array => encode([2, utf8(text)])

const tlsCertificate = ({ svid }: HeldSvid): Uint8Array =>
  encode([1, inline(pem(svid.chain))], [2, inline(svid.keyPem)])

/**
 * Envoy's SPIFFE validator: each trust domain has roots of its own, so none can vouch for a name of another. A plain list
 * of roots (`trusted_ca`) would pool them.
 */
function spiffeValidation(bundles: readonly TrustBundle[]): Uint8Array {
  const domains = bundles.map(({ trustDomain, roots }): Field => [1, encode([1, trustDomain], [2, inline(pem(roots))])])
  const config = encode([1, `${types}.SPIFFECertValidatorConfig`], [2, encode(...domains)])
  return encode([12, encode([1, 'envoy.tls.cert_validator.spiffe'], [2, config])])
}

const pem = (ders: readonly Uint8Array[]): string => ders.map((der) => pemOf(der, 'CERTIFICATE')).join('')
