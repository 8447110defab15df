import { execFileSync, spawnSync } from 'node:child_process'
import { generateKeyPairSync, X509Certificate } from 'node:crypto'
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { openAuthority } from '../../../ca/node/authority.ts'
import { newKeyPair, verifySignature } from '../../../ca/node/crypto.ts'
import { pemOf } from '../../../ca/node/pem.ts'
import { verifySvid } from '../../../ca/svid.ts'
import { type Certificate, parseCertificate } from '../../../ca/x509.ts'
import { WritError } from '../../../core/fault.ts'
import { bank, domain, id, newAuthority, newSvid, noonMs, orders, random, tempFolder } from '../world.ts'

const dayMs = 86_400_000

const read = (der: Uint8Array): Certificate => {
  const answer = parseCertificate(der)
  if ('wrong' in answer) throw new Error(answer.wrong)
  return answer.certificate
}

test('a leaf is an X509-SVID of one hour, backdated a minute, with a random serial of 16 bytes', () => {
  const { chain, serial, notBeforeMs, notAfterMs } = newSvid(newAuthority(), orders, { dns: ['orders.local'] })
  expect([notBeforeMs, notAfterMs]).toEqual([noonMs - 60_000, noonMs + 3_600_000])
  const leaf = read(chain[0]!)
  expect(leaf.serial).toBe(serial)
  expect(serial).toMatch(/^[4-7][0-9a-f]{31}$/)
  expect(leaf.extensions).toMatchObject({
    subjectAltName: { uris: [orders], dns: ['orders.local'], critical: true },
    keyUsage: { bits: new Set(['digitalSignature']), critical: true },
    basicConstraints: { ca: false, pathLen: undefined, critical: true },
    extendedKeyUsage: ['1.3.6.1.5.5.7.3.1', '1.3.6.1.5.5.7.3.2'],
    unknownCritical: [],
  })
})

test('the issuer may sign leaves of its own trust domain only', () => {
  const issuer = read(newSvid(newAuthority()).chain[1]!)
  expect(issuer.extensions).toMatchObject({
    subjectAltName: { uris: ['spiffe://bank.example'] },
    basicConstraints: { ca: true, pathLen: 0, critical: true },
    keyUsage: { bits: new Set(['keyCertSign', 'cRLSign']), critical: true },
    nameConstraints: { permitted: { uris: ['bank.example'], dns: [] }, critical: true },
  })
})

test('an authority does not issue for another trust domain', () => {
  expect(() => newSvid(newAuthority(), id('spiffe://other.example/orders'))).toThrow(WritError)
})

test('nothing is issued that our own validator would refuse', () => {
  expect(() => newSvid(newAuthority(), orders, { dns: ['-orders'] })).toThrow('bad DNS name')
})

test('the same folder is the same authority, and another trust domain is refused it', () => {
  const dir = join(tempFolder(), 'ca')
  const open = (trustDomain = bank) => openAuthority({ dir, trustDomain, nowMs: () => noonMs, random })
  const first = open()
  const again = open()
  expect(again.bundle()).toEqual(first.bundle())
  expect(newSvid(again).chain[1]).toEqual(newSvid(first).chain[1])
  expect(() => open(domain('other.example'))).toThrow('not of other.example')
})

test('keys lie in a folder of mode 0700, in files of mode 0600, and nothing else lies there', () => {
  const dir = join(tempFolder(), 'ca')
  openAuthority({ dir, trustDomain: bank, nowMs: () => noonMs, random })
  expect(statSync(dir).mode & 0o777).toBe(0o700)
  expect(readdirSync(dir).sort()).toEqual(['issuer.pem', 'jwt.pem', 'root.pem'])
  for (const name of readdirSync(dir)) expect(statSync(join(dir, name)).mode & 0o777).toBe(0o600)
})

test('a root file that is damaged stops the authority instead of being replaced', () => {
  const dir = join(tempFolder(), 'ca')
  const open = () => openAuthority({ dir, trustDomain: bank, nowMs: () => noonMs, random })
  open()
  const path = join(dir, 'root.pem')
  const text = readFileSync(path, 'utf8').slice(0, -100)
  writeFileSync(path, text)
  expect(open).toThrow('not a key with its certificate')
  expect(readFileSync(path, 'utf8')).toBe(text)
})

test('an issuer with a sixth of its life left is replaced under the same root, one with more is kept', () => {
  let nowMs = noonMs
  const authority = newAuthority(bank, () => nowMs)
  const issuer = () => newSvid(authority).chain[1]!
  const first = issuer()
  nowMs = noonMs + 304 * dayMs
  expect(issuer()).toEqual(first)
  nowMs = noonMs + 305 * dayMs
  expect(issuer()).not.toEqual(first)
  expect(verifySvid(newSvid(authority).chain, authority.bundle(), nowMs, verifySignature).ok).toBe(true)
})

test('a leaf ends no later than its issuer', () => {
  const authority = newAuthority()
  const { chain, notAfterMs } = newSvid(authority, orders, { ttlMs: 4000 * dayMs })
  expect(notAfterMs).toBe(read(chain[1]!).notAfterMs)
})

const openssl = spawnSync('openssl', ['version']).status === 0

test.skipIf(!openssl)('openssl reads and verifies what is issued', () => {
  const dir = tempFolder()
  const authority = newAuthority()
  const { chain } = newSvid(authority)
  const file = (name: string, der: Uint8Array) => {
    const path = join(dir, name)
    writeFileSync(path, pemOf(der, 'CERTIFICATE'))
    return path
  }
  const root = file('root.pem', authority.bundle().roots[0]!)
  const issuer = file('issuer.pem', chain[1]!)
  const leaf = file('leaf.pem', chain[0]!)
  const at = String(noonMs / 1000)
  const verify = ['verify', '-x509_strict', '-attime', at, '-CAfile', root, '-untrusted', issuer, leaf]
  expect(execFileSync('openssl', verify, { encoding: 'utf8' })).toContain('leaf.pem: OK')
  const text = execFileSync('openssl', ['x509', '-in', leaf, '-noout', '-text'], { encoding: 'utf8' })
  expect(text).toContain('URI:spiffe://bank.example/orders')
  expect(text).toContain('TLS Web Server Authentication, TLS Web Client Authentication')
})

test('node:crypto reads it alike', () => {
  const { chain, serial } = newSvid(newAuthority())
  const leaf = new X509Certificate(chain[0]!)
  expect(leaf.serialNumber.toLowerCase()).toBe(serial)
  expect(leaf.subjectAltName).toBe('URI:spiffe://bank.example/orders')
  expect(leaf.verify(new X509Certificate(chain[1]!).publicKey)).toBe(true)
})

test('a key that is not P-256 gets no certificate', () => {
  const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-384' })
  const p384 = publicKey.export({ type: 'spki', format: 'der' })
  for (const spki of [p384, newKeyPair().spki.subarray(0, 40)]) {
    expect(() => newAuthority().issue({ id: orders, spki })).toThrow('not P-256')
  }
})
