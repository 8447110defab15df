/** An authority above, as tests want it: it can turn to a new root, fail, and allow too little. */

import { provenKey } from '../../ca/csr.ts'
import { keyIdOf, newKeyPair, privateKeyOf, verifySignature } from '../../ca/node/crypto.ts'
import type { IssuerRequest, Upstream } from '../../ca/node/upstream.ts'
import { nameOf, newSerial, writeCertificate } from '../../ca/node/write.ts'
import { random } from './world.ts'

const dayMs = 86_400_000

export interface Above extends Upstream {
  /** A new root from now on. */
  turn(): void
  asked: number
  fails: boolean
  pathLen: number
  lifeMs: number
}

/** A root of P-384 and an intermediate, which are named after no trust domain. */
export function above(nowMs: () => number): Above {
  const signer = (name: string) => ({ ...newKeyPair('p384'), subject: nameOf(name) })
  let [root, middle] = [signer('Root'), signer('Middle')]
  let roots: Uint8Array | undefined
  const write = (subject: { spki: Uint8Array; subject: Uint8Array }, by: typeof root, more: object) =>
    writeCertificate(
      {
        ...{ serial: newSerial(random), issuer: by.subject, subject: subject.subject, spki: subject.spki },
        ...{ issuerKeyId: keyIdOf(by.spki), uris: [], dns: [], constrainTo: undefined, ca: { pathLen: undefined } },
        ...{ notBeforeMs: nowMs() - 60_000, notAfterMs: nowMs() + 3650 * dayMs, ...more },
      },
      privateKeyOf(by.keyPem),
    )
  return {
    ...{ ref: 'upstream:test', asked: 0, fails: false, pathLen: 1, lifeMs: 365 * dayMs },
    turn() {
      ;[root, middle] = [signer('Root 2'), signer('Middle 2')]
      roots = undefined
    },
    async sign({ csr, commonName, trustDomain }: IssuerRequest) {
      this.asked++
      if (this.fails) throw new Error('nobody is there')
      const key = provenKey(csr, verifySignature)
      if ('wrong' in key) throw new Error(key.wrong)
      const issuer = { spki: key.spki, subject: nameOf(trustDomain, commonName) }
      const ends = { notAfterMs: nowMs() + this.lifeMs }
      return [
        write(issuer, middle, { uris: [`spiffe://${trustDomain}`], ca: { pathLen: 0 }, ...ends }),
        write(middle, root, { ca: { pathLen: this.pathLen } }),
        (roots ??= write(root, root, {})),
      ]
    },
  }
}
