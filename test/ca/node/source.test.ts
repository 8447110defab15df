import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterEach, beforeEach, expect, onTestFinished, test, vi } from 'vitest'
import type { Authority } from '../../../ca/node/authority.ts'
import { joinMesh, renewSvid } from '../../../ca/node/client.ts'
import { type IdentityEvent, type LiveIdentity, type Obtained, renewAtMs } from '../../../ca/node/rotate.ts'
import { localIdentitySource, openIdentitySource } from '../../../ca/node/source.ts'
import { parseCertificate } from '../../../ca/x509.ts'
import { WritError } from '../../../core/fault.ts'
import type { IdentityState } from '../../../core/identity.ts'
import type { IssuanceBody } from '../../../core/record.ts'
import type { SpiffeId } from '../../../core/spiffe.ts'
import { controlId, startControl } from '../control.ts'
import { bank, bundlesOf, domain, id, newAuthority, newSvid, noonMs, orders, random, tempFolder } from '../world.ts'

const minuteMs = 60_000
/** Half of every range, so that jitter is none. */
const middle = (length: number) => Uint8Array.of(128, ...new Uint8Array(length - 1))

beforeEach(() => {
  vi.useFakeTimers({ now: noonMs, toFake: ['setTimeout', 'clearTimeout', 'Date'] })
})
afterEach(() => {
  vi.useRealTimers()
})

const down = () => new WritError('unavailable', 'nobody answers', { cure: 'wait' })

/** A control plane in memory: `broken` makes it fail. */
async function world(given?: Authority) {
  const authority = given ?? (await newAuthority(bank, Date.now))
  const calls: string[] = []
  const broken: { fault: WritError | undefined } = { fault: undefined }
  const get = async (what: string): Promise<Obtained> => {
    calls.push(what)
    if (broken.fault) throw broken.fault
    return { svid: newSvid(authority), bundles: bundlesOf(authority.bundle()) }
  }
  const dir = join(tempFolder(), 'identity')
  const events: IdentityEvent[] = []
  const open = async (more: { id?: SpiffeId; recover?: () => Promise<Obtained> } = {}): Promise<LiveIdentity> => {
    const { recover } = more
    const obtain = { join: () => get('join'), renew: () => get('renew'), ...(recover && { recover }) }
    const onEvent = (event: IdentityEvent) => void events.push(event)
    const source = await openIdentitySource({ dir, obtain, nowMs: Date.now, random: middle, onEvent, ...more })
    onTestFinished(() => source.close())
    return source
  }
  return { authority, calls, broken, dir, events, open }
}

const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms)

test('the first start joins, the next one finds what it had, in a private file', async () => {
  const { open, calls, dir } = await world()
  const first = (await open({ id: orders })).current()
  expect(statSync(join(dir, 'identity.json')).mode & 0o777).toBe(0o600)
  const second = (await open({ id: orders })).current()
  expect(second).toEqual(first)
  expect(calls).toEqual(['join'])
})

test('what was stored is joined anew when it has expired, is damaged, or is of another key', async () => {
  const { open, calls, dir } = await world()
  await open()
  const path = join(dir, 'identity.json')
  const good = JSON.parse(readFileSync(path, 'utf8'))
  writeFileSync(path, JSON.stringify({ ...good, key: newSvid(await newAuthority()).keyPem }))
  await open()
  writeFileSync(path, JSON.stringify(good).slice(0, -9))
  await open()
  vi.setSystemTime(noonMs + 60 * minuteMs + 1)
  await open()
  expect(calls).toEqual(['join', 'join', 'join', 'join'])
})

test('a folder of another workload is refused', async () => {
  const { open } = await world()
  await open()
  await expect(open({ id: id('spiffe://bank.example/other') })).rejects.toThrow('is the identity of')
})

test('a token for another workload is refused', async () => {
  await expect((await world()).open({ id: id('spiffe://bank.example/other') })).rejects.toThrow('the join token is for')
})

test('it renews at half of its life and tells whoever subscribed', async () => {
  const { open, calls, events } = await world()
  const source = await open()
  const seen: IdentityState[] = []
  const stop = source.subscribe((state) => seen.push(state))
  const first = source.current()
  await pass(29 * minuteMs)
  expect(calls).toEqual(['join'])
  await pass(minuteMs)
  expect(calls).toEqual(['join', 'renew'])
  expect(seen).toEqual([source.current()])
  expect(source.current().generation).toBe(first.generation + 1)
  expect(source.current().svid.serial).not.toBe(first.svid.serial)
  stop()
  await pass(31 * minuteMs)
  expect(seen.length).toBe(1)
  expect(events.map(({ kind }) => kind)).toEqual(['joined', 'renewed', 'renewed'])
})

test('a bundle that came while it renewed stays, where the answer has an older one', async () => {
  const { open, authority, calls } = await world()
  const source = await open()
  source.setBundles([{ ...authority.bundle(), sequence: 9 }])
  await pass(31 * minuteMs)
  expect(calls).toEqual(['join', 'renew'])
  expect(source.current().bundles.get(bank)?.sequence).toBe(9)
})

test('certificates of seconds are not renewed in a loop, though they are backdated a minute', async () => {
  const authority = await newAuthority(bank, Date.now)
  const kept: IssuanceBody[] = []
  const keep = (body: IssuanceBody) => kept.push(body)
  const source = await localIdentitySource(authority, controlId, { nowMs: Date.now, random: middle, keep, ttlMs: 4000 })
  onTestFinished(() => source.close())
  await pass(10_000)
  expect(kept.length).toBeGreaterThan(4)
  expect(kept.length).toBeLessThan(8)
})

test('half of a life is taken give or take a tenth', async () => {
  expect(renewAtMs(0, 2000, () => new Uint8Array(2))).toBe(900)
  expect(renewAtMs(0, 2000, middle)).toBe(1000)
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 2, maxLength: 2 }), (bytes) => {
      const atMs = renewAtMs(0, 2000, () => bytes)
      return atMs >= 900 && atMs < 1100
    }),
  )
})

test('a renewal that fails is tried again, ever more slowly, while the old certificate is in use', async () => {
  const { open, calls, broken, events } = await world()
  const source = await open()
  const first = source.current()
  broken.fault = down()
  await pass(40 * minuteMs)
  const waits = events.flatMap((event) => (event.kind === 'failed' ? [event.retryInMs] : []))
  expect(waits.slice(0, 3).every((wait, i) => i === 0 || wait > waits[i - 1]!)).toBe(true)
  expect(Math.max(...waits)).toBeLessThanOrEqual(minuteMs)
  expect(calls.length).toBeGreaterThan(5)
  expect(calls.length).toBeLessThan(40)
  expect(source.current()).toBe(first)
  broken.fault = undefined
  await pass(minuteMs)
  expect(source.current().svid.serial).not.toBe(first.svid.serial)
})

test('an identity that expired while control was away recovers by its key, and joins where that is refused', async () => {
  const { authority, open, broken, events } = await world()
  let may = true
  const source = await open({
    async recover() {
      if (!may) throw new WritError('forbidden', 'not any more')
      return { svid: newSvid(authority), bundles: bundlesOf(authority.bundle()) }
    },
  })
  broken.fault = down()
  await pass(62 * minuteMs)
  expect(events.at(-1)?.kind).toBe('recovered')
  may = false
  await pass(61 * minuteMs)
  expect(events.at(-2)).toMatchObject({ kind: 'failed', fault: { code: 'forbidden' } })
  broken.fault = undefined
  await pass(2 * minuteMs)
  expect(events.findLast(({ kind }) => kind !== 'failed')?.kind).toBe('joined')
  expect(source.current().svid.notAfterMs).toBeGreaterThan(Date.now())
})

const issuerOf = ({ chain }: { readonly chain: readonly Uint8Array[] }): string => {
  const read = parseCertificate(chain[1]!)
  return 'certificate' in read ? read.certificate.serial : read.wrong
}

test('what a distrusted issuer signed is renewed within seconds, until another issuer gives it; others are left alone', async () => {
  const { authority, open, calls } = await world()
  const source = await open()
  source.setDistrusted(['00ff'])
  await pass(10_000)
  expect(calls).toEqual(['join'])
  const first = issuerOf(source.current().svid)
  source.setDistrusted([first]) // Whoever issues has not heard of it.
  source.setDistrusted([first])
  await pass(6000)
  expect(calls.length).toBeGreaterThan(2)
  expect(calls.length).toBeLessThan(6)
  await authority.rotateIssuer(true)
  await pass(6000)
  expect(issuerOf(source.current().svid)).not.toBe(first)
  const asked = calls.length
  await pass(20 * minuteMs)
  expect(calls).toHaveLength(asked)
})

test('a certificate that nobody takes any more although it holds is recovered by the key; else the refusal is told', async () => {
  const { authority, open, broken, events } = await world()
  let may = false
  const source = await open({
    async recover() {
      if (!may) throw new WritError('forbidden', 'not you')
      return { svid: newSvid(authority), bundles: bundlesOf(authority.bundle()) }
    },
  })
  const { serial } = source.current().svid
  broken.fault = new WritError('unauthorized', 'its issuer is on the deny list')
  await pass(31 * minuteMs)
  expect(events.at(-1)).toMatchObject({ kind: 'failed', fault: { message: 'its issuer is on the deny list' } })
  may = true
  await pass(2 * minuteMs)
  expect(events.at(-1)?.kind).toBe('recovered')
  expect(source.current().svid.serial).not.toBe(serial)
})

test('a first join waits for a control plane that is not up yet, and not for one that says no', async () => {
  vi.useRealTimers()
  const { open, broken, events } = await world(await newAuthority(bank, Date.now))
  broken.fault = new WritError('token_invalid', 'redeemed', { cure: 'make another' })
  await expect(open()).rejects.toThrow('redeemed')
  broken.fault = down()
  const opening = open()
  await vi.waitFor(() => expect(events.map(({ kind }) => kind)).toEqual(['failed']))
  broken.fault = undefined
  expect((await opening).current().svid.id).toBe(orders)
})

test('each change of bundles or deny list is a generation, and the same again is none', async () => {
  const { open, authority, dir } = await world()
  const source = await open()
  const other = (await newAuthority(domain('other.example'))).bundle()
  const generations: number[] = []
  source.subscribe(({ generation }) => generations.push(generation))
  source.setBundles([authority.bundle(), other])
  source.setBundles([authority.bundle(), { ...other }])
  source.setDenied(new Set([orders]))
  source.setDenied(new Set([orders]))
  source.setBundles([other])
  expect(generations).toEqual([2, 3])
  expect([...source.current().bundles.keys()]).toEqual([bank, 'other.example'])
  expect(source.current().denied).toEqual(new Set([orders]))
  expect(readFileSync(join(dir, 'identity.json'), 'utf8')).toContain('other.example')
})

test('closed, it renews no more', async () => {
  const { open, calls } = await world()
  const source = await open()
  source.close()
  await pass(60 * minuteMs)
  expect(calls).toEqual(['join'])
})

test('a process with the authority renews by itself, and each certificate is kept before it is used', async () => {
  const authority = await newAuthority(bank, Date.now)
  const kept: IssuanceBody[] = []
  const keep = async (body: IssuanceBody) => void kept.push(body)
  const source = await localIdentitySource(authority, controlId, {
    nowMs: Date.now,
    random: middle,
    keep,
    ttlMs: 10 * minuteMs,
  })
  onTestFinished(() => source.close())
  const first = source.current().svid
  await pass(5 * minuteMs)
  const second = source.current().svid
  expect(kept).toMatchObject([
    { action: 'issued', subject: controlId, serial: first.serial, evidence: 'local' },
    { action: 'renewed', subject: controlId, serial: second.serial, evidence: `svid:${first.serial}` },
  ])
})

test('a certificate that cannot be kept is not used', async () => {
  const keep = () => Promise.reject(new WritError('audit_unavailable', 'the spool is full'))
  const opening = localIdentitySource(await newAuthority(bank, Date.now), controlId, { nowMs: Date.now, random, keep })
  await expect(opening).rejects.toThrow('the spool is full')
})

test('over real TLS: joined, renewed after half a life, with a full handshake each time', async () => {
  vi.useRealTimers()
  const control = await startControl(await newAuthority(bank, Date.now), { svidTtlMs: 3000 })
  const token = await control.registrar.createToken(orders)
  const reach = { url: control.url, expect: controlId }
  const source = await openIdentitySource({
    dir: tempFolder(),
    obtain: { join: () => joinMesh({ ...reach, token }), renew: (state) => renewSvid({ ...reach, state }) },
    nowMs: Date.now,
    random,
    onEvent: () => {},
  })
  onTestFinished(() => source.close())
  const first = source.current().svid.serial
  await vi.waitFor(() => expect(source.current().svid.serial).not.toBe(first), { timeout: 5000 })
  expect(control.seen).toEqual(['GET /v1/trust', 'POST /v1/join', 'POST /v1/renew'])
})
