import { execFileSync, spawnSync } from 'node:child_process'
import { generateKeyPairSync, X509Certificate } from 'node:crypto'
import { readdirSync, readFileSync, statSync, unlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { type Authority, type AuthorityOptions, openAuthority } from '../../../ca/node/authority.ts'
import type { AuthorityChange } from '../../../ca/node/authority-held.ts'
import { authorityFile } from '../../../ca/node/authority-state.ts'
import { newKeyPair, verifySignature } from '../../../ca/node/crypto.ts'
import { pemOf } from '../../../ca/node/pem.ts'
import { verifySvid } from '../../../ca/svid.ts'
import { type Certificate, parseCertificate } from '../../../ca/x509.ts'
import { WritError } from '../../../core/fault.ts'
import { bank, domain, id, newAuthority, newSvid, noonMs, orders, random, tempFolder } from '../world.ts'

const dayMs = 86_400_000
/** Nobody is waited for. */
const quiet = { waiting: [], heardSinceMs: 0 }

const read = (der: Uint8Array): Certificate => {
  const answer = parseCertificate(der)
  if ('wrong' in answer) throw new Error(answer.wrong)
  return answer.certificate
}

test('a leaf is an X509-SVID of one hour, backdated a minute, with a random serial of 16 bytes', async () => {
  const { chain, serial, notBeforeMs, notAfterMs } = newSvid(await newAuthority(), orders, { dns: ['orders.local'] })
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

test('the issuer may sign leaves of its own trust domain only', async () => {
  const issuer = read(newSvid(await newAuthority()).chain[1]!)
  expect(issuer.extensions).toMatchObject({
    subjectAltName: { uris: ['spiffe://bank.example'] },
    basicConstraints: { ca: true, pathLen: 0, critical: true },
    keyUsage: { bits: new Set(['keyCertSign', 'cRLSign']), critical: true },
    nameConstraints: { permitted: { uris: ['bank.example'], dns: [] }, critical: true },
  })
})

test('an authority does not issue for another trust domain', async () => {
  const authority = await newAuthority()
  expect(() => newSvid(authority, id('spiffe://other.example/orders'))).toThrow(WritError)
})

test('nothing is issued that our own validator would refuse', async () => {
  const authority = await newAuthority()
  expect(() => newSvid(authority, orders, { dns: ['-orders'] })).toThrow('bad DNS name')
})

const openIn = (dir: string, more: Partial<AuthorityOptions> = {}): Promise<Authority> =>
  openAuthority({ dir, trustDomain: bank, nowMs: () => noonMs, random, ...more })

test('the same folder is the same authority, and another trust domain is refused it', async () => {
  const dir = join(tempFolder(), 'ca')
  const first = await openIn(dir)
  const again = await openIn(dir)
  expect(again.bundle()).toEqual(first.bundle())
  expect(newSvid(again).chain[1]).toEqual(newSvid(first).chain[1])
  await expect(openIn(dir, { trustDomain: domain('other.example') })).rejects.toThrow('not of other.example')
})

test('keys lie in a folder of mode 0700, in one file of mode 0600, and nothing else lies there', async () => {
  const dir = join(tempFolder(), 'ca')
  await openIn(dir)
  expect(statSync(dir).mode & 0o777).toBe(0o700)
  expect(readdirSync(dir)).toEqual(['authority.json'])
  expect(statSync(join(dir, 'authority.json')).mode & 0o777).toBe(0o600)
})

test('with a passphrase no key lies there in the clear, and nothing opens without it', async () => {
  const dir = join(tempFolder(), 'ca')
  const passphrase = 'correct horse battery staple'
  const first = await openIn(dir, { passphrase })
  const text = readFileSync(join(dir, 'authority.json'), 'utf8')
  expect(text).not.toContain('BEGIN PRIVATE KEY')
  expect(text.match(/BEGIN ENCRYPTED PRIVATE KEY/g)).toHaveLength(3)
  expect(newSvid(await openIn(dir, { passphrase })).chain[1]).toEqual(newSvid(first).chain[1])
  await expect(openIn(dir)).rejects.toThrow('are encrypted')
  await expect(openIn(dir, { passphrase: `${passphrase}!` })).rejects.toThrow('cannot be read')
  await expect(openIn(dir, { passphrase: 'short' })).rejects.toThrow('has 5 characters')
})

test('a state that is damaged stops the authority instead of being replaced', async () => {
  const dir = join(tempFolder(), 'ca')
  await openIn(dir)
  const path = join(dir, 'authority.json')
  const whole = readFileSync(path, 'utf8')
  for (const text of [whole.slice(0, -100), whole.replace('"active"', '"retired"'), '', '[]']) {
    writeFileSync(path, text)
    await expect(openIn(dir)).rejects.toThrow("the authority's state is damaged")
    expect(readFileSync(path, 'utf8')).toBe(text)
  }
})

test('an authority of the former layout is taken in: the same root, the same key of tokens, no file left behind', async () => {
  const dir = join(tempFolder(), 'ca')
  const first = await openIn(dir)
  const { root, rootKey, issuer, issuerKey, tokenKey } = JSON.parse(readFileSync(join(dir, 'authority.json'), 'utf8'))
    .authorities[0]
  unlinkSync(join(dir, 'authority.json'))
  writeFileSync(join(dir, 'root.pem'), rootKey + pemOf(Buffer.from(root, 'base64'), 'CERTIFICATE'))
  writeFileSync(join(dir, 'issuer.pem'), issuerKey + pemOf(Buffer.from(issuer, 'base64'), 'CERTIFICATE'))
  writeFileSync(join(dir, 'jwt.pem'), tokenKey)
  const again = await openIn(dir)
  expect(again.bundle()).toEqual(first.bundle())
  expect(verifySvid(newSvid(again).chain, first.bundle(), noonMs, verifySignature).ok).toBe(true)
  expect(readdirSync(dir)).toEqual(['authority.json'])
})

test('an issuer with a sixth of its life left is replaced under the same root, one with more is kept', async () => {
  let nowMs = noonMs
  const authority = await newAuthority(bank, () => nowMs)
  const issuer = () => newSvid(authority).chain[1]!
  const first = issuer()
  nowMs = noonMs + 304 * dayMs
  expect(await authority.maintain(quiet)).toEqual([])
  expect(issuer()).toEqual(first)
  nowMs = noonMs + 305 * dayMs
  expect(await authority.maintain(quiet)).toMatchObject([{ action: 'issuer_made' }])
  expect(issuer()).not.toEqual(first)
  expect(verifySvid(newSvid(authority).chain, authority.bundle(), nowMs, verifySignature).ok).toBe(true)
})

test('a leaf ends no later than its issuer', async () => {
  const authority = await newAuthority(bank, () => noonMs, { maxLeafMs: 4000 * dayMs })
  const { chain, notAfterMs } = newSvid(authority, orders, { ttlMs: 4000 * dayMs })
  expect(notAfterMs).toBe(read(chain[1]!).notAfterMs)
  expect(newSvid(await newAuthority(), orders, { ttlMs: 4000 * dayMs }).notAfterMs).toBe(noonMs + dayMs)
})

const openssl = spawnSync('openssl', ['version']).status === 0

test.skipIf(!openssl)('openssl reads and verifies what is issued', async () => {
  const dir = tempFolder()
  const authority = await newAuthority()
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

test('node:crypto reads it alike', async () => {
  const { chain, serial } = newSvid(await newAuthority())
  const leaf = new X509Certificate(chain[0]!)
  expect(leaf.serialNumber.toLowerCase()).toBe(serial)
  expect(leaf.subjectAltName).toBe('URI:spiffe://bank.example/orders')
  expect(leaf.verify(new X509Certificate(chain[1]!).publicKey)).toBe(true)
})

test('keys on P-256 and P-384 and of Ed25519 get certificates, and no others', async () => {
  const authority = await newAuthority()
  for (const kind of ['p256', 'p384', 'ed25519'] as const) {
    const { chain } = authority.issue({ id: orders, spki: newKeyPair(kind).spki })
    expect(verifySvid(chain, authority.bundle(), noonMs, verifySignature)).toMatchObject({ ok: true })
    expect(new X509Certificate(chain[0]!).verify(new X509Certificate(chain[1]!).publicKey)).toBe(true)
    expect(read(chain[0]!).key).toBe(kind)
  }
  const { publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const p521 = generateKeyPairSync('ec', { namedCurve: 'P-521' }).publicKey.export({ type: 'spki', format: 'der' })
  for (const spki of [publicKey.export({ type: 'spki', format: 'der' }), p521, newKeyPair().spki.subarray(0, 40)]) {
    expect(() => authority.issue({ id: orders, spki })).toThrow('not P-256, P-384 or Ed25519')
  }
})

test('a root is followed by another: published, signing, withdrawn; each step is kept before it counts', async () => {
  let nowMs = noonMs
  const times = { publishMs: 60_000, skewMs: 60_000 }
  const authority = await newAuthority(bank, () => nowMs, { times, maxLeafMs: 3_600_000 })
  const kept: AuthorityChange[] = []
  let seen = 0
  authority.onChange(async (change) => {
    expect(authority.bundle().sequence).toBeLessThanOrEqual(change.bundle.sequence)
    kept.push(change)
  })
  authority.subscribe(() => seen++)
  const holds = (chain: readonly Uint8Array[]) => verifySvid(chain, authority.bundle(), nowMs, verifySignature).ok
  const before = newSvid(authority)

  await authority.prepare()
  await expect(authority.prepare()).rejects.toThrow('is prepared already')
  expect(authority.bundle()).toMatchObject({ sequence: 2, roots: [{}, {}], jwtKeys: [{}, {}] })
  expect(newSvid(authority).chain[1]).toEqual(before.chain[1])
  expect(await authority.maintain(quiet)).toEqual([])

  nowMs += 60_000
  expect(await authority.maintain({ waiting: ['orders'], heardSinceMs: 0 })).toEqual([])
  expect(await authority.maintain(quiet)).toMatchObject([{ action: 'activated' }])
  const after = newSvid(authority)
  expect(after.chain[1]).not.toEqual(before.chain[1])
  expect([holds(before.chain), holds(after.chain)]).toEqual([true, true])
  const token = await authority.mintJwt({ id: orders, audience: 'a' })
  const { kid } = JSON.parse(Buffer.from(token.token.split('.')[0]!, 'base64url').toString())
  expect(kid).toBe(authority.bundle().jwtKeys![1]!.kid)

  nowMs += 3_600_000 + 60_000
  expect(await authority.maintain(quiet)).toMatchObject([{ action: 'withdrawn' }])
  expect(authority.bundle()).toMatchObject({ sequence: 3, roots: [{}] })
  expect(verifySvid(before.chain, authority.bundle(), noonMs, verifySignature).ok).toBe(false)
  expect(kept.map(({ action }) => action)).toEqual(['prepared', 'activated', 'withdrawn'])
  expect(seen).toBe(2)
})

test('a step that cannot be kept does not happen', async () => {
  const authority = await newAuthority()
  authority.onChange(async () => {
    throw new WritError('audit_unavailable', 'the spool is full')
  })
  await expect(authority.prepare()).rejects.toThrow('the spool is full')
  expect(authority.bundle()).toMatchObject({ sequence: 1, roots: [{}] })
})

test('of two processes over one state the second sees what the first did, and never overwrites it', async () => {
  const dir = join(tempFolder(), 'ca')
  const [one, other] = [await openIn(dir), await openIn(dir)]
  await one.prepare()
  expect(other.bundle().sequence).toBe(1)
  await expect(other.prepare()).rejects.toThrow('is prepared already')
  expect(other.bundle()).toEqual(one.bundle())
  await one.undo()
  await other.maintain(quiet)
  expect(other.bundle()).toEqual(one.bundle())

  const store = authorityFile(dir)
  const { version, text } = (await store.read())!
  expect(await store.swap(version - 1, text)).toBe(false)
})

test('longer leaves than before keep the root for longer, also over a restart', async () => {
  const dir = join(tempFolder(), 'ca')
  await openIn(dir, { maxLeafMs: 60_000 })
  expect((await openIn(dir, { maxLeafMs: dayMs })).authorities().list[0]!.longestMs).toBe(dayMs)
  expect((await openIn(dir, { maxLeafMs: 60_000 })).authorities().list[0]!.longestMs).toBe(dayMs)
})
