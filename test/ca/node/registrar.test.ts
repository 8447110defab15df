import { execFileSync } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { formatToken, parseToken, rootDigest, type TokenStore } from '../../../ca/join.ts'
import type { Authority } from '../../../ca/node/authority.ts'
import { newKeyPair, privateKeyOf, verifySignature } from '../../../ca/node/crypto.ts'
import { makeRegistrar } from '../../../ca/node/registrar.ts'
import { fileTokens, memoryTokens } from '../../../ca/node/tokens.ts'
import { writeCsr } from '../../../ca/node/write.ts'
import { verifySvid } from '../../../ca/svid.ts'
import { WritError } from '../../../core/fault.ts'
import type { Identity } from '../../../core/identity.ts'
import type { SpiffeId } from '../../../core/spiffe.ts'
import { bank, domain, id, keepAll, newAuthority, newCsr, noonMs, orders, random, tempFolder } from '../world.ts'

async function open(tokens: TokenStore = memoryTokens(), given?: Authority, fails = false) {
  const authority = given ?? (await newAuthority())
  const clock = { nowMs: noonMs }
  const kept = keepAll(fails)
  const told: [SpiffeId, number][] = []
  const registrar = makeRegistrar({
    ...{ authority, tokens, sink: kept.sink, nowMs: () => clock.nowMs, random },
    onIssued: (id, { notAfterMs }) => void told.push([id, notAfterMs]),
  })
  return { ...kept, registrar, clock, authority, told }
}

const codeOf = (answer: Promise<unknown>): Promise<string> =>
  answer.then(
    () => 'ok',
    (thrown: unknown) => (thrown instanceof WritError && thrown.cure ? thrown.code : String(thrown)),
  )

test('a token gives its workload a certificate, and the issuance is on record', async () => {
  const { registrar, authority, bodies, told } = await open()
  const token = await registrar.createToken(orders)
  const issued = await registrar.join(token, newCsr())
  expect(told).toEqual([[orders, issued.notAfterMs]])
  expect(verifySvid(issued.chain, authority.bundle(), noonMs, verifySignature)).toMatchObject({
    ok: true,
    identity: { id: orders, serial: issued.serial },
  })
  expect(issued.bundles).toEqual([authority.bundle()])
  expect(bodies).toEqual([
    {
      kind: 'issuance',
      action: 'issued',
      subject: orders,
      serial: issued.serial,
      not_before: '2026-11-23T11:59:00.000000000Z',
      not_after: '2026-11-23T13:00:00.000000000Z',
      evidence: expect.stringMatching(/^join-token:[0-9a-f]{8}$/),
    },
  ])
})

test('a request brings a key on P-384 or of Ed25519 as well, signed by the algorithm of its kind; no RSA key', async () => {
  const { registrar } = await open()
  for (const kind of ['p384', 'ed25519'] as const) {
    const { spki, keyPem } = newKeyPair(kind)
    const { chain } = await registrar.join(await registrar.createToken(orders), writeCsr(spki, privateKeyOf(keyPem)))
    const leaf = new X509Certificate(chain[0]!)
    expect(leaf.checkPrivateKey(privateKeyOf(keyPem))).toBe(true)
  }
  const fixed = ['req', '-new', '-nodes', '-subj', '/', '-keyout', '/dev/null', '-outform', 'DER']
  const openssl = (...args: string[]) =>
    new Uint8Array(execFileSync('openssl', [...fixed, ...args], { stdio: ['ignore', 'pipe', 'ignore'] }))
  for (const csr of [
    openssl('-newkey', 'rsa:2048'),
    openssl('-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-384', '-sha256'),
  ]) {
    expect(await codeOf(registrar.join(await registrar.createToken(orders), csr))).toBe('certificate_invalid')
  }
})

test.each([
  ['memory', () => memoryTokens()],
  ['a file', () => fileTokens(join(tempFolder(), 'tokens.json'))],
])('a token is redeemed once, also by twenty at the same moment (%s)', async (_, store) => {
  const { registrar } = await open(store())
  const token = await registrar.createToken(orders)
  const answers = await Promise.all(Array.from({ length: 20 }, () => codeOf(registrar.join(token, newCsr()))))
  expect(answers.filter((answer) => answer === 'ok').length).toBe(1)
  expect(answers.filter((answer) => answer === 'token_invalid').length).toBe(19)
})

test('a token is good in its tenth minute and not after it', async () => {
  const { registrar, clock, bodies } = await open()
  const [first, second] = [await registrar.createToken(orders), await registrar.createToken(orders)]
  clock.nowMs = noonMs + 600_000
  expect(await codeOf(registrar.join(first, newCsr()))).toBe('ok')
  clock.nowMs++
  expect(await codeOf(registrar.join(second, newCsr()))).toBe('token_invalid')
  expect(bodies.at(-1)).toMatchObject({ action: 'refused', subject: orders, reason: 'this join token has expired' })
})

test('a token for another trust bundle is refused, and cannot be tried again', async () => {
  const { registrar, bodies } = await open()
  const token = await registrar.createToken(orders)
  const { secret } = parseToken(token)!
  const other = formatToken({ secret, rootDigest: rootDigest(bank, (await newAuthority()).bundle().roots[0]!) })
  expect(await codeOf(registrar.join(other, newCsr()))).toBe('token_invalid')
  expect(bodies.at(-1)).toMatchObject({
    action: 'refused',
    reason: 'this join token promises a root that is none of ours',
  })
  expect(await codeOf(registrar.join(token, newCsr()))).toBe('token_invalid')
})

test('guesses are counted and never recorded one by one', async () => {
  const { registrar, bodies, refusals } = await open()
  const guess = formatToken({
    secret: random(32),
    rootDigest: rootDigest(bank, (await newAuthority()).bundle().roots[0]!),
  })
  expect(await codeOf(registrar.join(guess, newCsr()))).toBe('token_invalid')
  expect(await codeOf(registrar.join('writ1.guess', newCsr()))).toBe('token_invalid')
  expect([bodies, refusals]).toEqual([[], ['token_invalid', 'token_invalid']])
})

test('a request that its key did not sign is refused and recorded', async () => {
  const { registrar, bodies } = await open()
  const csr = newCsr()
  csr[csr.length - 1]! ^= 1
  expect(await codeOf(registrar.join(await registrar.createToken(orders), csr))).toBe('certificate_invalid')
  expect(await codeOf(registrar.join(await registrar.createToken(orders), new Uint8Array(9)))).toBe(
    'certificate_invalid',
  )
  expect(bodies).toMatchObject([{ action: 'refused' }, { action: 'refused' }])
})

test('a certificate that cannot be recorded does not leave', async () => {
  const { registrar } = await open(memoryTokens(), await newAuthority(), true)
  const token = await registrar.createToken(orders)
  await expect(registrar.join(token, newCsr())).rejects.toThrow('the spool is full')
})

test('a peer renews its own name, and a federated one or a declared one does not', async () => {
  const { registrar, bodies } = await open()
  const identity: Identity = {
    id: orders,
    trustDomain: bank,
    proof: 'x509',
    serial: 'ab',
    notBeforeMs: 0,
    notAfterMs: 0,
  }
  expect(await codeOf(registrar.renew(identity, newCsr()))).toBe('ok')
  expect(bodies).toMatchObject([{ action: 'renewed', subject: orders, evidence: 'svid:ab' }])
  const foreign = id('spiffe://other.example/orders')
  const other = { ...identity, id: foreign, trustDomain: 'other.example' as typeof bank }
  expect(await codeOf(registrar.renew(other, newCsr()))).toBe('forbidden')
  expect(await codeOf(registrar.renew({ ...identity, proof: 'declared' }, newCsr()))).toBe('forbidden')
})

test('no token is made for another trust domain', async () => {
  expect(await codeOf((await open()).registrar.createToken(id('spiffe://other.example/a')))).toBe('token_invalid')
})

test('the file of tokens is private, survives a restart, and holds no secret', async () => {
  const path = join(tempFolder(), 'tokens.json')
  const authority = await newAuthority()
  const token = await (await open(fileTokens(path), authority)).registrar.createToken(orders)
  expect(statSync(path).mode & 0o777).toBe(0o600)
  expect(readFileSync(path, 'utf8')).not.toContain(token.split('.')[1])
  expect(await codeOf((await open(fileTokens(path), authority)).registrar.join(token, newCsr()))).toBe('ok')
  expect(await codeOf((await open(fileTokens(path), authority)).registrar.join(token, newCsr()))).toBe('token_invalid')
})

test('a thousand tokens can be outstanding, and the next one when the first have expired', async () => {
  const store = memoryTokens()
  const put = (n: number, nowMs: number) => store.put({ digest: String(n), id: orders, expiresAtMs: n }, nowMs)
  for (let n = 1; n <= 1000; n++) await put(n, 0)
  expect(await codeOf(put(1001, 1))).toBe('unavailable')
  expect(await codeOf(put(1001, 2))).toBe('ok')
})

test('a token reads as it was written, and nothing else reads as a token', async () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), (secret) => {
      const token = { secret, rootDigest: 'ab'.repeat(32) }
      const text = formatToken(token)
      expect(parseToken(text)).toEqual(token)
      expect(parseToken(`${text}0`)).toBeUndefined()
      expect(parseToken(text.replace('writ1', 'writ2'))).toBeUndefined()
    }),
  )
  fc.assert(fc.property(fc.string(), (text) => parseToken(text) === undefined))
})

const edge = 'spiffe://bank.example/edge-fn'
const proven = (more: Partial<Identity> = {}): Identity => ({
  id: orders,
  trustDomain: bank,
  proof: 'x509',
  serial: 'ab',
  notBeforeMs: 0,
  notAfterMs: noonMs,
  ...more,
})

test('who holds a certificate gets a token in its own name, and its issuance is on record before it leaves', async () => {
  const { registrar, bodies } = await open()
  const minted = await registrar.mintJwt(proven(), edge)
  expect(bodies).toEqual([
    {
      kind: 'issuance',
      action: 'issued',
      subject: orders,
      serial: minted.serial,
      not_before: '2026-11-23T11:59:00.000000000Z',
      not_after: '2026-11-23T12:04:59.999000000Z',
      evidence: 'svid:ab',
      audience: edge,
    },
  ])
  expect(await codeOf((await open(memoryTokens(), await newAuthority(), true)).registrar.mintJwt(proven(), edge))).toBe(
    'WritError: the spool is full',
  )
})

test('a token begets no token and no certificate, and neither does a certificate of another trust domain', async () => {
  const { registrar, bodies } = await open()
  const foreign = proven({ trustDomain: domain('other.example'), id: id('spiffe://other.example/a') })
  for (const identity of [proven({ proof: 'jwt' }), proven({ proof: 'declared' }), foreign]) {
    expect(await codeOf(registrar.mintJwt(identity, edge))).toBe('forbidden')
    expect(await codeOf(registrar.renew(identity, newCsr()))).toBe('forbidden')
  }
  expect(bodies).toEqual([])
})
