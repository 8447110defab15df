import { constants, createPublicKey, generateKeyPairSync, type KeyObject, sign, verify } from 'node:crypto'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  fromBytes,
  type RsaPrivateKey,
  signPkcs1,
  signPss,
  verifyPkcs1,
  verifyPss,
} from '../../../../engine/builtins/signature/rsa.ts'

const message = new TextEncoder().encode('the message')
const random = (length: number): Uint8Array => new Uint8Array(length).fill(7)
const salted = { padding: constants.RSA_PKCS1_PSS_PADDING }

function keyOf(bits: number): { readonly own: RsaPrivateKey; readonly node: KeyObject } {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: bits })
  const { n, e, d } = privateKey.export({ format: 'jwk' })
  const number = (text: string | undefined): bigint => fromBytes(Buffer.from(text!, 'base64url'))
  return { own: { n: number(n), e: number(e), d: number(d) }, node: privateKey }
}

const { own, node } = keyOf(1536)

test.each(['sha256', 'sha384', 'sha512'] as const)('PKCS #1 signatures by %s are those of OpenSSL', (hash) => {
  const signature = signPkcs1(own, hash, message)!
  expect(Buffer.from(signature)).toEqual(sign(hash, message, node))
  expect(verifyPkcs1(own, hash, message, signature)).toBe(true)
  expect(verifyPkcs1(own, hash, message.subarray(1), signature)).toBe(false)
  expect(verifyPkcs1(own, hash === 'sha256' ? 'sha384' : 'sha256', message, signature)).toBe(false)
})

test.each(['sha256', 'sha384', 'sha512'] as const)('PSS signatures by %s are verified by OpenSSL and back', (hash) => {
  const signature = signPss(own, hash, message, random)!
  expect(verify(hash, message, { key: createPublicKey(node), ...salted }, signature)).toBe(true)
  const theirs = sign(hash, message, { key: node, ...salted, saltLength: constants.RSA_PSS_SALTLEN_DIGEST })
  expect(verifyPss(own, hash, message, theirs, 'digest')).toBe(true)
  expect(verifyPss(own, hash, message.subarray(1), theirs, 'digest')).toBe(false)
})

test('a salt of another length is taken where any is, and only there', () => {
  const signature = sign('sha256', message, { key: node, ...salted, saltLength: 11 })
  expect(verifyPss(own, 'sha256', message, signature, 'any')).toBe(true)
  expect(verifyPss(own, 'sha256', message, signature, 'digest')).toBe(false)
})

test('moduli whose bits begin a byte are verified too', () => {
  const odd = keyOf(1025)
  const signature = signPss(odd.own, 'sha256', message, random)!
  expect(signature).toHaveLength(129)
  expect(verify('sha256', message, { key: createPublicKey(odd.node), ...salted }, signature)).toBe(true)
  const theirs = sign('sha256', message, { key: odd.node, ...salted, saltLength: 32 })
  expect(verifyPss(odd.own, 'sha256', message, theirs, 'digest')).toBe(true)
})

test('a modulus of 1024 bits verifies, one of 1023 does not', () => {
  const enough = keyOf(1024)
  expect(verifyPkcs1(enough.own, 'sha256', message, sign('sha256', message, enough.node))).toBe(true)
  const short = keyOf(1023)
  expect(verifyPkcs1(short.own, 'sha256', message, sign('sha256', message, short.node))).toBe(false)
})

test('a signature that has the modulus added to it is none', () => {
  const odd = keyOf(1025).own
  const signature = fromBytes(signPkcs1(odd, 'sha256', message)!)
  const bytes = (value: bigint) => Uint8Array.from(Buffer.from(value.toString(16).padStart(258, '0'), 'hex'))
  expect(verifyPkcs1(odd, 'sha256', message, bytes(signature))).toBe(true)
  expect(verifyPkcs1(odd, 'sha256', message, bytes(signature + odd.n))).toBe(false)
})

test('nobody signs with a secret exponent of another key', () => {
  expect(signPkcs1({ ...own, d: own.d + 2n }, 'sha256', message)).toBeUndefined()
})

test('no other bytes are a signature', () => {
  const good = signPkcs1(own, 'sha256', message)!
  const flipped = fc.tuple(fc.nat(good.length - 1), fc.integer({ min: 1, max: 255 })).map(([at, by]) => {
    const bytes = good.slice()
    bytes[at]! ^= by
    return bytes
  })
  fc.assert(
    fc.property(fc.oneof(flipped, fc.uint8Array({ maxLength: 200 })), (signature) => {
      expect(verifyPkcs1(own, 'sha256', message, signature)).toBe(false)
      expect(verifyPss(own, 'sha256', message, signature, 'any')).toBe(false)
    }),
    { numRuns: 50 },
  )
})
