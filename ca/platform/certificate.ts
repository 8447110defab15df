/** Certificates that were there before the mesh, as proof of a node: the handshake has shown that it holds the key. */

import { sha256 } from '@noble/hashes/sha2.js'
import { toHex } from '../../core/bytes.ts'
import type { IdentityRefusal } from '../../core/identity.ts'
import type { PlatformRoots, Proven } from '../../core/platform.ts'
import type { Selector } from '../../core/workload.ts'
import type { VerifySignature } from '../algorithms.ts'
import { parseRevocationList } from '../crl.ts'
import { selectorShape } from '../entries.ts'
import { usages } from '../extensions.ts'
import { checkPath, maxChain } from '../path.ts'
import { readRoots } from '../svid.ts'
import { type Certificate, parseCertificate } from '../x509.ts'

const refuse = (code: IdentityRefusal, detail: string): Proven => ({ ok: false, code, detail })

/** The first set of roots that the chain leads to, each tried alone: roots of two platforms are never pooled. */
export function proveCertificate(
  ders: readonly Uint8Array[],
  platforms: readonly PlatformRoots[],
  denied: ReadonlySet<string>,
  nowMs: number,
  verify: VerifySignature,
): Proven {
  if (ders.length === 0) return refuse('identity_missing', 'no certificate')
  if (ders.length > maxChain) return refuse('identity_invalid', `a chain of ${ders.length} certificates`)
  const chain: Certificate[] = []
  for (const der of ders) {
    const read = parseCertificate(der)
    if ('wrong' in read) return refuse('identity_invalid', read.wrong)
    chain.push(read.certificate)
  }
  const { basicConstraints, keyUsage } = chain[0]!.extensions
  if (basicConstraints?.ca) return refuse('identity_invalid', 'a signing certificate, which authenticates nobody')
  if (keyUsage && !keyUsage.bits.has('digitalSignature')) {
    return refuse('identity_invalid', 'key usage without digitalSignature')
  }
  let refusal = refuse('identity_untrusted', 'no roots of a platform are taken here')
  for (const { name, roots, lists: given = [] } of platforms) {
    const lists = given.map(parseRevocationList)
    const unread = lists.find((list) => 'wrong' in list)
    if (unread) {
      refusal = refuse('identity_invalid', `${name}: a revocation list that cannot be read`)
      continue
    }
    const read = lists.flatMap((list) => ('list' in list ? [list.list] : []))
    const path = checkPath(chain, readRoots(roots), { nowMs, usages: [usages.clientAuth], verify, lists: read })
    if (!path.ok) {
      refusal = refuse(path.code, `${name}: ${path.detail}`)
      continue
    }
    const out = path.path.find(({ serial }) => denied.has(serial))
    if (out) return refuse('identity_revoked', `certificate ${out.serial} is on the deny list`)
    const digest = toHex(sha256(ders[0]!))
    const { notBeforeMs, notAfterMs } = path
    const selectors = selectorsOf(name, chain[0]!, digest)
    return {
      ...{ ok: true, selectors, digest, reuse: true, notBeforeMs, notAfterMs },
      evidence: `${name}:${digest.slice(0, 8)}`,
    }
  }
  return refusal
}

function selectorsOf(name: string, leaf: Certificate, digest: string): ReadonlySet<Selector> {
  const { dns = [], uris = [] } = leaf.extensions.subjectAltName ?? {}
  const said = [
    ...[`sha256:${digest}`, `spki:${toHex(sha256(leaf.spki))}`, `serial:${leaf.serial}`],
    ...dns.map((one) => `dns:${one.toLowerCase()}`),
    ...uris.map((one) => `uri:${one}`),
  ]
  return new Set(said.map((one) => `${name}:${one}`).filter((one) => selectorShape.test(one)))
}
