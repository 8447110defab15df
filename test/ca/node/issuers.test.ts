import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { makeIdentify } from '../../../ca/identify.ts'
import type { Authority } from '../../../ca/node/authority.ts'
import type { AuthorityChange } from '../../../ca/node/authority-held.ts'
import { newKeyPair, privateKeyOf, verifySignature } from '../../../ca/node/crypto.ts'
import { keySeal, sealedRootKeys } from '../../../ca/node/root-keys.ts'
import { writeIssuerCsr } from '../../../ca/node/write.ts'
import { parseCertificate } from '../../../ca/x509.ts'
import { above } from '../above.ts'
import { bank, bundlesOf, newAuthority, newSvid, noonMs, peerWith, tempFolder } from '../world.ts'

const minuteMs = 60_000
const hourMs = 60 * minuteMs
const dayMs = 24 * hourMs
const quiet = { waiting: [], heardSinceMs: 0 }

/** An authority whose leaves live for an hour, and what a peer that has its bundle says of a chain. */
async function world(more: Parameters<typeof newAuthority>[2] = {}) {
  let nowMs = noonMs
  const dir = join(tempFolder(), 'ca')
  const open = () => newAuthority(bank, () => nowMs, { dir, times: { skewMs: minuteMs }, maxLeafMs: hourMs, ...more })
  const authority = await open()
  const denied = new Set<string>()
  const acts: string[] = []
  authority.onChange(async ({ action, issuer }: AuthorityChange) => {
    acts.push(action)
    if (action === 'issuer_denied') denied.add(issuer!)
  })
  let generation = 0
  const identify = makeIdentify(
    () => ({ generation: generation++, bundles: bundlesOf(authority.bundle()), denied }),
    verifySignature,
  )
  return {
    ...{ authority, open, dir, denied, acts },
    judge: (chain: readonly Uint8Array[]) => identify(peerWith(chain), nowMs),
    pass(ms: number) {
      nowMs += ms
    },
    nowMs: () => nowMs,
  }
}

const issuerOf = (authority: Authority): string => {
  const read = parseCertificate(newSvid(authority).chain[1]!)
  return 'certificate' in read ? read.certificate.serial : read.wrong
}
const formersOf = (authority: Authority) => authority.authorities().list.flatMap(({ former }) => former)

test('an issuer follows another by order: no bundle changes, leaves of both hold, the former is forgotten after its last', async () => {
  const { authority, judge, pass, acts, open } = await world()
  const first = issuerOf(authority)
  const before = newSvid(authority)
  await authority.rotateIssuer(false)
  const after = newSvid(authority)
  expect(issuerOf(authority)).not.toBe(first)
  expect(authority.bundle()).toMatchObject({ sequence: 1, roots: [{}] })
  expect([judge(before.chain), judge(after.chain)]).toMatchObject([{ ok: true }, { ok: true }])
  expect(formersOf(authority)).toMatchObject([{ serial: first, retiredAtMs: noonMs }])
  expect(formersOf(await open())).toEqual(formersOf(authority))
  expect(authority.distrusted()).toEqual([])

  pass(hourMs + minuteMs - 1)
  expect(await authority.maintain(quiet)).toEqual([])
  pass(1)
  expect(await authority.maintain(quiet)).toMatchObject([{ action: 'issuer_forgotten', issuer: first }])
  expect(formersOf(authority)).toEqual([])
  expect(acts).toEqual(['issuer_made', 'issuer_forgotten'])
})

test('no certificate outlives its issuer, so one that was about to end is not kept for longer', async () => {
  const { authority, pass } = await world({ issuerMs: hourMs })
  pass(hourMs - 5 * minuteMs)
  expect(await authority.maintain(quiet)).toMatchObject([{ action: 'issuer_made' }])
  pass(6 * minuteMs)
  expect(await authority.maintain(quiet)).toMatchObject([{ action: 'issuer_forgotten' }])
})

test('it is taken back, and forth again: the former issuer signs as before', async () => {
  const { authority, judge } = await world()
  await expect(authority.undoIssuer()).rejects.toThrow('no former issuer can sign')
  const first = issuerOf(authority)
  await authority.rotateIssuer(false)
  const second = issuerOf(authority)
  await authority.undoIssuer()
  expect(issuerOf(authority)).toBe(first)
  expect(judge(newSvid(authority).chain)).toMatchObject({ ok: true })
  expect(formersOf(authority)).toMatchObject([{ serial: second }])
  await authority.undoIssuer()
  expect(issuerOf(authority)).toBe(second)
})

test('a lost issuer: its key is gone, everybody is told to renew, then it is refused, also while all is paused', async () => {
  const { authority, judge, pass, denied, acts, dir, open } = await world()
  const first = issuerOf(authority)
  const stolen = newSvid(authority)
  let told = 0
  authority.subscribe(() => told++)
  await authority.rotateIssuer(true)
  expect([told, authority.distrusted()]).toEqual([1, [first]])
  expect(JSON.parse(readFileSync(join(dir, 'authority.json'), 'utf8')).authorities[0].former[0].issuerKey).toBe(
    undefined,
  )
  await expect(authority.undoIssuer()).rejects.toThrow('is distrusted')
  await authority.pause(true)
  pass(19_999)
  expect(await authority.maintain(quiet)).toEqual([])
  expect(judge(stolen.chain)).toMatchObject({ ok: true })
  pass(1)
  expect(await authority.maintain(quiet)).toMatchObject([{ action: 'issuer_denied', issuer: first }])
  expect([...denied]).toEqual([first])
  expect(judge(stolen.chain)).toMatchObject({ ok: false, code: 'identity_revoked' })
  expect(judge(newSvid(authority).chain)).toMatchObject({ ok: true })
  expect((await open()).distrusted()).toEqual([first])
  expect(await authority.maintain(quiet)).toEqual([])

  pass(2 * hourMs)
  expect(await authority.maintain(quiet)).toEqual([])
  await authority.pause(false)
  expect(await authority.maintain(quiet)).toMatchObject([{ action: 'issuer_forgotten' }])
  expect(authority.distrusted()).toEqual([])
  expect(acts).toEqual(['issuer_distrusted', 'paused', 'issuer_denied', 'resumed', 'issuer_forgotten'])
})

test('a denial that cannot be kept is tried again', async () => {
  const { authority, pass } = await world()
  await authority.rotateIssuer(true)
  pass(dayMs)
  let fails = true
  authority.onChange(async () => {
    if (fails) throw new Error('the spool is full')
  })
  await expect(authority.maintain(quiet)).rejects.toThrow('the spool is full')
  fails = false
  expect(await authority.maintain(quiet)).toMatchObject([{ action: 'issuer_denied' }])
})

test('a worn issuer is not replaced while all is paused, until leaves would be cut short', async () => {
  const { authority, pass, nowMs } = await world()
  await authority.pause(true)
  const first = issuerOf(authority)
  const { notAfterMs } = authority.lifetimes()[0]!
  pass(notAfterMs - noonMs - 2 * hourMs - 1000)
  expect(await authority.maintain(quiet)).toEqual([])
  expect(issuerOf(authority)).toBe(first)
  pass(1000)
  expect(await authority.maintain(quiet)).toMatchObject([{ action: 'issuer_made' }])
  expect(newSvid(authority).notAfterMs).toBe(nowMs() + hourMs)
})

test('of many that are ordered some are refused, until former ones are forgotten', async () => {
  const { authority, pass } = await world()
  for (let i = 0; i < 8; i++) await authority.rotateIssuer(false)
  await expect(authority.rotateIssuer(false)).rejects.toMatchObject({ code: 'in_use' })
  pass(2 * hourMs)
  for (let i = 0; i < 8; i++) await authority.maintain(quiet)
  await authority.rotateIssuer(false)
})

test('an authority above is asked for the next issuer; where it has another root by now, that one comes in first', async () => {
  const upstream = above(() => noonMs)
  const { authority, judge, acts } = await world({ upstream })
  const before = newSvid(authority)
  await authority.rotateIssuer(false)
  expect(upstream.asked).toBe(2)
  expect(newSvid(authority).chain).toHaveLength(3)
  expect([judge(before.chain), judge(newSvid(authority).chain)]).toMatchObject([{ ok: true }, { ok: true }])
  upstream.turn()
  const now = issuerOf(authority)
  await expect(authority.rotateIssuer(true)).rejects.toThrow('has another root by now')
  expect([issuerOf(authority), authority.distrusted()]).toEqual([now, []])
  expect(acts).toEqual(['issuer_made', 'prepared'])
  upstream.fails = true
  await expect(authority.rotateIssuer(false)).rejects.toThrow('nobody is there')
})

test('an issuer of an offline root is followed by what is imported, and only so', async () => {
  const root = above(() => noonMs)
  const { authority, judge } = await world({ times: { publishMs: 0, skewMs: 0 } })
  const signed = async () => {
    const { spki, keyPem } = newKeyPair()
    const csr = writeIssuerCsr(spki, privateKeyOf(keyPem), bank, 'issuer')
    return { keyPem, chain: await root.sign({ csr, trustDomain: bank, commonName: 'issuer', lifeMs: dayMs }) }
  }
  const [one, other] = [await signed(), await signed()]
  await authority.import(one.chain, one.keyPem)
  await authority.activate()
  const first = issuerOf(authority)
  await expect(authority.rotateIssuer(false)).rejects.toThrow('is not ours to sign by')
  await authority.import(other.chain, other.keyPem, true)
  expect(authority.distrusted()).toEqual([first])
  expect(judge(newSvid(authority).chain)).toMatchObject({ ok: true })
})

test('what the root signed wrongly never signs: the former issuer goes on', async () => {
  const keys = sealedRootKeys(keySeal(undefined))
  let wrong = false
  const open = async (ref: string) => {
    const key = await keys.open(ref)
    return { ...key, sign: async (bytes: Uint8Array) => (wrong ? key.sign(Uint8Array.of(1)) : key.sign(bytes)) }
  }
  // As a module or a cloud would, whose reference is no key itself.
  const refs: string[] = []
  const elsewhere = {
    create: async () => {
      const key = await keys.create()
      refs.push(key.ref)
      return { ...key, ref: `test:${refs.length - 1}` }
    },
    open: async (ref: string) => ({ ...(await open(refs[Number(ref.slice(5))]!)), ref }),
    destroy: async () => {},
  }
  const { authority } = await world({ keys: elsewhere })
  const first = issuerOf(authority)
  wrong = true
  await expect(authority.rotateIssuer(false)).rejects.toMatchObject({ code: 'certificate_invalid' })
  expect(issuerOf(authority)).toBe(first)
  wrong = false
  await authority.rotateIssuer(false)
  expect(issuerOf(authority)).not.toBe(first)
})
