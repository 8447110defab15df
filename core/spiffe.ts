/** Names of workloads and trust domains. Text becomes a name here, once; after that the type is the proof. */

declare const is: unique symbol

/** A trust domain name: `bank.example`. At most 255 bytes of `[a-z0-9._-]` (SPIFFE-ID section 2.1). */
export type TrustDomain = string & { readonly [is]: 'TrustDomain' }

/** A workload's name: `spiffe://bank.example/orders`. At most 2048 bytes, with a path (SPIFFE-ID section 2). */
export type SpiffeId = string & { readonly [is]: 'SpiffeId' }

const domainShape = /^[a-z0-9._-]{1,255}$/

/** SPIFFE-ID section 2: a lower-case trust domain, then steps that are never empty, "." or "..". */
const idShape = /^spiffe:\/\/[a-z0-9._-]{1,255}(?:\/(?!\.{1,2}(?:\/|$))[A-Za-z0-9._-]+)+$/

/** Upper case is refused, never mended (SPIFFE-ID section 2.1). */
export function parseTrustDomain(text: string): TrustDomain | undefined {
  return domainShape.test(text) ? (text as TrustDomain) : undefined
}

/** A workload's id. An id without a path names a trust domain, not a workload, and is refused here. */
export function parseSpiffeId(text: string): SpiffeId | undefined {
  return text.length <= 2048 && idShape.test(text) ? (text as SpiffeId) : undefined
}

export function trustDomainOf(id: SpiffeId): TrustDomain {
  const end = id.indexOf('/', 9)
  return id.slice(9, end) as TrustDomain
}

/** The path after the trust domain, with its leading slash: `/orders`. */
export function pathOf(id: SpiffeId): string {
  return id.slice(id.indexOf('/', 9))
}

/** The id of `path` (`orders` or `/ns/a/sa/b`) in a trust domain, or undefined where the two do not make one. */
export function spiffeId(trustDomain: TrustDomain, path: string): SpiffeId | undefined {
  return parseSpiffeId(`spiffe://${trustDomain}${path.startsWith('/') ? path : `/${path}`}`)
}

/** Whether an id is meant by a name: the whole id, or the end of its path, `web` of `spiffe://bank.example/ns/shop/web`. */
export const isNamed = (id: string, name: string): boolean =>
  id === name || (!name.startsWith('spiffe://') && id.endsWith(`/${name}`))
