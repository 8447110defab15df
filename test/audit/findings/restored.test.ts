import { cp } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type Finder, makeFinder } from '../../../audit/findings/node/finder.ts'
import { findingDefaults } from '../../../audit/findings/settings.ts'
import type { Auditor } from '../../../audit/node/auditor.ts'
import { rebuildStore } from '../../../audit/node/restore.ts'
import type { Store } from '../../../audit/node/store.ts'
import { findingsIn } from '../../../audit/query/node/findings.ts'
import { sql } from '../../../audit/store/drizzle.ts'
import { rowsOf } from '../../../audit/store/sql.ts'
import type { AuditEvent } from '../../../core/record.ts'
import {
  makeProducer,
  makeWorld,
  message,
  now,
  openTestStore,
  sha256,
  verifyHead,
  type World,
} from '../node/auditor-fixture.ts'

/** A store that was made again from its log knows what was told, and who looked at it. */

let world: World
let stores: Store[]
const open: Finder[] = []

const newStore = async (): Promise<Store> => {
  const store = await openTestStore()
  stores.push(store)
  return store
}
beforeEach(async () => {
  stores = []
  world = await makeWorld(await newStore())
})
afterEach(async () => {
  for (const finder of open.splice(0)) await finder.close()
  await world.end()
  for (const store of stores) await store.close()
})

async function opened(store: Store, logDir?: string): Promise<{ readonly finder: Finder; readonly auditor: Auditor }> {
  const finder = makeFinder({
    ...{ store, settings: () => ({ ...findingDefaults, learningMs: 0 }), sinks: () => ['webhook'] },
    ...{ own: 'spiffe://bank.example/writ/auditor', nowMs: () => 1_800_000_100_000, everyMs: 1e9 },
    onFault: (thrown) => {
      throw thrown
    },
  })
  const auditor = await world.open(store, { onStored: finder.onStored, ...(logDir !== undefined && { logDir }) })
  await finder.start(auditor)
  open.push(finder)
  return { finder, auditor }
}

test('what was told before is told nobody again, an acknowledgement still stands, and what is new is told', async () => {
  const { finder, auditor } = await opened(world.store)
  const [orders, control, stranger] = [makeProducer(), makeProducer('writ/control'), makeProducer('web')]
  const [controlStart, strangerStart] = [control.start(), stranger.start()]
  const first = [orders.start(), orders.decision(), orders.decision()]
  await auditor.ingest(0, [message(0, orders.producer, first)])
  await finder.look()
  orders.decision() // Which is lost.
  await auditor.ingest(0, [message(1, orders.producer, [orders.decision()])])
  await finder.look()
  const before = await findingsIn(world.store.db, {})
  expect(before.findings.map(({ body }) => body.finding)).toEqual(['gap', 'first_seen'])
  const note = { kind: 'acknowledgement', of: before.findings[1]!.id, by: 'Ada', actor: 'uid 0', note: 'a release' }
  const said = control.decision({ ...note } as unknown as Partial<AuditEvent>)
  const claimed = stranger.decision({
    ...note,
    of: before.findings[0]!.id,
    by: 'Eve',
  } as unknown as Partial<AuditEvent>)
  await auditor.ingest(0, [
    message(2, control.producer, [controlStart, said]),
    message(3, stranger.producer, [strangerStart, claimed]),
  ])
  await finder.look()
  await auditor.checkpoint()
  const known = await findingsIn(world.store.db, {})

  const logDir = join(world.dir, 'again')
  await cp(join(world.dir, 'log'), logDir, { recursive: true })
  const store = await newStore()
  await rebuildStore(world.signer.verifierKey, { store, logDir, verifyHead, sha256, now })
  const restored = (await findingsIn(store.db, {})).findings
  expect(restored.map(({ id, body, acknowledged }) => ({ id, body, by: acknowledged?.by }))).toEqual(
    known.findings.map(({ id, body, acknowledged }) => ({ id, body, by: acknowledged?.by })),
  )
  expect(restored.map(({ acknowledged }) => acknowledged?.by)).toEqual([undefined, 'Ada'])

  const next = await opened(store, logDir)
  await next.auditor.nextOffset(0)
  await next.finder.look()
  expect((await findingsIn(store.db, {})).findings).toHaveLength(2)
  expect(await rowsOf(store.db.execute(sql`select 1 from finding_deliveries`))).toEqual([])
  const path = {
    input: {
      attributes: {
        source: { principal: 'spiffe://bank.example/web' },
        request: { http: { method: 'GET', path: '/admin' } },
      },
    },
  }
  await next.auditor.ingest(0, [message(4, orders.producer, [orders.decision(path as Partial<AuditEvent>)])])
  await next.finder.look()
  expect((await findingsIn(store.db, {})).findings[0]!.body).toMatchObject({
    finding: 'first_seen',
    facts: { operations: ['GET /admin'] },
  })
})
