import { createPublicKey, generateKeyPairSync, sign, verify } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { openAuthority } from '../../../ca/node/authority.ts'
import { derOfPair, verifySignature } from '../../../ca/node/crypto.ts'
import { pkcs11RootKeys } from '../../../ca/node/pkcs11.ts'
import { verifySvid } from '../../../ca/svid.ts'
import { makeSoftHsm } from '../../parts/softhsm.ts'
import { bank, newSvid, noonMs, random, tempFolder } from '../world.ts'

/** A process reads where SoftHSM's tokens are once, so all tests have one. */
const home = mkdtempSync(join(tmpdir(), 'writ-hsm-'))
afterAll(() => rmSync(home, { recursive: true, force: true }))
const hsm = makeSoftHsm(home)

test('a wrong PIN, a token that is not there and a library that is none are told, each with its cure', async () => {
  const failing = (change: Partial<typeof hsm>) => pkcs11RootKeys({ ...hsm, ...change }, random).create()
  await expect(failing({ token: 'another' })).rejects.toMatchObject({ code: 'not_found', cure: expect.any(String) })
  await expect(failing({ module: '/etc/hostname' })).rejects.toMatchObject({ code: 'unavailable' })
  // Before the right one: a process that is logged in to a token stays so.
  await expect(failing({ pin: '0000' })).rejects.toThrow('answered C_Login with 0xa0')
})

test('a root whose key never leaves the module signs issuers, also after a restart, and goes with its withdrawal', async () => {
  const dir = tempFolder()
  let nowMs = noonMs
  const open = () =>
    openAuthority({
      ...{ dir: join(dir, 'ca'), trustDomain: bank, nowMs: () => nowMs, random, maxLeafMs: 60_000 },
      ...{ keys: pkcs11RootKeys(hsm, random), times: { publishMs: 0, skewMs: 0 } },
    })
  const first = await open()
  const svid = newSvid(first)
  expect(verifySvid(svid.chain, first.bundle(), nowMs, verifySignature).ok).toBe(true)
  const state = () => JSON.parse(readFileSync(join(dir, 'ca/authority.json'), 'utf8'))
  expect(state().authorities[0].rootKey).toMatch(/^pkcs11:token=writ%20test;id=(%[0-9a-f]{2}){16}$/)

  nowMs += 305 * 86_400_000
  const again = await open() // Its issuer is worn, so the module has to sign.
  const later = newSvid(again)
  expect(later.chain[1]).not.toEqual(svid.chain[1])
  expect(verifySvid(later.chain, first.bundle(), nowMs, verifySignature).ok).toBe(true)

  await again.rotateIssuer(true)
  expect(newSvid(again).chain[1]).not.toEqual(later.chain[1])
  expect(verifySvid(newSvid(again).chain, first.bundle(), nowMs, verifySignature).ok).toBe(true)

  const { rootKey } = state().authorities[0]
  await again.prepare()
  await again.activate()
  nowMs += 60_000
  expect(await again.maintain({ waiting: [], heardSinceMs: 0 })).toMatchObject([{ action: 'withdrawn' }])
  await expect(pkcs11RootKeys(hsm, random).open(rootKey)).rejects.toThrow('does not hold')
})

test('r and s become the DER that OpenSSL takes, whatever their leading bytes', () => {
  const { privateKey, publicKey } = generateKeyPairSync('ec', {
    namedCurve: 'P-256',
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  })
  for (let i = 0; i < 1500; i++) {
    const bytes = random(8)
    const pair = sign('sha256', bytes, { key: privateKey, dsaEncoding: 'ieee-p1363' })
    expect(verify('sha256', bytes, createPublicKey(publicKey), derOfPair(pair))).toBe(true)
  }
  expect(derOfPair(new Uint8Array(64))).toEqual(Uint8Array.of(0x30, 6, 2, 1, 0, 2, 1, 0))
})
