import { expect, test } from 'vitest'
import { sha256Hex } from '../../../ca/node/crypto.ts'
import { signHeadWith, verifyHead } from '../../../ca/node/heads.ts'
import { utf8 } from '../../../core/bytes.ts'
import type { IdentityState } from '../../../core/identity.ts'
import { id, newAuthority, newSvid, noonMs, orders } from '../world.ts'

async function signed() {
  const authority = await newAuthority()
  const svid = newSvid(authority)
  const state: IdentityState = { generation: 1, svid, bundles: new Map(), denied: new Set() }
  const sign = signHeadWith({ current: () => state, subscribe: () => () => {} })
  const payload = utf8('{"kind":"head"}')
  const { signer, signature } = sign(payload)
  const head = {
    payload,
    signature,
    chain: svid.chain,
    roots: authority.bundle().roots,
    producer: orders,
    atMs: noonMs,
  }
  return { head, signer, svid }
}

test('a head that was signed verifies, and names the certificate that signed it', async () => {
  const { head, signer, svid } = await signed()
  expect(verifyHead(head)).toEqual({ ok: true })
  expect(head.signature.length).toBe(64)
  expect(signer).toBe(sha256Hex(svid.chain[0]!))
})

test('another payload, signature, producer, root, key or time does not', async () => {
  const { head } = await signed()
  const other = (await signed()).head
  const cases = [
    { payload: utf8('{"kind":"Head"}') },
    { signature: other.signature },
    { signature: head.signature.subarray(1) },
    { producer: id('spiffe://bank.example/order') },
    { producer: id('spiffe://other.example/orders') },
    { roots: other.roots },
    { roots: [] },
    { chain: other.chain, roots: other.roots },
    { chain: [] },
    { atMs: noonMs + 3_600_001 },
    { atMs: noonMs - 60_001 },
  ]
  for (const change of cases) expect(verifyHead({ ...head, ...change })).toMatchObject({ ok: false })
  expect(verifyHead(head)).toEqual({ ok: true })
  for (const change of cases) expect(verifyHead({ ...head, ...change })).toMatchObject({ ok: false }) // The path is known.
  expect(verifyHead({ ...head, atMs: noonMs + 3_600_000 })).toEqual({ ok: true })
})

test('the certificate that is current signs', async () => {
  const authority = await newAuthority()
  const first = newSvid(authority)
  const next = newSvid(authority)
  let svid = first
  const source = {
    current: () => ({ generation: 1, svid, bundles: new Map(), denied: new Set<string>() }),
    subscribe: () => () => {},
  }
  const sign = signHeadWith(source)
  expect(sign(utf8('a')).signer).toBe(sha256Hex(first.chain[0]!))
  svid = next
  expect(sign(utf8('a')).signer).toBe(sha256Hex(next.chain[0]!))
})
