import { access, mkdir, readFile, writeFile } from 'node:fs/promises'
import { type AddressInfo, createServer } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, onTestFinished, test, vi } from 'vitest'
import { parseVerifierKey } from '../../../audit/log/note.ts'
import type { Auditor } from '../../../audit/node/auditor.ts'
import { verifyPlace } from '../../../audit/node/examine.ts'
import { tileReader } from '../../../audit/node/folder.ts'
import { setHold } from '../../../audit/node/orders.ts'
import { dueMs, openRetention, type RetentionEvent, readRetention } from '../../../audit/node/retention.ts'
import type { Store } from '../../../audit/node/store.ts'
import { sql } from '../../../audit/store/drizzle.ts'
import { defaultRoles, grantsOf } from '../../../audit/store/roles.ts'
import {
  makeProducer,
  makeWorld,
  message,
  now,
  openTestStore,
  sha256,
  trustDomain,
  verifyHead,
  type World,
} from './auditor-fixture.ts'

let store: Store
let world: World
let auditor: Auditor
let logDir: string
/** Entries before it are old: 600 of them. */
let oldMs: number
beforeAll(async () => {
  store = await openTestStore()
  world = await makeWorld(store)
  logDir = join(world.dir, 'log')
  Object.assign(store.db.means!, { files: (shard: number) => tileReader(join(logDir, String(shard))) })
  auditor = await world.open(undefined, { checkpointEveryMs: 20 })
  const orders = makeProducer()
  await auditor.ingest(0, [
    message(0, orders.producer, [
      orders.start(),
      orders.decision({ request_id: 'case-7' } as never),
      ...orders.decisions(599),
    ]),
  ])
  oldMs = Number(now() / 1_000_000n)
  await auditor.ingest(0, [message(1, orders.producer, orders.decisions(300))])
  await auditor.checkpoint()
})
afterAll(async () => {
  await world?.end()
  await store?.close()
})

const dayMs = 86_400_000
function schedule(more: Partial<Parameters<typeof openRetention>[0]> = {}) {
  const events: RetentionEvent[] = []
  const retention = openRetention({
    ...{ store, logDir, keepMs: dayMs, everyMs: dayMs, nowMs: () => oldMs + dayMs, waitMs: 5000 },
    onEvent: (event) => events.push(event),
    ...more,
  })
  const told = () =>
    events.map((event) => (event.kind === 'retained' ? `${event.from} ${event.before}` : event.error.code))
  return { retention, told }
}
const bundle = (index: string) => access(join(logDir, `0/tile/entries/${index}.gz`))

test('where the archive cannot be written nothing goes, it is told, and due again within the hour', async () => {
  const blocked = join(world.dir, 'no-folder')
  await writeFile(blocked, '')
  const { retention, told } = schedule({ archive: join(blocked, 'archive') })
  await retention.run()
  expect(told()).toEqual(['internal'])
  await bundle('000')
  const state = await readRetention(logDir)
  expect(state?.shards).toMatchObject([{ shard: 0, before: 0, fault: expect.stringContaining('no-folder') }])
  expect(dueMs(state, dayMs)).toBe(oldMs + dayMs + 3_600_000)
})

test('closing ends an archiving that hangs, and leaves no word of a run that was none', async () => {
  const silent = createServer((socket) => socket.on('error', () => undefined))
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void silent.close())
  const asked = new Promise((resolve) => silent.once('connection', resolve))
  const endpoint = `http://127.0.0.1:${(silent.address() as AddressInfo).port}`
  const before = await readFile(join(logDir, 'retention.json'), 'utf8')
  const { retention, told } = schedule({ archive: 's3://kept', s3: { endpoint } })
  const running = retention.run()
  await asked
  await retention.close()
  await running
  expect(told()).toEqual([])
  expect(await readFile(join(logDir, 'retention.json'), 'utf8')).toBe(before)
  await bundle('000')
})

test('what is old goes in steps, archived first and but for what is held, while the auditor signs on', async () => {
  await setHold(store, {
    kind: 'log',
    action: 'held',
    case: 'case-7',
    filter: { requestId: 'case-7' },
    by: 'Ann',
    reason: 'x',
  })
  const archive = join(world.dir, 'archive')
  await mkdir(archive)
  auditor.start()
  const { retention, told } = schedule({ archive, most: 256 })
  await retention.run()
  expect(told()).toEqual(['0 256', '256 512'])
  await expect(bundle('001')).rejects.toThrow()
  expect(await readFile(join(logDir, '0/carried/000'), 'latin1')).toContain('"request_id":"case-7"')
  await bundle('002')
  expect(await readRetention(logDir)).toMatchObject({ shards: [{ shard: 0, before: 512 }] })
  await auditor.checkpoint()
  const { verification, archived } = await verifyPlace({
    ...{
      dir: logDir,
      key: parseVerifierKey(sha256, world.signer.verifierKey)!,
      verifyHead,
      sha256,
      archive,
      db: store.db,
    },
    pinned: [{ trustDomain, sequence: 0, fromMs: 0, roots: [Uint8Array.of(1)], id: '' }],
  })
  expect(verification.findings.filter(({ level }) => level === 'broken')).toEqual([])
  expect(archived).toEqual({ files: 2, leaves: 512 })
})

test('a schedule that starts looks when the last run was, and runs only when it is due', async () => {
  const early = schedule({ everyMs: 40, nowMs: () => oldMs + dayMs + 39 })
  early.retention.start()
  const due = schedule({ everyMs: 40, nowMs: () => oldMs + dayMs + 40 })
  const before = await readFile(join(logDir, 'retention.json'), 'utf8')
  await new Promise((resolve) => setTimeout(resolve, 200)) // Ten times as long as it would take to begin.
  await early.retention.close()
  expect(await readFile(join(logDir, 'retention.json'), 'utf8')).toBe(before)
  due.retention.start()
  await vi.waitFor(async () => expect(await readFile(join(logDir, 'retention.json'), 'utf8')).not.toBe(before), 10_000)
  await due.retention.close()
})

test('where the store’s user may take no rows away, nothing goes', async () => {
  for (const grant of grantsOf(defaultRoles)) await store.db.execute(sql.raw(grant))
  await store.db.execute(sql.raw(`set role ${defaultRoles.writer}`))
  const { retention, told } = schedule({ nowMs: () => oldMs + 9 * dayMs })
  await retention.run().finally(() => store.db.execute(sql.raw('reset role')))
  expect(told()).toEqual(['forbidden'])
  await bundle('002')
})

test('whatever retention.json holds, it is a state or none', async () => {
  for (const text of [
    '',
    '{',
    '[]',
    '{"v":2}',
    '{"v":1,"at":"x","shards":[]}',
    '{"v":1,"at":"2026-01-01T00:00:00Z"}',
  ]) {
    await writeFile(join(world.dir, 'retention.json'), text)
    expect(await readRetention(world.dir)).toBeUndefined()
  }
  expect(dueMs(undefined, dayMs)).toBe(0)
})
