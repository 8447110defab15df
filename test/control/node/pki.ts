/** Certificates for tests of the doors, where somebody else judges them: RSA, made by node-forge. */

import { generateKeyPairSync } from 'node:crypto'
import forge from 'node-forge'
import type { IdentityState } from '../../../core/identity.ts'
import type { SpiffeId, TrustDomain } from '../../../core/spiffe.ts'

export interface TestIdentity {
  readonly certPem: string
  readonly keyPem: string
  /** DER, the leaf first, with its issuer. */
  readonly chain: readonly Uint8Array[]
}

const trustDomain = 'bank.example' as TrustDomain
const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
const keyPem = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
const issuerKey = forge.pki.privateKeyFromPem(privateKey.export({ type: 'pkcs1', format: 'pem' }).toString())
const publicPem = publicKey.export({ type: 'spki', format: 'pem' }).toString()

function certificate(subject: string, issuer: string, extensions: object[]): forge.pki.Certificate {
  const made = forge.pki.createCertificate()
  made.publicKey = forge.pki.publicKeyFromPem(publicPem)
  made.serialNumber = `01${Buffer.from(subject).toString('hex').slice(0, 24)}`
  made.validity.notBefore = new Date(Date.now() - 60_000)
  made.validity.notAfter = new Date(Date.now() + 3_600_000)
  made.setSubject([{ name: 'commonName', value: subject }])
  made.setIssuer([{ name: 'commonName', value: issuer }])
  made.setExtensions(extensions)
  made.sign(issuerKey, forge.md.sha256.create())
  return made
}

const derOf = (made: forge.pki.Certificate): Uint8Array =>
  new Uint8Array(Buffer.from(forge.asn1.toDer(forge.pki.certificateToAsn1(made)).getBytes(), 'binary'))

const isCa = [{ name: 'basicConstraints', cA: true, critical: true }]
const root = certificate('root', 'root', isCa)
const middle = certificate('middle', 'root', isCa)

export const rootPem: string = forge.pki.certificateToPem(root)
export const rootDer: Uint8Array = derOf(root)

/** A leaf with this id, under root and middle. One key serves all: nothing here depends on it. */
export function identityOf(id: string): TestIdentity {
  const leaf = certificate(id.split('/').at(-1)!, 'middle', [
    { name: 'basicConstraints', cA: false },
    { name: 'subjectAltName', altNames: [{ type: 6, value: id }] },
  ])
  const certPem = forge.pki.certificateToPem(leaf) + forge.pki.certificateToPem(middle)
  return { certPem, keyPem, chain: [derOf(leaf), derOf(middle)] }
}

export function stateOf(id: string, generation: number): IdentityState {
  const { chain } = identityOf(id)
  return {
    generation,
    svid: {
      id: id as SpiffeId,
      chain,
      keyPem,
      serial: '01',
      notBeforeMs: 0,
      notAfterMs: Number.MAX_SAFE_INTEGER,
    },
    bundles: new Map([[trustDomain, { trustDomain, sequence: 1, roots: [rootDer] }]]),
    denied: new Set(),
  }
}
