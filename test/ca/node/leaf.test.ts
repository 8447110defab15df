import fc from 'fast-check'
import { expect, test } from 'vitest'
import { algorithmOfKey, type OwnKeyKind } from '../../../ca/algorithms.ts'
import { bitStringBytes, readDer } from '../../../ca/der.ts'
import { newKeyPair, privateKeyOf, verifySignature } from '../../../ca/node/crypto.ts'
import { writeLeaf } from '../../../ca/node/leaf.ts'
import { nameOf, writeCertificate } from '../../../ca/node/write.ts'
import { toHex } from '../../../core/bytes.ts'

/** The fast way of writing a leaf, held against node-forge's encoder. */

const kinds: readonly OwnKeyKind[] = ['p256', 'p384', 'ed25519']
const pairs = kinds.map((kind) => ({ kind, ...newKeyPair(kind) }))
const pair = fc.constantFrom(...pairs)

const step = fc.string({ minLength: 1, maxLength: 300, unit: fc.constantFrom('a', 'Z', '9', '-', '_') })
const fieldsOf = fc.record({
  serial: fc.uint8Array({ minLength: 16, maxLength: 16 }).map((bytes) => {
    bytes[0] = (bytes[0]! & 0x3f) | 0x40
    return bytes
  }),
  issuer: fc.tuple(step, step).map(([organisation, name]) => nameOf(organisation, name)),
  notBeforeMs: fc.integer({ min: 0, max: 4_000_000_000 }).map((s) => s * 1000),
  notAfterMs: fc.integer({ min: 0, max: 4_000_000_000 }).map((s) => s * 1000),
  uris: fc.array(step, { minLength: 1, maxLength: 8 }).map((steps) => [`spiffe://bank.example/${steps.join('/')}`]),
  dns: fc.array(step, { maxLength: 16 }),
})

test('it is byte for byte what the encoder of nodes writes, and its signature holds', () => {
  fc.assert(
    fc.property(
      fieldsOf,
      pair,
      pair,
      fc.uint8Array({ minLength: 1, maxLength: 64 }),
      (some, leaf, issuer, issuerKeyId) => {
        const fields = { ...some, spki: leaf.spki, issuerKeyId }
        const issuerKey = privateKeyOf(issuer.keyPem)
        const [fast, , signature] = readDer(writeLeaf(fields, issuerKey)).items
        const slow = writeCertificate(
          { ...fields, subject: nameOf(), constrainTo: undefined, ca: undefined },
          issuerKey,
        )
        // ECDSA signatures differ each time.
        expect(toHex(fast!.whole)).toBe(toHex(readDer(slow).items[0]!.whole))
        const check = { algorithm: algorithmOfKey[issuer.kind], spki: issuer.spki, signed: fast!.whole }
        expect(verifySignature({ ...check, signature: bitStringBytes(signature!, 'signature') })).toBe(true)
      },
    ),
    { numRuns: 300 },
  )
})
