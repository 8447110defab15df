/** Signatures over the heads of a producer's records, by the key that its SVID speaks for. */

import type { KeyObject } from 'node:crypto'
import type { Svid } from '../../core/identity.ts'
import type { IdentitySource, SignHead, VerifyHead } from '../../core/ports.ts'
import { trustDomainOf } from '../../core/spiffe.ts'
import { verifySvid } from '../svid.ts'
import { privateKeyOf, sha256Hex, signPair, verifyPair, verifySignature } from './crypto.ts'

/** Signs with whichever certificate is current; its key is read once. */
export function signHeadWith(source: IdentitySource): SignHead {
  let held: { readonly svid: Svid; readonly key: KeyObject; readonly signer: string } | undefined
  return (payload) => {
    const { svid } = source.current()
    if (held?.svid !== svid) held = { svid, key: privateKeyOf(svid.keyPem), signer: sha256Hex(svid.chain[0]!) }
    return { signer: held.signer, signature: signPair(held.key, payload) }
  }
}

export const verifyHead: VerifyHead = ({ payload, signature, chain, roots, producer, atMs }) => {
  const bundle = { trustDomain: trustDomainOf(producer), sequence: 0, roots }
  const answer = verifySvid(chain, bundle, atMs, verifySignature)
  if (!answer.ok) return { ok: false, detail: answer.detail }
  if (answer.identity.id !== producer) return { ok: false, detail: `the certificate is that of ${answer.identity.id}` }
  const leaf = answer.path[0]!
  if (leaf.key !== 'p256' || !verifyPair(leaf.spki, payload, signature)) {
    return { ok: false, detail: 'the signature does not hold' }
  }
  return { ok: true }
}
