/** What an authority keeps: its roots, issuers and keys as one document, in a file or wherever several can share it. */

import { fromBase64, toBase64 } from '../../core/bytes.ts'
import { WritError } from '../../core/fault.ts'
import { isObject, parseJson } from '../../core/json.ts'
import { parseTrustDomain, type TrustDomain } from '../../core/spiffe.ts'
import type { Authorities, AuthorityFacts, AuthorityPhase } from '../authorities.ts'
import type { FormerIssuer } from '../issuers.ts'
import { readJwtKey } from '../jwt.ts'
import { fileDocument, type StoredDocument } from './document.ts'

/** An authority with its keys: `rootKey` as its place names it, the others sealed PEM. */
export interface HeldAuthority extends AuthorityFacts {
  readonly rootKey: string
  /** The certificate that signs leaves, DER. */
  readonly issuer: Uint8Array
  /** What is between it and the root, DER; nothing where the root signed it. */
  readonly intermediates: readonly Uint8Array[]
  readonly issuerKey: string
  readonly tokenKey: string
  /** In the order that they signed. */
  readonly former: readonly HeldFormer[]
}

/** A former issuer. Its key is there for as long as it may sign again. */
export interface HeldFormer extends FormerIssuer {
  readonly issuer: Uint8Array
  readonly intermediates: readonly Uint8Array[]
  readonly issuerKey?: string
}

/** `authority.json` in a folder of mode 0700, itself 0600. One process has the folder at a time. */
export const authorityFile = (dir: string): StoredDocument => fileDocument(dir, 'authority.json')

const format = 1

export function authoritiesText(
  trustDomain: TrustDomain,
  version: number,
  { sequence, paused, list }: Authorities<HeldAuthority>,
): string {
  const authorities = list.map((one) => ({
    ...one,
    root: toBase64(one.root),
    issuer: toBase64(one.issuer),
    intermediates: one.intermediates.map(toBase64),
    former: one.former.map((former) => ({
      ...former,
      issuer: toBase64(former.issuer),
      intermediates: former.intermediates.map(toBase64),
    })),
  }))
  const value = { v: format, version, trust_domain: trustDomain, sequence, paused, authorities }
  return `${JSON.stringify(value, undefined, 2)}\n`
}

/** Throws `certificate_invalid` where the text is damaged, `config_invalid` where it is another trust domain's. */
export function readAuthorities(text: string, trustDomain: TrustDomain): Authorities<HeldAuthority> {
  const value = parseJson(text)
  if (isObject(value) && typeof value['v'] === 'number' && value['v'] > format) {
    throw new WritError('version', `the authority's state is of version ${value['v']}`, {
      cure: 'run the newer program that wrote it',
    })
  }
  const domain = isObject(value) && typeof value['trust_domain'] === 'string' && parseTrustDomain(value['trust_domain'])
  const list = isObject(value) && Array.isArray(value['authorities']) ? value['authorities'].map(readAuthority) : []
  const active = list.filter((one) => one?.phase === 'active')
  if (!isObject(value) || !domain || list.includes(undefined) || active.length !== 1 || !isCount(value['sequence'])) {
    throw new WritError('certificate_invalid', "the authority's state is damaged", {
      cure: 'restore it from a backup; a new root would be unknown to every workload',
    })
  }
  if (domain !== trustDomain) {
    throw new WritError('config_invalid', `this is the authority of ${domain}, not of ${trustDomain}`, {
      cure: 'give each trust domain a folder of its own',
    })
  }
  return { sequence: value['sequence'], paused: value['paused'] === true, list: list as HeldAuthority[] }
}

const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0
const phases: readonly unknown[] = ['prepared', 'active', 'retired'] satisfies AuthorityPhase[]

const derOf = (value: unknown): Uint8Array | undefined => (typeof value === 'string' ? fromBase64(value) : undefined)

function readAuthority(value: unknown): HeldAuthority | undefined {
  if (!isObject(value)) return undefined
  const { id, phase, root, issuer, intermediates, rootKey, issuerKey, tokenKey, jwtKey, former = [] } = value
  const counts = ['notBeforeMs', 'notAfterMs', 'publishedIn', 'preparedAtMs', 'longestMs']
  const later = ['activatedAtMs', 'retiredAtMs']
  const key = readJwtKey(isObject(jwtKey) ? { ...jwtKey, use: 'jwt-svid' } : undefined)
  const [rootDer, issuerDer] = [derOf(root), derOf(issuer)]
  const texts = [id, rootKey, issuerKey, tokenKey].every((text) => typeof text === 'string' && text !== '')
  const whole =
    texts &&
    phases.includes(phase) &&
    counts.every((name) => isCount(value[name])) &&
    later.every((name) => value[name] === undefined || isCount(value[name]))
  const between = dersOf(intermediates)
  const formers = Array.isArray(former) ? former.map(readFormer) : [undefined]
  if (!whole || !key || !rootDer || !issuerDer || !between || formers.includes(undefined)) return undefined
  return {
    ...(value as unknown as HeldAuthority),
    ...{ root: rootDer, issuer: issuerDer, intermediates: between, jwtKey: key, former: formers as HeldFormer[] },
  }
}

/** None where the list is missing: states of before had no certificates in between. */
function dersOf(value: unknown = []): readonly Uint8Array[] | undefined {
  const ders = Array.isArray(value) ? value.map(derOf) : [undefined]
  return ders.includes(undefined) ? undefined : (ders as Uint8Array[])
}

function readFormer(value: unknown): HeldFormer | undefined {
  if (!isObject(value)) return undefined
  const { serial, issuerKey, notAfterMs, retiredAtMs } = value
  const [issuer, intermediates] = [derOf(value['issuer']), dersOf(value['intermediates'])]
  const later = ['distrustedAtMs', 'deniedAtMs'].every((name) => value[name] === undefined || isCount(value[name]))
  const texts = typeof serial === 'string' && (issuerKey === undefined || typeof issuerKey === 'string')
  if (!issuer || !intermediates || !texts || !later || !isCount(notAfterMs) || !isCount(retiredAtMs)) return undefined
  return { ...(value as unknown as HeldFormer), issuer, intermediates }
}
