import { join } from 'node:path'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import type { AuthorityTimes } from '../../../ca/authorities.ts'
import { revise } from '../../../ca/entries.ts'
import { openAuthority } from '../../../ca/node/authority.ts'
import { verifySignature } from '../../../ca/node/crypto.ts'
import { shownSkewMs } from '../../../ca/node/once.ts'
import { openShared, type SharedState } from '../../../ca/node/shared.ts'
import { maxTokens } from '../../../ca/node/tokens.ts'
import { verifySvid } from '../../../ca/svid.ts'
import { sharedDenied } from '../../../cli/wire/denied.ts'
import { sharedEntries } from '../../../cli/wire/registration.ts'
import { type RunningPostgres, startPostgres } from '../../parts/postgres.ts'
import { bank, newSvid, noonMs, orders, random, tempFolder } from '../world.ts'

let postgres: RunningPostgres
let one: SharedState
let other: SharedState

beforeAll(async () => {
  postgres = await startPostgres()
  ;[one, other] = await Promise.all([openShared(postgres.url), openShared(postgres.url)])
})

afterAll(async () => {
  await Promise.all([one?.close(), other?.close()])
  await postgres?.remove()
})

const passphrase = 'a passphrase for this test alone'
const open = (shared: SharedState, name: string, times: Partial<AuthorityTimes> = {}) =>
  openAuthority({
    times,
    ...{ dir: join(tempFolder(), 'ca'), trustDomain: bank, nowMs: () => noonMs, random, passphrase },
    store: shared.document(name),
  })

test('two that start at once have one authority, and each sees within moments what the other did', async () => {
  const [a, b] = await Promise.all([open(one, 'first'), open(other, 'first')])
  expect(a.bundle()).toEqual(b.bundle())
  expect(verifySvid(newSvid(a).chain, b.bundle(), noonMs, verifySignature).ok).toBe(true)
  let seen = 0
  b.subscribe(() => seen++)
  await a.prepare()
  await vi.waitFor(() => expect(b.bundle()).toEqual(a.bundle()))
  expect([seen, b.bundle().sequence]).toEqual([1, 2])
})

test('of many that want to take a step at once one does, and nothing is kept of the others', async () => {
  const both = [await open(one, 'second'), await open(other, 'second')]
  const kept: string[] = []
  for (const authority of both) authority.onChange(async ({ action }) => void kept.push(action))
  const all = await Promise.allSettled([...both, ...both, ...both].map((authority) => authority.prepare()))
  expect(all.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
  expect(kept).toEqual(['prepared'])
  expect(both[0]!.authorities()).toEqual(both[1]!.authorities())
})

test('a new issuer that one ordered signs at the other within moments, which hears what is distrusted; one of them denies it', async () => {
  const times = { renewMs: 0 }
  const [a, b] = [await open(one, 'issuer', times), await open(other, 'issuer', times)]
  const issuerOf = (authority: typeof a) => newSvid(authority).chain[1]
  let told = 0
  b.subscribe(() => told++)
  await a.rotateIssuer(true)
  await vi.waitFor(() => expect(issuerOf(b)).toEqual(issuerOf(a)))
  expect([told, b.distrusted()]).toEqual([1, a.distrusted()])
  const denied: string[] = []
  for (const authority of [a, b]) authority.onChange(async ({ action }) => void denied.push(action))
  await Promise.all([a, b, a, b].map((authority) => authority.maintain({ waiting: [], heardSinceMs: 0 })))
  expect(denied).toEqual(['issuer_denied'])
  expect(b.authorities()).toEqual(a.authorities())
})

test('no key lies in the database in the clear', async () => {
  await open(one, 'third')
  const { text } = (await one.document('third').read())!
  expect(text).not.toContain('BEGIN PRIVATE KEY')
  expect(text.match(/BEGIN ENCRYPTED PRIVATE KEY/g)).toHaveLength(3)
})

test('a join token is redeemed once, wherever it was made and however many try', async () => {
  const token = { digest: 'd1', id: orders, expiresAtMs: noonMs }
  await one.tokens.put(token, noonMs)
  const taken = await Promise.all([one, other, one, other].map(({ tokens }) => tokens.take('d1')))
  expect(taken.filter((held) => held !== undefined)).toEqual([token])
})

test('as many join tokens are outstanding as there may be and no more, and those that have expired make room', async () => {
  const put = (n: number, nowMs: number) => one.tokens.put({ digest: `n${n}`, id: orders, expiresAtMs: noonMs }, nowMs)
  await Promise.all(Array.from({ length: maxTokens }, (_, n) => put(n, noonMs)))
  // What is on its way while they are counted is not counted.
  const more = await Promise.allSettled(Array.from({ length: 100 }, (_, n) => put(maxTokens + n, noonMs)))
  expect(more.filter(({ status }) => status === 'rejected').length).toBeGreaterThan(80)
  await put(maxTokens + 100, noonMs + 1)
  expect(await other.tokens.take('n7')).toBeUndefined()
})

test('a recovery key that was bound at one control plane is known at the other, with what its holder was given last', async () => {
  const key = { digest: 'k1', id: orders, registered: true, serial: 'aa', notAfterMs: noonMs }
  await one.recovery.put(key, 0)
  expect(await other.recovery.find('k1')).toEqual(key)
  await other.recovery.put({ ...key, serial: 'bb' }, noonMs)
  expect(await one.recovery.find('k1')).toEqual({ ...key, serial: 'bb' })
})

test('a token of a platform counts once, wherever it is shown, and room is made when it has ended', async () => {
  const all = await Promise.all([one, other, one, other].map(({ once }) => once.take('t1', noonMs, noonMs)))
  expect(all.filter(Boolean)).toHaveLength(1)
  expect(await other.once.take('t1', noonMs, noonMs + shownSkewMs)).toBe(false)
  expect(await other.once.take('t1', noonMs, noonMs + shownSkewMs + 1)).toBe(true)
})

test('entries made at one control plane are at the other within moments, and two at once lose nothing', async () => {
  let told = 0
  const [a, b] = [await sharedEntries(one, () => {}), await sharedEntries(other, () => told++)]
  const entry = (name: string) => revise({ name, id: orders, selectors: [`unix:path:/${name}`] })
  await Promise.all([a.put(entry('first')), b.put(entry('second'))])
  const names = ({ list }: typeof a) => list().map(({ name }) => name)
  await vi.waitFor(() =>
    expect([names(a).sort(), names(b).sort()]).toEqual([
      ['first', 'second'],
      ['first', 'second'],
    ]),
  )
  await a.remove('first')
  await vi.waitFor(() => expect(names(b)).toEqual(['second']))
  expect(told).toBeGreaterThan(1)
})

test('who is denied at one is denied at the other within moments, and two at once lose nothing', async () => {
  let told = 0
  const [a, b] = [
    await sharedDenied(one.document('denied'), () => {}),
    await sharedDenied(other.document('denied'), () => told++),
  ]
  await Promise.all([a.add('spiffe://bank.example/a'), b.add('spiffe://bank.example/b')])
  const both = new Set(['spiffe://bank.example/a', 'spiffe://bank.example/b'])
  await vi.waitFor(() => expect([a.current(), b.current()]).toEqual([both, both]))
  expect(told).toBeGreaterThan(0)
  expect(a.generation()).toBe(b.generation())
})

test('who lacks a bundle is known wherever it was said, until its certificate is over', async () => {
  await one.applied({ workload: orders, trust: 1, notAfterMs: noonMs })
  expect(await other.behind(2, noonMs - 1)).toEqual([orders])
  expect(await other.behind(2, noonMs)).toEqual([])
  await one.applied({ workload: orders, trust: undefined, notAfterMs: noonMs })
  expect(await other.behind(2, noonMs - 1)).toEqual([orders])
  await other.applied({ workload: orders, trust: 2, notAfterMs: noonMs })
  await one.applied({ workload: orders, trust: undefined, notAfterMs: noonMs })
  expect(await one.behind(2, noonMs - 1)).toEqual([])
})

test('whose certificate was not renewed when it was due is known wherever it was said', async () => {
  const leaf = { id: orders, notBeforeMs: noonMs, notAfterMs: noonMs + 3000 }
  await one.leaves.put([leaf])
  expect(await other.leaves.late(noonMs + 2000)).toEqual([])
  expect(await other.leaves.late(noonMs + 2001)).toEqual([leaf])
  expect(await other.leaves.late(noonMs + 3000)).toEqual([])
  await other.leaves.put([{ ...leaf, notAfterMs: noonMs + 9000 }])
  expect(await one.leaves.late(noonMs + 2001)).toEqual([])
})

test('after the database was away what was done meanwhile is seen', async () => {
  const [a, b] = [await open(one, 'last'), await open(other, 'last')]
  await postgres.restart()
  await vi.waitFor(() => a.prepare(), { timeout: 20_000 })
  await vi.waitFor(() => expect(b.bundle()).toEqual(a.bundle()), { timeout: 20_000 })
})
