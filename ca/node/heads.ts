/** Signatures over the heads of a producer's records, by the key that its SVID speaks for. */

import type { KeyObject } from 'node:crypto'
import { equalBytes } from '../../core/bytes.ts'
import type { Identity, Svid } from '../../core/identity.ts'
import type { IdentitySource, SignHead, VerifyHead } from '../../core/ports.ts'
import { type SpiffeId, trustDomainOf } from '../../core/spiffe.ts'
import { verifySvid } from '../svid.ts'
import { privateKeyOf, publicKeyOf, sha256Hex, signPair, verifyPair, verifySignature } from './crypto.ts'

/** Signs with whichever certificate is current; its key is read once. */
export function signHeadWith(source: IdentitySource): SignHead {
  let held: { readonly svid: Svid; readonly key: KeyObject; readonly signer: string } | undefined
  return (payload) => {
    const { svid } = source.current()
    if (held?.svid !== svid) held = { svid, key: privateKeyOf(svid.keyPem), signer: sha256Hex(svid.chain[0]!) }
    return { signer: held.signer, signature: signPair(held.key, payload) }
  }
}

/** What a chain was found to prove: the same for every head that it signs in its time, under the same roots. */
interface Proven {
  readonly roots: readonly Uint8Array[]
  readonly identity: Identity
  readonly key: KeyObject
}

/** By the array of certificates itself, which a reader of heads keeps for as long as its producer signs with them. */
const proven = new WeakMap<readonly Uint8Array[], Proven>()

export const verifyHead: VerifyHead = ({ payload, signature, chain, roots, producer, atMs }) => {
  const known = proven.get(chain)
  const holds = known !== undefined && isWithin(known.identity, atMs) && sameBytes(known.roots, roots)
  const path = holds ? known : prove(chain, roots, producer, atMs)
  if ('wrong' in path) return { ok: false, detail: path.wrong }
  const { id } = path.identity
  if (id !== producer) return { ok: false, detail: `the certificate is that of ${id}` }
  return verifyPair(path.key, payload, signature) ? { ok: true } : { ok: false, detail: 'the signature does not hold' }
}

function prove(
  chain: readonly Uint8Array[],
  roots: readonly Uint8Array[],
  producer: SpiffeId,
  atMs: number,
): Proven | { readonly wrong: string } {
  const bundle = { trustDomain: trustDomainOf(producer), sequence: 0, roots }
  const answer = verifySvid(chain, bundle, atMs, verifySignature)
  if (!answer.ok) return { wrong: answer.detail }
  const leaf = answer.path[0]!
  if (leaf.key !== 'p256') return { wrong: 'the signature does not hold' }
  const path = { roots, identity: answer.identity, key: publicKeyOf(leaf.spki) }
  proven.set(chain, path)
  return path
}

const isWithin = ({ notBeforeMs, notAfterMs }: Identity, atMs: number): boolean =>
  notBeforeMs <= atMs && atMs <= notAfterMs

const sameBytes = (a: readonly Uint8Array[], b: readonly Uint8Array[]): boolean =>
  a === b || (a.length === b.length && a.every((bytes, i) => equalBytes(bytes, b[i]!)))
