/** The messages of the SPIFFE Workload API (SPIFFE_Workload_API sections 5 and 6, `workload.proto`). */

import { concat, fromBase64, utf8 } from '../../core/bytes.ts'
import type { JwtKey, Svid, TrustBundle } from '../../core/identity.ts'
import type { Json } from '../../core/json.ts'
import type { TrustDomain } from '../../core/spiffe.ts'
import type { HeldIdentities, HeldSvid } from '../../core/workload.ts'
import { decode, encode, entry, type Field, structOf, textOf, textsOf } from './proto.ts'

/** The proto has no package, so this is the whole name of the service. */
export const workloadService = 'SpiffeWorkloadAPI'

/** X509SVIDResponse: all identities with their keys, own bundles beside them, federated ones in a map. */
export function x509SvidResponse(held: HeldIdentities): Uint8Array {
  const federated = new Set(held.svids.flatMap(({ federatesWith }) => federatesWith))
  const hints = uniqueHints(held.svids)
  const fields = held.svids.map((one, i): Field => [1, x509Svid({ ...one, hint: hints[i]! }, held)])
  for (const domain of federated) {
    const bundle = held.bundles.get(domain)
    if (bundle) fields.push(entry(3, domainId(domain), rootsOf(bundle)))
  }
  return encode(...fields)
}

/** Section 5.2.1: a hint stands once in a response, and then with the first identity that has it. */
const uniqueHints = (svids: readonly HeldSvid[]): readonly string[] =>
  svids.map(({ hint }, i) => (svids.findIndex((other) => other.hint === hint) === i ? hint : ''))

function x509Svid({ svid, hint }: HeldSvid, { bundles }: HeldIdentities): Uint8Array {
  const bundle = bundles.get(svid.id.split('/')[2] as TrustDomain)
  return encode(
    [1, svid.id],
    [2, concat(...svid.chain)],
    [3, pkcs8Of(svid)],
    [4, bundle ? rootsOf(bundle) : new Uint8Array()],
    ...(hint === '' ? [] : [[5, hint] as const]),
  )
}

/** X509BundlesResponse: the roots of each trust domain under its id. */
export const x509BundlesResponse = ({ bundles }: HeldIdentities): Uint8Array =>
  encode(...[...bundles.values()].map((bundle) => entry(2, domainId(bundle.trustDomain), rootsOf(bundle))))

/** JWTBundlesResponse: the keys of each trust domain as a standard JWK set, so without `use`, under its id. */
export const jwtBundlesResponse = ({ bundles }: HeldIdentities): Uint8Array =>
  encode(
    ...[...bundles.values()].map(({ trustDomain, jwtKeys = [] }) => entry(1, domainId(trustDomain), keySet(jwtKeys))),
  )

const keySet = (keys: readonly JwtKey[]): Uint8Array => utf8(JSON.stringify({ keys }))

/** JWTSVIDResponse. */
export const jwtSvidResponse = (
  tokens: readonly { readonly id: string; readonly token: string; readonly hint: string }[],
): Uint8Array =>
  encode(
    ...tokens.map(
      ({ id, token, hint }): Field => [1, encode([1, id], [2, token], ...(hint === '' ? [] : [[3, hint] as const]))],
    ),
  )

/** ValidateJWTSVIDResponse. */
export const validateResponse = (id: string, claims: { readonly [name: string]: Json | undefined }): Uint8Array =>
  encode([1, id], [2, structOf(claims)])

/** JWTSVIDRequest: the audiences, and the one id that is wanted, empty for all. */
export function readJwtSvidRequest(
  bytes: Uint8Array,
): { readonly audiences: readonly string[]; readonly id: string } | { readonly wrong: string } {
  const read = decode(bytes)
  if ('wrong' in read) return read
  const [audiences, id] = [textsOf(read.fields, 1), textOf(read.fields, 2)]
  return audiences && id !== undefined ? { audiences, id } : { wrong: 'a text that is no UTF-8' }
}

/** ValidateJWTSVIDRequest. */
export function readValidateRequest(
  bytes: Uint8Array,
): { readonly audience: string; readonly token: string } | { readonly wrong: string } {
  const read = decode(bytes)
  if ('wrong' in read) return read
  const [audience, token] = [textOf(read.fields, 1), textOf(read.fields, 2)]
  return audience !== undefined && token !== undefined ? { audience, token } : { wrong: 'a text that is no UTF-8' }
}

const domainId = (trustDomain: TrustDomain): string => `spiffe://${trustDomain}`

const rootsOf = ({ roots }: TrustBundle): Uint8Array => concat(...roots)

/** PKCS#8 DER, not encrypted. */
const pkcs8Of = ({ keyPem }: Svid): Uint8Array => fromBase64(keyPem.replace(/-----[^-]+-----|\s/g, ''))!
