import { afterEach, beforeAll, beforeEach, expect, test as plain } from 'vitest'
import type { Auditor } from '../../../audit/node/auditor.ts'
import { openReconcile, type ReconcileEvent, type Reconciling } from '../../../audit/node/reconcile.ts'
import { openStore, type Store } from '../../../audit/node/store.ts'
import { sql } from '../../../audit/store/drizzle.ts'
import { saveTurn } from '../../../audit/store/reconciled.ts'
import { rowsOf } from '../../../audit/store/sql.ts'
import type { AuditEvent, UnmatchedBody } from '../../../core/record.ts'
import { needs } from '../../parts/needs.ts'
import { type RunningPostgres, startPostgres } from '../../parts/postgres.ts'
import { id, type Producer, startMs } from '../verify/producer.ts'
import { makeWorld, message, openTestStore, type World } from './auditor-fixture.ts'
import { minute, Pair, sidecars } from './reconcile-kit.ts'

const test = needs('postgres')

/** An auditor with a log folder of its own, and what it tells of calls. */
class Site {
  readonly events: ReconcileEvent[] = []
  readonly store: Store
  readonly world: World
  auditor!: Auditor
  reconcile!: Reconciling
  #offset = 0

  constructor(store: Store, world: World) {
    this.store = store
    this.world = world
  }

  static async open(store: Store): Promise<Site> {
    const site = new Site(store, await makeWorld(store))
    const now = (): bigint => BigInt(startMs) * 1_000_000n
    site.auditor = await site.world.open(store, { verifyHead: () => ({ ok: true }), now })
    return site
  }
  async look(): Promise<void> {
    this.reconcile ??= await this.openReconcile()
    await this.reconcile.look()
    await this.auditor.checkpoint()
  }
  openReconcile(): Promise<Reconciling> {
    const onEvent = (event: ReconcileEvent): void => void this.events.push(event)
    return openReconcile({ store: this.store, rules: sidecars, onEvent, everyMs: 3_600_000, saveEveryMs: 0 })
  }
  async take(partition: number, by: Producer, leaves: readonly Uint8Array[]): Promise<void> {
    await this.auditor.ingest(partition, [message(this.#offset++, by.name, leaves)])
    await this.auditor.checkpoint()
  }
  async close(): Promise<void> {
    await this.reconcile?.close()
    await this.world.end()
    await this.store.close()
  }
}

const unmatchedIn = async (site: Site, shard: number): Promise<string[]> =>
  (await site.world.log(shard))
    .filter((event): event is AuditEvent<UnmatchedBody> => event.kind === 'unmatched')
    .map(({ missing, silent, request_id }) => `${missing} ${silent.split('/').at(-1)} ${request_id}`)

let sites: Site[] = []
afterEach(async () => {
  for (const site of sites.splice(0)) await site.close()
})

plain('a log is read as it grows; a call is told once, also by a process that knows nothing of before', async () => {
  const site = await Site.open(await openTestStore())
  sites = [site]
  const pair = new Pair()
  let taken = 0
  const publish = async (): Promise<void> => {
    for (const leaf of pair.leaves.slice(taken)) {
      const { producer } = JSON.parse(Buffer.from(leaf).toString()) as AuditEvent
      await site.take(0, producer === pair.web.name ? pair.web : pair.orders, [leaf])
    }
    taken = pair.leaves.length
  }
  pair.judged('r-1')
  pair.called('r-2')
  await publish()
  await site.look()
  pair.called('r-1')
  pair.later(2 * minute)
  await publish()
  await site.look()
  expect(site.events.map(({ kind }) => kind)).toEqual(['unmatched'])
  expect(await unmatchedIn(site, 0)).toEqual(['callee orders r-2'])
  const [entry] = (await site.world.log()).filter(({ kind }) => kind === 'unmatched')
  expect(entry).toMatchObject({ missing: 'callee', silent: id('orders'), by: id('web'), producer: id('writ/auditor') })
  await site.reconcile.close()
  await site.store.db.execute(sql`delete from reconciled`) // Whoever comes now reads all of it again.
  await site.auditor.checkpoint()
  site.reconcile = await site.openReconcile()
  await site.look()
  expect(await unmatchedIn(site, 0)).toEqual(['callee orders r-2'])
  expect(site.events).toHaveLength(1)
})

let postgres: RunningPostgres | undefined
beforeAll(async () => {
  if (test.name !== 'skip') postgres = await startPostgres()
  return async () => postgres?.remove()
}, 120_000)

let pair: Pair
let webs: Site
let orderss: Site
beforeEach(async () => {
  pair = new Pair()
  if (!postgres) return
  const open = () => openStore({ kind: 'postgres', url: postgres!.url })
  webs = await Site.open(await open())
  orderss = await Site.open(await open())
  sites = [webs, orderss]
})

/** Each side's records go to the auditor of its partition: caller's to 0, callee's to 1. */
let taken = 0
beforeEach(() => {
  taken = 0
})
async function publish(which: 'both' | 'web' | 'orders' = 'both'): Promise<void> {
  const fresh = pair.leaves.slice(taken)
  const of = (by: Producer): Uint8Array[] =>
    fresh.filter((leaf) => (JSON.parse(Buffer.from(leaf).toString()) as AuditEvent).producer === by.name)
  if (which !== 'orders' && of(pair.web).length > 0) await webs.take(0, pair.web, of(pair.web))
  if (which !== 'web' && of(pair.orders).length > 0) await orderss.take(1, pair.orders, of(pair.orders))
  if (which !== 'web') taken = pair.leaves.length
}

const look = async (): Promise<void> => {
  for (const site of sites) await site.look()
  for (const site of sites) await site.auditor.checkpoint()
}

test('caller and callee of two auditors are held against each other once both have signed; each auditor writes its own entry', async () => {
  const decision = pair.judged('r-1')
  pair.called('r-1', { decision })
  pair.called('r-2')
  pair.judged('r-3')
  await publish()
  await look()
  pair.later(2 * minute)
  await publish('web') // The other auditor is behind: nothing can be said yet.
  await look()
  expect(await unmatchedIn(webs, 0)).toEqual([])
  await publish('orders')
  await look()
  expect(await unmatchedIn(webs, 0)).toEqual(['callee orders r-2'])
  expect(await unmatchedIn(orderss, 1)).toEqual(['caller web r-3'])
  expect(sites.flatMap(({ events }) => events.map(({ kind }) => kind))).toEqual(['unmatched', 'unmatched'])
  expect(sites.map(({ reconcile }) => reconcile.tally()?.unmatched)).toEqual([2, undefined])
})

test('another auditor goes on where the one ended that compared, and what that one would still save is refused', async () => {
  pair.called('r-1')
  pair.called('r-2')
  await publish()
  await look()
  const [before] = await rowsOf<{ turn: string }>(webs.store.db.execute(sql`select turn from reconciled`))
  // Its session is cut: it is gone to the server, and cannot know.
  await orderss.store.db.execute(sql`select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory'`)
  await expect.poll(() => orderss.look().then(() => orderss.reconcile.tally())).toBeDefined()
  expect(await saveTurn(webs.store.db, Number(before!.turn), new Map(), null)).toBe(false)
  pair.judged('r-1')
  pair.later(2 * minute)
  await publish()
  await look()
  expect(await unmatchedIn(webs, 0)).toEqual(['callee orders r-2'])
  expect(webs.reconcile.tally()).toBeUndefined()
})

test('entries that are nowhere to be read raise no alarm about calls of their time', async () => {
  pair.judged('r-1')
  pair.called('r-1')
  await publish()
  await webs.store.db.execute(sql`delete from chunks where shard = 1`) // And its log folder is another auditor's.
  pair.later(2 * minute)
  await publish()
  await webs.look()
  await look()
  expect(webs.events.map(({ kind }) => kind)).toEqual(['passed_over', 'overflow'])
  expect(await unmatchedIn(webs, 0)).toEqual([])
})
