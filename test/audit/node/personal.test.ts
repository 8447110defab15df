import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, afterEach, beforeEach, expect, test, vi } from 'vitest'
import type { Auditor } from '../../../audit/node/auditor.ts'
import { disclose, findSealed, openSealed } from '../../../audit/node/disclose.ts'
import { decrypt, encrypt } from '../../../audit/node/seal.ts'
import { openVault, type Vault } from '../../../audit/node/vault.ts'
import { recall } from '../../../audit/replay/recorded.ts'
import { readBeside, recordsUnder } from '../../../audit/store/disclosures.ts'
import { sql } from '../../../audit/store/drizzle.ts'
import { readLeaves } from '../../../audit/store/leaves.ts'
import { recallShard } from '../../../audit/store/recall.ts'
import { sealedOf } from '../../../cli/wire/auditor-client.ts'
import { disclosureRoutes } from '../../../control/node/disclosure-routes.ts'
import { type LogDoorParts, logRoutes } from '../../../control/node/log-door.ts'
import { fromUtf8, toBase64Url, utf8 } from '../../../core/bytes.ts'
import type { Disclosures } from '../../../core/personal.ts'
import type { RecordSink } from '../../../core/ports.ts'
import { type AuditEvent, type DecisionBody, decisionId, parseEvent } from '../../../core/record.ts'
import { decisionBody, keep } from '../../../proxy/flow/record.ts'
import { verifyLeaves } from '../verify/log.ts'
import { makeWorld, openTestStore, sha256, type World } from './auditor-fixture.ts'
import { allowed, decided, facts, factsOf, recordedBy, use } from './personal-kit.ts'
import { id } from './spool-kit.ts'

const secrets = ['ann@bank.example', '/patients/4711', 'secret-token', '10.9.8.7']

let world: World
let auditor: Auditor
let vault: Vault
let keysDir: string
const store = await openTestStore()
beforeEach(async () => {
  world = await makeWorld(store)
  auditor = await world.open()
  keysDir = join(await mkdtemp(join(tmpdir(), 'writ-vault-')), 'keys')
  vault = await openVault(keysDir, kek)
})
afterEach(async () => {
  await world.end()
  await rm(join(keysDir, '..'), { recursive: true })
})
afterAll(() => store.close())
const kek = new Uint8Array(32).fill(7)

const recorded = <T>(
  work: (sink: RecordSink, dir: string) => Promise<T>,
  keeper: Vault | undefined = vault,
  name?: string,
): Promise<T> => recordedBy(auditor, work, keeper, name)

const allLeaves = async (): Promise<Uint8Array[]> =>
  (await readLeaves(store.db, 0, [...Array((await recallShard(store.db, 0)).size).keys()])).map(({ bytes }) => bytes)

const decisionOf = (bytes: readonly Uint8Array[]): AuditEvent<DecisionBody> =>
  bytes
    .map((leaf) => parseEvent(leaf))
    .flatMap((read) => ('event' in read && read.event.kind === 'decision' ? [read.event as never] : []))[0]!

const rawRows = async (): Promise<string> =>
  JSON.stringify((await store.db.execute(sql`select * from disclosures`)) as unknown) +
  JSON.stringify((await store.db.execute(sql`select * from records`)) as unknown)

test('a leaf has digests in place of personal fields, and nothing of them is in spool, log or store', async () => {
  const { kept, spool } = await recorded(async (sink, dir) => {
    const kept = await decided(sink)
    const files = (await readdir(dir)).filter((name) => name.endsWith('.seg'))
    const spool = Buffer.concat(await Promise.all(files.map((name) => readFile(join(dir, name)))))
    return { kept, spool: spool.toString('latin1') }
  })
  const leaves = await allLeaves()
  const event = decisionOf(leaves)
  expect(Object.keys(event.sealed!)).toEqual([...use.personal!].sort())
  expect(event.input).toMatchObject({
    attributes: { request: { http: { method: 'GET', headers: { 'x-kind': 'visit' } } } },
  })
  const everything = spool + leaves.map(fromUtf8).join() + (await rawRows())
  for (const secret of secrets) expect(everything).not.toContain(secret)
  expect(await disclose(store.db, vault, kept, sha256)).toEqual({
    state: 'disclosed',
    fields: {
      'header x-user': 'ann@bank.example',
      path: '/patients/4711',
      query: 'key=secret-token',
      'source address': '10.9.8.7',
    },
  })
})

test('two records of the same value have different digests, and a digest is that of RFC 9901', async () => {
  const bodies = [decisionBody(facts, undefined, allowed, use), decisionBody(facts, undefined, allowed, use)]
  expect(bodies[0]!.sealed!['path']).not.toBe(bodies[1]!.sealed!['path'])
  let texts: readonly string[] = []
  await keep(
    {
      keep: (_: unknown, disclosures?: Disclosures) => {
        texts = disclosures!.texts
        return 0 as never
      },
    } as unknown as RecordSink,
    bodies[0]!,
  )
  const digests = texts.map((text) => toBase64Url(sha256(utf8(text))))
  expect(Object.values(bodies[0]!.sealed!).sort()).toEqual([...digests].sort())
  const [salt, name, value] = JSON.parse(Buffer.from(texts[0]!, 'base64url').toString())
  expect([name, value]).toEqual(['header x-user', 'ann@bank.example'])
  expect(Buffer.from(salt, 'base64url')).toHaveLength(16)
})

test('erasing a subject destroys its keys: nothing that is left opens its disclosures, the log is the same, others stay open', async () => {
  const bea = factsOf('bea@bank.example')
  const [ann, other] = await recorded(async (sink) => [await decided(sink), await decided(sink, bea)])
  const before = await allLeaves()
  const copy = (
    (await store.db.execute(sql`select * from disclosures order by index`)) as unknown as {
      rows: { key_id: string; sealed: string }[]
    }
  ).rows
  const written: unknown[] = []
  await recorded(
    async (sink) => {
      const app = disclosureRoutes({
        ...{ find: (of) => findSealed(store.db, of), findUnder: async () => [], vault, sha256 },
        sink: () => ({
          ...sink,
          keep(body) {
            written.push(body)
            return sink.keep(body)
          },
        }),
      })
      const post = (path: string, body: object) =>
        app.request(path, {
          method: 'POST',
          body: JSON.stringify(body),
          headers: { 'content-type': 'application/json' },
        })
      const shown = await post('/v1/audit/disclose', { ids: [decisionId(ann!)], by: 'carol', purpose: 'case 7' })
      expect(await shown.json()).toMatchObject({ records: [{ state: 'disclosed' }] })
      const erased = await post('/v1/audit/erase', { subject: 'ann@bank.example', basis: 'GDPR 17', by: 'carol' })
      expect(await erased.json()).toMatchObject({ keys: 1 })
    },
    vault,
    'writ/control',
  )
  expect(written).toMatchObject([
    { kind: 'admin', action: 'disclosed', actor: 'carol', detail: expect.stringContaining('case 7') },
    { kind: 'erased', basis: 'GDPR 17', approver: 'carol', keys: [copy[0]!.key_id] },
  ])
  expect(JSON.stringify(written)).not.toContain('ann@bank.example')

  expect(await disclose(store.db, vault, ann!, sha256)).toMatchObject({ state: 'erased', fields: { path: undefined } })
  expect(await disclose(store.db, vault, other!, sha256)).toMatchObject({ state: 'disclosed' })
  // Somebody kept a copy of the ciphertext, as a broker or a backup does, and has all keys that are left.
  const again = await openVault(keysDir, kek)
  expect(await again.get(copy[0]!.key_id)).toBeUndefined()
  const left = (await readdir(keysDir, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile())
  expect(left.map(({ name }) => name)).toEqual([copy[1]!.key_id])
  for (const { name } of left)
    expect(decrypt((await again.get(name))!, copy[0]!.sealed, copy[0]!.key_id)).toBeUndefined()

  const after = await allLeaves()
  expect(after.slice(0, before.length)).toEqual(before)
  const parts = {
    verifyHead: () => ({ ok: true }) as const,
    pinned: [{ trustDomain: 'bank.example', sequence: 1, fromMs: 0, roots: [utf8('root')], id: '' }],
  }
  for (const whole of [before, after]) {
    const { findings, kinds } = await verifyLeaves(whole, parts)
    expect(findings.filter(({ code, level }) => level === 'broken' && code !== 'anomaly')).toEqual([])
    expect(kinds.erased ?? 0).toBe(whole === after ? 1 : 0)
  }
})

test('control opens what the auditor apart has, which tells it control alone and sees neither key nor value', async () => {
  const kept = await recorded((sink) => decided(sink))
  const told: string[] = []
  const controlId = id('writ/control')
  const peer = { incoming: { socket: { getPeerCertificate: () => ({}) } } }
  const door = logRoutes({
    identify: () => ({ ok: true, identity: { id: asking } }) as never,
    mayRead: (name) => name === controlId,
    findSealed: (of) => findSealed(store.db, of),
    findUnder: (keys, most) => recordsUnder(store.db, keys, most),
    nowMs: () => 0,
    unexpected: (thrown) => {
      throw thrown
    },
  } as Partial<LogDoorParts> as LogDoorParts)
  let asking = controlId
  const ask = async (of: { epoch: string; seq: number }) => {
    const answer = await door.request(`/sealed/${of.epoch}/${of.seq}`, {}, peer as never)
    told.push(await answer.clone().text())
    return answer
  }
  const under = async (keys: readonly string[], most: number): Promise<readonly string[]> => {
    const answer = await door.request(`/keyed?keys=${keys.join(',')},nothing&most=${most}`, {}, peer as never)
    return ((await answer.json()) as { readonly ids: readonly string[] }).ids
  }
  const app = disclosureRoutes({
    find: async (of) => {
      const answer = await ask(of)
      return answer.status === 404 ? undefined : sealedOf(new Uint8Array(await answer.arrayBuffer()))
    },
    findUnder: (keys, most) => under(keys, most),
    ...{ vault, sha256 },
    sink: () => ({ keep: () => kept, outcome: () => undefined, refused: () => undefined }),
  })
  const body = JSON.stringify({ ids: [decisionId(kept)], by: 'carol', purpose: 'case 7' })
  const headers = { 'content-type': 'application/json' }
  const shown = await app.request('/v1/audit/disclose', { method: 'POST', body, headers })
  expect(await shown.json()).toMatchObject({
    records: [
      { state: 'disclosed', fields: expect.arrayContaining([{ name: 'header x-user', value: 'ann@bank.example' }]) },
    ],
  })
  for (const secret of secrets) expect(told.join()).not.toContain(secret)
  const search = await app.request('/v1/audit/subject', {
    ...{ method: 'POST', headers },
    body: JSON.stringify({ subject: 'ann@bank.example', by: 'carol', purpose: 'case 7' }),
  })
  expect(await search.json()).toEqual({ records: [{ id: decisionId(kept) }], more: false })
  expect((await ask({ ...kept, seq: 999 })).status).toBe(404)
  asking = id('orders')
  expect((await ask(kept)).status).toBe(403)
  // Who has the store and lies about what it holds cannot make a value that fits the digests.
  const [lie] = [{ digests: { path: 'AAAA' }, disclosure: sealedOf(utf8(told[0]!)).disclosure! }]
  expect(await openSealed(lie!, vault, sha256)).toEqual({ state: 'disclosed', fields: { path: undefined } })
  expect(() => sealedOf(utf8('{"digests":{"path":7}}'))).toThrow('none')
})

test('without a vault, or where a key never came, a field is withheld', async () => {
  const bare = await recorded((sink) => decided(sink), { ...vault, put: () => Promise.reject(new Error('away')) })
  expect(await disclose(store.db, vault, bare, sha256)).toMatchObject({ state: 'withheld' })
})

test('a vault that was away for a while gets every key in the end', async () => {
  let away = true
  const flaky: Vault = { ...vault, put: (key) => (away ? Promise.reject(new Error('away')) : vault.put(key)) }
  const kept = await recorded(async (sink) => {
    const kept = await decided(sink)
    away = false
    await vi.waitFor(async () => expect((await vault.find('ann@bank.example')).keys).toHaveLength(1), 10_000)
    return kept
  }, flaky)
  expect(await disclose(store.db, vault, kept, sha256)).toMatchObject({ state: 'disclosed' })
})

test('a replay says that a sealed field cannot be told from the record', async () => {
  await recorded((sink) => decided(sink))
  expect(recall(decisionOf(await allLeaves()))).toEqual({
    kind: 'unreadable',
    member: 'path, which is sealed as personal',
  })
})

test('a record without personal fields is as it ever was', () => {
  const { personal: _, subject: __, ...plain } = use
  expect(decisionBody(facts, undefined, allowed, plain)).not.toHaveProperty('sealed')
})

test('what is sealed opens with its key and about its name alone; any other bytes are nobody’s disclosure', () => {
  const key = new Uint8Array(32).fill(1)
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat(), (text, flip) => {
      const sealed = encrypt(key, text, 'a')
      expect(decrypt(key, sealed, 'a')).toEqual(text)
      expect(decrypt(key, sealed, 'b')).toBeUndefined()
      const bytes = Buffer.from(sealed, 'base64url')
      bytes[flip % bytes.length]! ^= 1
      expect(decrypt(key, bytes.toString('base64url'), 'a')).toBeUndefined()
      readBeside(text)
    }),
  )
  expect(readBeside(utf8('{"d":"AA","k":"nothing"}'))).toBeUndefined()
})
