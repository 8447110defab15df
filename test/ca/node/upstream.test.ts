import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { connect } from 'node:tls'
import fc from 'fast-check'
import { expect, onTestFinished, test } from 'vitest'
import { bundleJson, readBundle } from '../../../ca/bundle.ts'
import { newKeyPair, privateKeyOf, verifySignature } from '../../../ca/node/crypto.ts'
import { certificatesOf, pemOf } from '../../../ca/node/pem.ts'
import { provenChain } from '../../../ca/node/upstream.ts'
import { writeIssuerCsr } from '../../../ca/node/write.ts'
import { verifySvid } from '../../../ca/svid.ts'
import { type Above, above } from '../above.ts'
import { bank, newAuthority, newSvid, noonMs, orders, random, tempFolder } from '../world.ts'

const dayMs = 86_400_000
const quiet = { waiting: [], heardSinceMs: 0 }
const holds = (authority: Awaited<ReturnType<typeof newAuthority>>, nowMs = noonMs) =>
  verifySvid(newSvid(authority).chain, authority.bundle(), nowMs, verifySignature)

test('an authority above signs the issuer, and its root alone is in the bundle; every peer is shown what is between', async () => {
  const upstream = above(() => noonMs)
  const authority = await newAuthority(bank, () => noonMs, { upstream })
  expect(newSvid(authority).chain).toHaveLength(3)
  expect(holds(authority)).toMatchObject({ ok: true, identity: { id: orders } })
  expect(authority.bundle().roots).toHaveLength(1)
  const read = readBundle(JSON.stringify(bundleJson(authority.bundle())), bank)
  expect('bundle' in read && read.bundle.roots).toEqual(authority.bundle().roots)
})

test('OpenSSL takes the same chain in a handshake', async () => {
  const authority = await newAuthority(bank, Date.now, { upstream: above(Date.now) })
  const { chain, keyPem } = newSvid(authority, orders, { dns: ['orders.local'] })
  const cert = chain.map((der) => pemOf(der, 'CERTIFICATE')).join('')
  const ca = authority.bundle().roots.map((der) => pemOf(der, 'CERTIFICATE'))
  const server = createServer({ key: keyPem, cert, ca, requestCert: true, rejectUnauthorized: true }, (_, answer) =>
    answer.end('ok'),
  )
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  onTestFinished(() => void server.close())
  const { port } = server.address() as AddressInfo
  await new Promise<void>((done, failed) => {
    const socket = connect({ port, host: '127.0.0.1', servername: 'orders.local', ca, key: keyPem, cert }, () => {
      expect(socket.authorized).toBe(true)
      socket.end()
      done()
    })
    socket.on('error', failed)
  })
})

test('what its chain does not allow is refused when it comes, not at the first handshake', async () => {
  const refused = (change: Partial<Above>) =>
    newAuthority(bank, () => noonMs, {
      upstream: Object.assign(
        above(() => noonMs),
        change,
      ),
    })
  await expect(refused({ pathLen: 0 })).rejects.toThrow('a certificate by it is refused')
  await expect(refused({ lifeMs: 4000 * dayMs })).rejects.toThrow('above the issuer ends before it')
  await expect(refused({ lifeMs: -1000 })).rejects.toThrow('not valid after')
})

test('a chain with any byte changed is refused as such, whatever it is', async () => {
  const { spki, keyPem } = newKeyPair()
  const csr = writeIssuerCsr(spki, privateKeyOf(keyPem), bank, 'issuer')
  const chain = await above(() => noonMs).sign({ csr, trustDomain: bank, commonName: 'issuer', lifeMs: dayMs })
  expect(provenChain(chain, keyPem, bank, noonMs).root).toBe(chain[2])
  fc.assert(
    fc.property(fc.nat(2), fc.nat(), fc.integer({ min: 1, max: 255 }), (which, at, by) => {
      const changed = chain.map((der) => der.slice())
      const der = changed[which]!
      der[at % der.length]! ^= by
      expect(() => provenChain(changed, keyPem, bank, noonMs)).toThrow(
        expect.objectContaining({ code: 'certificate_invalid' }),
      )
    }),
    { numRuns: 300 },
  )
})

test('its issuer is renewed by it, not more often than helps while it does not answer; its new root comes in first', async () => {
  let nowMs = noonMs
  const upstream = above(() => nowMs)
  const authority = await newAuthority(bank, () => nowMs, { upstream, times: { publishMs: 60_000, skewMs: 0 } })
  const first = newSvid(authority).chain[1]
  nowMs += 305 * dayMs
  upstream.fails = true
  for (let i = 0; i < 10; i++) {
    await expect(authority.maintain(quiet)).rejects.toThrow('nobody is there')
    nowMs += 5000
  }
  expect(upstream.asked).toBe(2)
  expect(holds(authority, nowMs).ok).toBe(true)
  upstream.fails = false
  nowMs += 3_600_000
  expect(await authority.maintain(quiet)).toMatchObject([{ action: 'issuer_made' }])
  expect(newSvid(authority).chain[1]).not.toEqual(first)

  nowMs += 305 * dayMs
  upstream.turn()
  const before = authority.bundle()
  expect(await authority.maintain(quiet)).toMatchObject([{ action: 'prepared' }, { action: 'issuer_forgotten' }])
  expect(authority.bundle().roots).toHaveLength(2)
  expect(verifySvid(newSvid(authority).chain, before, nowMs, verifySignature).ok).toBe(true)
  nowMs += 60_000
  expect(await authority.maintain({ ...quiet, heardSinceMs: 1 })).toMatchObject([{ action: 'activated' }])
  expect(verifySvid(newSvid(authority).chain, before, nowMs, verifySignature).ok).toBe(false)
  expect(holds(authority, nowMs).ok).toBe(true)
  await expect(authority.prepare()).rejects.toThrow('still has the root')
})

const openssl = (...args: string[]): string => execFileSync('openssl', args, { encoding: 'utf8', stdio: 'pipe' })

/** An RSA root that OpenSSL holds, offline, and what it signs of a request. */
function offline(dir: string) {
  const at = (name: string): string => join(dir, name)
  const subject = ['-subj', '/O=Bank/CN=Offline root', '-addext', 'keyUsage=critical,keyCertSign,cRLSign']
  openssl(
    'req',
    '-x509',
    '-newkey',
    'rsa:2048',
    '-nodes',
    '-days',
    '3000',
    ...subject,
    '-keyout',
    at('root.key'),
    '-out',
    at('root.pem'),
  )
  return (csr: Uint8Array, days = '300'): readonly Uint8Array[] => {
    writeFileSync(at('issuer.csr'), pemOf(csr, 'CERTIFICATE REQUEST'))
    const by = ['-CA', at('root.pem'), '-CAkey', at('root.key'), '-days', days, '-copy_extensions', 'copyall']
    openssl('x509', '-req', '-in', at('issuer.csr'), ...by, '-out', at('issuer.pem'))
    return certificatesOf(readFileSync(at('issuer.pem'), 'utf8') + readFileSync(at('root.pem'), 'utf8'))
  }
}

test('an offline root signs a request: its root is published first, then signs, and its next issuer takes the place at once', async () => {
  let nowMs = Date.now() + 60_000 // After what OpenSSL makes by its own clock.
  const sign = offline(tempFolder())
  const { spki, keyPem } = newKeyPair()
  const chain = sign(writeIssuerCsr(spki, privateKeyOf(keyPem), bank, 'issuer 1'))
  const dir = join(tempFolder(), 'ca')
  const passphrase = 'correct horse battery staple'
  const options = { dir, passphrase, times: { publishMs: 0, skewMs: 0 }, maxLeafMs: 60_000 }
  const authority = await newAuthority(bank, () => nowMs, options)
  await authority.import(chain, keyPem)
  expect(authority.bundle().roots).toHaveLength(2)
  expect(newSvid(authority).chain[1]).not.toEqual(chain[0])
  await authority.activate()
  expect(newSvid(authority).chain[1]).toEqual(chain[0])
  expect(holds(authority, nowMs).ok).toBe(true)
  expect(readFileSync(join(dir, 'authority.json'), 'utf8')).not.toContain('BEGIN PRIVATE KEY')

  nowMs += 290 * dayMs
  await authority.maintain(quiet).catch((thrown: unknown) => expect(String(thrown)).toContain('is not ours to sign by'))
  const next = newKeyPair()
  await authority.import(
    sign(writeIssuerCsr(next.spki, privateKeyOf(next.keyPem), bank, 'issuer 2'), '700'),
    next.keyPem,
  )
  expect(authority.bundle().roots).toHaveLength(1)
  expect(holds(authority, nowMs).ok).toBe(true)
  const again = await newAuthority(bank, () => nowMs, options)
  expect(newSvid(again).chain[1]).toEqual(newSvid(authority).chain[1])
  // A root of RSA stands in the published bundle as well.
  expect(bundleJson(authority.bundle())).toMatchObject({ keys: [{ kty: 'RSA', e: 'AQAB' }, {}] })

  const wrong = (given: readonly Uint8Array[], key = next.keyPem) => authority.import(given, key)
  await expect(wrong(chain)).rejects.toThrow('of another key')
  await expect(wrong(chain.slice(0, 1), keyPem)).rejects.toThrow('has no root')
  await expect(wrong([chain[0]!, chain[0]!], keyPem)).rejects.toThrow('did not sign itself')
})

test('a Writ signs the issuer of another one of the same trust domain, whose leaves it then takes', async () => {
  const root = await newAuthority()
  const below = await newAuthority(bank, () => noonMs, { times: { publishMs: 0, skewMs: 0 } })
  for (const kind of ['p256', 'p384', 'ed25519'] as const) {
    const { spki, keyPem } = newKeyPair(kind)
    const chain = await root.signIssuer(writeIssuerCsr(spki, privateKeyOf(keyPem), bank, 'below'))
    await below.import(chain, keyPem)
    if (kind === 'p256') await below.activate()
    expect(newSvid(below).chain.slice(1)).toEqual(chain.slice(0, 1))
    expect(verifySvid(newSvid(below).chain, root.bundle(), noonMs, verifySignature)).toMatchObject({ ok: true })
  }
  await expect(root.signIssuer(random(40))).rejects.toMatchObject({ code: 'certificate_invalid' })
})
