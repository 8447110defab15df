import { X509Certificate } from 'node:crypto'
import { expect, test, vi } from 'vitest'
import { makeIdentify, type TrustState } from '../../ca/identify.ts'
import { keyIdOf, newKeyPair, privateKeyOf, verifySignature } from '../../ca/node/crypto.ts'
import { type CertificateFields, nameOf, newSerial, writeCertificate } from '../../ca/node/write.ts'
import type { Evidence, Identified, Peer } from '../../core/identity.ts'
import { bank, bundlesOf, domain, id, newAuthority, newSvid, noonMs, orders, peerWith, random } from './world.ts'

const hourMs = 3_600_000

function judge(peer: Peer, state: Partial<TrustState>, nowMs = noonMs): Identified {
  const whole = { generation: 1, bundles: bundlesOf(), denied: new Set<string>(), ...state }
  return makeIdentify(() => whole, verifySignature)(peer, nowMs) as Identified
}

const codeOf = (answer: Identified): string => (answer.ok ? answer.identity.id : answer.code)

test('a peer is who its certificate says, under the bundle of its own trust domain', async () => {
  const authority = await newAuthority()
  const svid = newSvid(authority)
  expect(judge(peerWith(svid.chain), { bundles: bundlesOf(authority.bundle()) })).toEqual({
    ok: true,
    identity: {
      id: orders,
      trustDomain: bank,
      proof: 'x509',
      serial: svid.serial,
      notBeforeMs: noonMs - 60_000,
      notAfterMs: noonMs + hourMs,
    },
  })
})

test('without a bundle for its trust domain, and under the bundle of another root, a peer is untrusted', async () => {
  const svid = newSvid(await newAuthority())
  expect(codeOf(judge(peerWith(svid.chain), {}))).toBe('identity_untrusted')
  expect(codeOf(judge(peerWith(svid.chain), { bundles: bundlesOf((await newAuthority()).bundle()) }))).toBe(
    'identity_untrusted',
  )
})

test('a federated root vouches for its own names and never for ours', async () => {
  const ours = await newAuthority()
  const theirs = await newAuthority(domain('other.example'))
  const bundles = bundlesOf(ours.bundle(), theirs.bundle())
  const partner = newSvid(theirs, id('spiffe://other.example/billing'))
  expect(codeOf(judge(peerWith(partner.chain), { bundles }))).toBe('spiffe://other.example/billing')

  const root = rogueRoot()
  const forged = root.leaf('spiffe://bank.example/orders')
  const federated = { trustDomain: domain('other.example'), sequence: 1, roots: [root.der] }
  expect(codeOf(judge(peerWith([forged]), { bundles: bundlesOf(ours.bundle(), federated) }))).toBe('identity_untrusted')
  expect(codeOf(judge(peerWith([forged]), { bundles: bundlesOf({ ...federated, trustDomain: bank }) }))).toBe(orders)
})

test('a bundle that is filed under another name speaks for nobody', async () => {
  const root = rogueRoot()
  const filed = new Map([[bank, { trustDomain: domain('other.example'), sequence: 1, roots: [root.der] }]])
  expect(codeOf(judge(peerWith([root.leaf(orders)]), { bundles: filed }))).toBe('identity_untrusted')
})

test('a certificate is good in its last millisecond and expired in the next, new connection or old', async () => {
  const authority = await newAuthority()
  const { chain, notAfterMs, notBeforeMs } = newSvid(authority)
  const bundles = bundlesOf(authority.bundle())
  expect(codeOf(judge(peerWith(chain), { bundles }, notAfterMs))).toBe(orders)
  expect(codeOf(judge(peerWith(chain), { bundles }, notAfterMs + 1))).toBe('identity_expired')
  expect(codeOf(judge(peerWith(chain), { bundles }, notBeforeMs - 1))).toBe('identity_expired')

  const old = peerWith(chain)
  expect(codeOf(judge(old, { bundles }, notAfterMs))).toBe(orders)
  expect(codeOf(judge(old, { bundles }, notAfterMs + 1))).toBe('identity_expired')
})

test('a peer that was too early is known once its time has come', async () => {
  const authority = await newAuthority()
  const svid = newSvid(authority)
  const state = { bundles: bundlesOf(authority.bundle()) }
  const peer = peerWith(svid.chain)
  expect(codeOf(judge(peer, state, svid.notBeforeMs - 1))).toBe('identity_expired')
  expect(codeOf(judge(peer, state, svid.notBeforeMs))).toBe(orders)
})

test('a denied id and a denied serial of leaf or issuer are revoked, their neighbours are not', async () => {
  const authority = await newAuthority()
  const svid = newSvid(authority)
  const bundles = bundlesOf(authority.bundle())
  const denying = (...denied: string[]) => codeOf(judge(peerWith(svid.chain), { bundles, denied: new Set(denied) }))
  expect(denying('spiffe://bank.example/order')).toBe(orders)
  expect(denying(orders)).toBe('identity_revoked')
  expect(denying(svid.serial)).toBe('identity_revoked')
  const issuer = new X509Certificate(svid.chain[1]!).serialNumber.toLowerCase()
  expect(denying(issuer)).toBe('identity_revoked')
})

test('the answer is remembered with the connection until the generation moves', async () => {
  const authority = await newAuthority()
  const verify = vi.fn(verifySignature)
  let state: TrustState = { generation: 1, bundles: bundlesOf(authority.bundle()), denied: new Set() }
  const identify = makeIdentify(() => state, verify)
  const peer = peerWith(newSvid(authority).chain)
  identify(peer, noonMs)
  const first = verify.mock.calls.length
  identify(peer, noonMs + 1)
  expect(verify.mock.calls.length).toBe(first)
  state = { ...state, generation: 2, denied: new Set([orders]) }
  expect(codeOf(identify(peer, noonMs + 2) as Identified)).toBe('identity_revoked')
})

test('a chain that proved a name is known on the next connection: to the last bit, for its time and generation', async () => {
  const authority = await newAuthority()
  const verify = vi.fn(verifySignature)
  let state: TrustState = { generation: 1, bundles: bundlesOf(authority.bundle()), denied: new Set() }
  const identify = makeIdentify(() => state, verify)
  const { chain, notBeforeMs, notAfterMs } = newSvid(authority)
  const as = (shown: readonly Uint8Array[], nowMs = noonMs): { code: string; checks: number; peer: Peer } => {
    const peer = peerWith(shown.map((one) => one.slice()))
    const before = verify.mock.calls.length
    const code = codeOf(identify(peer, nowMs) as Identified)
    return { code, checks: verify.mock.calls.length - before, peer }
  }
  const first = as(chain)
  expect(first).toMatchObject({ code: orders, checks: 2 })
  const second = as(chain)
  expect(second).toMatchObject({ code: orders, checks: 0 })
  expect(second.peer.evidence).toBe(first.peer.evidence)
  for (const [which, one] of chain.entries()) {
    for (let at = 0; at < one.length; at += 7) {
      const bent = chain.with(which, one.slice())
      bent[which]![at]! ^= 1
      expect(as(bent).code).not.toBe(orders)
    }
  }
  expect(as([chain[0]!]).code).toBe('identity_untrusted')
  expect(as(chain, notBeforeMs - 1).code).toBe('identity_expired')
  expect(as(chain, notAfterMs)).toMatchObject({ code: orders, checks: 0 })
  expect(as(chain, notAfterMs + 1).code).toBe('identity_expired')
  state = { ...state, generation: 2 }
  expect(as(chain)).toMatchObject({ code: orders, checks: 1 })
  state = { ...state, generation: 3, denied: new Set([orders]) }
  expect(as(chain).code).toBe('identity_revoked')
})

test('no evidence is missing, a token is not taken, and a declared workload is who its listener says', async () => {
  const as = (evidence: Evidence, denied: string[] = []) =>
    codeOf(judge({ evidence, address: '', port: 0 }, { denied: new Set(denied) }))
  const identity = {
    id: orders,
    trustDomain: bank,
    proof: 'declared',
    serial: '',
    notBeforeMs: 0,
    notAfterMs: 0,
  } as const
  expect(as({ kind: 'none' })).toBe('identity_missing')
  expect(as({ kind: 'jwt', token: 'a.b.c' })).toBe('identity_invalid')
  expect(as({ kind: 'declared', identity })).toBe(orders)
  expect(as({ kind: 'declared', identity }, [orders])).toBe('identity_revoked')
})

test('what is not a chain of certificates is invalid', async () => {
  const authority = await newAuthority()
  const { chain } = newSvid(authority)
  const as = (shown: readonly Uint8Array[]) =>
    codeOf(judge(peerWith(shown), { bundles: bundlesOf(authority.bundle()) }))
  expect(as([])).toBe('identity_invalid')
  expect(as([new Uint8Array(3)])).toBe('identity_invalid')
  expect(as([chain[1]!])).toBe('identity_invalid')
  expect(as([...chain, chain[1]!, chain[1]!])).toBe(orders)
  expect(as([...chain, chain[1]!, chain[1]!, chain[1]!])).toBe('identity_invalid')
  expect(as([chain[0]!])).toBe('identity_untrusted')
})

/** A root under which anything can be written. */
function rogueRoot() {
  const keys = newKeyPair()
  const name = nameOf('rogue')
  const base: CertificateFields = {
    serial: newSerial(random),
    issuer: name,
    subject: name,
    notBeforeMs: noonMs - 1000,
    notAfterMs: noonMs + hourMs,
    spki: keys.spki,
    uris: [],
    dns: [],
    constrainTo: undefined,
    ca: { pathLen: undefined },
    issuerKeyId: keyIdOf(keys.spki),
  }
  return {
    der: writeCertificate(base, privateKeyOf(keys.keyPem)),
    leaf: (...uris: string[]) =>
      writeCertificate(
        { ...base, subject: nameOf(), ca: undefined, spki: newKeyPair().spki, uris },
        privateKeyOf(keys.keyPem),
      ),
  }
}

test('two URI names are refused, one is not', async () => {
  const root = rogueRoot()
  const bundles = bundlesOf({ trustDomain: bank, sequence: 1, roots: [root.der] })
  const as = (...uris: string[]) => codeOf(judge(peerWith([root.leaf(...uris)]), { bundles }))
  expect(as(orders)).toBe(orders)
  expect(as(orders, 'spiffe://bank.example/other')).toBe('identity_invalid')
  expect(as(orders, 'https://bank.example/')).toBe('identity_invalid')
  expect(as('spiffe://bank.example')).toBe('identity_invalid')
  expect(as('SPIFFE://bank.example/orders')).toBe('identity_invalid')
})

test('a root that cannot be read vouches for nobody, and its neighbour still does', async () => {
  const authority = await newAuthority()
  const { chain } = newSvid(authority)
  const bundle = authority.bundle()
  const as = (...roots: Uint8Array[]) => codeOf(judge(peerWith(chain), { bundles: bundlesOf({ ...bundle, roots }) }))
  expect(as(new Uint8Array([1]), ...bundle.roots)).toBe(orders)
  expect(as(new Uint8Array([1]))).toBe('identity_untrusted')
})

test('an issuer that was taken before is the same one to the last bit, or is none', async () => {
  const authority = await newAuthority()
  const [leaf, issuer] = newSvid(authority).chain
  const state = { generation: 1, bundles: bundlesOf(authority.bundle()), denied: new Set<string>() }
  const identify = makeIdentify(() => state, verifySignature)
  const ask = (der: Uint8Array) => codeOf(identify(peerWith([leaf!, der]), noonMs) as Identified)
  expect(ask(issuer!)).toBe(orders)
  for (let at = 0; at < issuer!.length; at += 5) {
    const other = Uint8Array.from(issuer!, (byte, i) => (i === at ? byte ^ 1 : byte))
    expect({ at, code: ask(other) }).not.toEqual({ at, code: orders })
  }
  expect(ask(issuer!.slice())).toBe(orders)
})
