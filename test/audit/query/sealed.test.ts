import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeEach, expect, test } from 'vitest'
import type { Auditor } from '../../../audit/node/auditor.ts'
import { findSealed } from '../../../audit/node/disclose.ts'
import { openVault, type Vault } from '../../../audit/node/vault.ts'
import { formatCsv, formatTable } from '../../../audit/query/format.ts'
import { exported } from '../../../audit/query/node/export.ts'
import { findDecisions } from '../../../audit/query/node/find.ts'
import { type Opened, shownField, withOpened } from '../../../audit/query/sealed.ts'
import { recordsUnder } from '../../../audit/store/disclosures.ts'
import { sql } from '../../../audit/store/drizzle.ts'
import { disclosureRoutes } from '../../../control/node/disclosure-routes.ts'
import { fromUtf8 } from '../../../core/bytes.ts'
import type { RecordSink } from '../../../core/ports.ts'
import { decisionId } from '../../../core/record.ts'
import { makeWorld, openTestStore, sha256, type World } from '../node/auditor-fixture.ts'
import { decided, factsOf, recordedBy } from '../node/personal-kit.ts'

let world: World
let auditor: Auditor
let vault: Vault
let keysDir: string
const store = await openTestStore()
beforeEach(async () => {
  world = await makeWorld(store)
  auditor = await world.open()
  keysDir = join(await mkdtemp(join(tmpdir(), 'writ-vault-')), 'keys')
  vault = await openVault(keysDir, new Uint8Array(32).fill(7))
})
afterEach(async () => {
  await world.end()
  await rm(join(keysDir, '..'), { recursive: true })
})
afterAll(() => store.close())

const fields = ['header x-user', 'path', 'query', 'source address']
const [ann, bea] = [factsOf('ann@bank.example'), factsOf('bea@bank.example')]

const post = async (sink: RecordSink, path: string, body: object): Promise<unknown> => {
  const app = disclosureRoutes({
    find: (id) => findSealed(store.db, id),
    findUnder: (keys, most) => recordsUnder(store.db, keys, most),
    ...{ vault, sink: () => sink, sha256 },
  })
  const headers = { 'content-type': 'application/json' }
  const answer = await app.request(path, { method: 'POST', body: JSON.stringify(body), headers })
  return answer.json()
}

const erase = (subject: string): Promise<unknown> =>
  recordedBy(
    auditor,
    (sink) => post(sink, '/v1/audit/erase', { subject, basis: 'GDPR 17', by: 'carol' }),
    vault,
    'writ/control',
  )

const rows = async () => (await findDecisions(store.db, {})).rows

const exportedAs = async (format: 'csv' | 'json' | 'ocsf' | 'opa'): Promise<string> => {
  let text = ''
  for await (const chunk of exported(store.db, {}, format)) text += fromUtf8(chunk)
  return text
}

test('a field that is a digest is withheld in every answer, and erased with the record that says so once it is', async () => {
  const [first, second] = await recordedBy(
    auditor,
    async (sink) => [await decided(sink, ann), await decided(sink, bea)] as const,
    vault,
  )
  const withheld = fields.map((field) => ({ field, state: 'withheld' }))
  expect((await rows()).map(({ sealed }) => sealed)).toEqual([withheld, withheld])
  await erase('ann@bank.example')

  const [erasing] = (await findDecisions(store.db, { kind: 'erased' })).rows
  const erased = fields.map((field) => ({ field, state: 'erased', erasedBy: erasing!.id }))
  const now = await rows()
  expect(Object.fromEntries(now.map(({ id, sealed }) => [id, sealed]))).toEqual({
    [decisionId(first)]: erased,
    [decisionId(second)]: withheld,
  })

  const table = formatTable(now, undefined, 400).split('\n')
  expect(table[0]).toContain('SEALED')
  expect(table.find((line) => line.includes(decisionId(first)))).toMatch(/GET \[erased\].* erased: header x-user, path/)
  expect(table.find((line) => line.includes(decisionId(second)))).toMatch(/GET \[withheld\].* withheld: header x-user/)
  const csv = `header x-user erased by ${erasing!.id}; path erased by ${erasing!.id}`
  expect(formatCsv(now)).toContain(csv)
  expect(await exportedAs('csv')).toContain(csv)
  for (const format of ['json', 'ocsf'] as const) {
    expect(await exportedAs(format)).toContain(`{"field":"path","state":"erased","erasedBy":"${erasing!.id}"}`)
  }
  expect(await exportedAs('opa')).toContain(`path erased by ${erasing!.id}`)
  for (const secret of ['ann@bank.example', '/patients/4711']) expect(await exportedAs('json')).not.toContain(secret)
})

test('what is withheld can be disclosed in the name of somebody, what is erased cannot; the log says who asked', async () => {
  await recordedBy(auditor, async (sink) => [await decided(sink, ann), await decided(sink, bea)], vault)
  await erase('ann@bank.example')
  const before = await rows()
  const ids = before.map(({ id }) => id)
  const answer = await recordedBy(
    auditor,
    (sink) => post(sink, '/v1/audit/disclose', { ids, by: 'carol', purpose: 'case 7' }),
    vault,
    'writ/control',
  )
  const shown = withOpened(before, (answer as { records: Opened[] }).records)
  const states = shown.map(({ sealed }) => sealed!.map(({ state }) => state))
  expect(states.map((of) => new Set(of))).toEqual([new Set(['disclosed']), new Set(['erased'])])
  expect(shown[0]!.sealed![0]).toEqual({ field: 'header x-user', state: 'disclosed', value: 'bea@bank.example' })
  expect(shownField(shown[0]!, 'path')).toBe('/patients/4711')
  expect(formatTable(shown, undefined, 400)).toContain('GET /patients/4711')
  expect(formatCsv(shown)).toContain('path disclosed ""/patients/4711""')
  const [said] = await exportedOf('admin')
  expect(said).toMatchObject({ action: 'disclosed', actor: 'carol', detail: `${ids.join(' ')}: case 7` })
})

const exportedOf = async (kind: 'admin') => (await world.log()).filter((event) => event.kind === kind)

test('whoever has the vault finds the records of a subject, and nobody once it is erased; the log does not name it', async () => {
  const ids = await recordedBy(
    auditor,
    async (sink) => [await decided(sink, ann), await decided(sink, bea), await decided(sink, ann)].map(decisionId),
    vault,
  )
  // Another sidecar, with a key of its own for the same subject.
  const later = await recordedBy(auditor, async (sink) => decisionId(await decided(sink, ann)), vault)
  const search = (subject: string) =>
    recordedBy(
      auditor,
      (sink) => post(sink, '/v1/audit/subject', { subject, by: 'carol', purpose: 'case 7' }),
      vault,
      'writ/control',
    )
  const found = (...of: string[]) => ({ records: of.map((id) => ({ id })), more: false })
  expect(await search('ann@bank.example')).toEqual(found(later, ids[2]!, ids[0]!))
  expect(await search('nobody@bank.example')).toEqual(found())
  await erase('ann@bank.example')
  expect(await search('ann@bank.example')).toEqual(found())
  expect(await search('bea@bank.example')).toEqual(found(ids[1]!))
  expect((await exportedOf('admin')).at(-1)).toMatchObject({
    action: 'subject_searched',
    actor: 'carol',
    detail: expect.stringMatching(/^[0-9a-f]{64}: case 7$/),
  })
  for (const event of await world.log()) expect(JSON.stringify(event)).not.toContain('@bank.example')
})

test('a digest that nothing came beside is withheld; so is one whose row an earlier version wrote; plain rows say nothing', async () => {
  await recordedBy(auditor, (sink) => decided(sink, ann)) // As an edge function has it: without a vault.
  expect((await rows())[0]!.sealed).toEqual(fields.map((field) => ({ field, state: 'withheld' })))
  await store.db.execute(sql`update disclosures set fields = null`)
  expect((await rows())[0]!.sealed).toEqual(fields.map((field) => ({ field, state: 'withheld' })))
  const [start] = (await findDecisions(store.db, { kind: 'start' })).rows
  expect(start).not.toHaveProperty('sealed')
})

test('what comes late under a key that is destroyed is erased too', async () => {
  // The sidecar that has the day's key in memory seals another record under it after the erasure.
  await recordedBy(
    auditor,
    async (sink) => {
      await decided(sink, ann)
      await until(async () => (await vault.find('ann@bank.example')).keys.length === 1)
      await until(async () => (await rows()).length === 1)
      await erase('ann@bank.example')
      await decided(sink, ann)
    },
    vault,
  )
  const [erasing] = (await findDecisions(store.db, { kind: 'erased' })).rows
  const found = await rows()
  expect(found).toHaveLength(2)
  for (const { sealed } of found) expect(sealed![0]).toMatchObject({ state: 'erased', erasedBy: erasing!.id })
  const left = await store.db.execute(sql`select 1 from disclosures where sealed is not null`)
  expect((left as unknown as { rows: unknown[] }).rows).toEqual([])
})

async function until(holds: () => Promise<boolean>): Promise<void> {
  await expect.poll(holds, { timeout: 10_000 }).toBe(true)
}
