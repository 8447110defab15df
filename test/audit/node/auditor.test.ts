import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { Store } from '../../../audit/node/store.ts'
import { eq } from '../../../audit/store/drizzle.ts'
import { epochs, gaps, offsets, outcomes } from '../../../audit/store/schema.ts'
import { utf8 } from '../../../core/bytes.ts'
import type { AnomalyBody, AuditEvent } from '../../../core/record.ts'
import { makeProducer, makeWorld, message, openTestStore, rowsOf, said, type World } from './auditor-fixture.ts'

let store: Store
let world: World
beforeAll(async () => {
  store = await openTestStore()
})
beforeEach(async () => {
  world = await makeWorld(store)
})
afterAll(() => store.close())
afterEach(() => world.end())

const anomalies = (log: readonly AuditEvent[]) =>
  log.filter((event): event is AuditEvent<AnomalyBody> => event.kind === 'anomaly')

describe('what arrives well', () => {
  test('records become leaves, rows and outcomes in their order, after the start of the auditor', async () => {
    const auditor = await world.open()
    const orders = makeProducer()
    const lines = [orders.start(), orders.decision(), orders.outcomes(1), orders.head()]
    await auditor.ingest(0, [
      message(0, orders.producer, lines.slice(0, 2)),
      message(5, orders.producer, lines.slice(2)),
    ])

    expect(said(await world.log())).toEqual(['auditor start', 'start 0', 'decision 1', 'outcomes 2', 'head 3'])
    const rows = await rowsOf(world.store)
    expect(rows.map((row) => row.index)).toEqual([0, 1, 2, 3, 4])
    expect(rows[2]).toMatchObject({
      caller: 'spiffe://bank.example/web',
      verdict: 'allow',
      method: 'GET',
      reasons: ['r1'],
    })
    expect(rows[1]).toMatchObject({ kind: 'start', verdict: null })
    expect(await world.store.db.select().from(outcomes)).toMatchObject([
      { epoch: orders.epoch, seq: 1, index: 3, status: 200 },
    ])
    const [cursor] = await world.store.db.select().from(epochs).where(eq(epochs.epoch, orders.epoch))
    expect(cursor).toMatchObject({ nextSeq: 4, attestedSeq: 3, final: false, producer: orders.producer, shard: 0 })
    expect(await auditor.nextOffset(0)).toBe('6')
    expect(await auditor.nextOffset(1)).toBeUndefined()
  })

  test('a head attests up to itself, what follows is not attested yet; a final one ends the epoch', async () => {
    const auditor = await world.open()
    const orders = makeProducer()
    await auditor.ingest(0, [message(0, orders.producer, [orders.start(), orders.head(), orders.decision()])])
    const attested = async () => (await world.store.db.select().from(epochs).where(eq(epochs.epoch, orders.epoch)))[0]!
    expect(await attested()).toMatchObject({ nextSeq: 3, attestedSeq: 1, final: false })
    await auditor.ingest(0, [message(1, orders.producer, [orders.head({ final: true })])])
    expect(await attested()).toMatchObject({ nextSeq: 4, attestedSeq: 3, final: true })
  })

  test('after a renewal heads hold by the new certificate, also in another run of the auditor', async () => {
    const orders = makeProducer()
    const first = await world.open()
    await first.ingest(0, [message(0, orders.producer, [orders.start(), orders.head(), orders.renew()])])
    await first.close()
    const second = await world.open()
    await second.nextOffset(0)
    await second.ingest(0, [message(1, orders.producer, [orders.head()])])
    expect(said(await world.log())).toEqual(['auditor start', 'start 0', 'head 1', 'svid 2', 'auditor start', 'head 3'])
    const log = await world.log()
    const [one, two] = log.filter((event) => event.producer.endsWith('/writ/auditor'))
    expect(two).toMatchObject({ seq: 0, previous: { epoch: one!.epoch, seq: 0, ended: 'clean' } })
  })
})

describe('what arrives wrong', () => {
  test('the same record twice is one leaf, in the same batch and in the next', async () => {
    const auditor = await world.open()
    const orders = makeProducer()
    const lines = [orders.start(), orders.decision()]
    await auditor.ingest(0, [message(0, orders.producer, lines), message(1, orders.producer, lines)])
    await auditor.ingest(0, [message(2, orders.producer, lines)])
    expect(said(await world.log())).toEqual(['auditor start', 'start 0', 'decision 1'])
    expect(auditor.status().tally).toMatchObject({ records: 2, duplicates: 4, anomalies: 0 })
  })

  test('the same number with other bytes is an equivocation, and its bytes are kept as evidence', async () => {
    const auditor = await world.open()
    const orders = makeProducer()
    const start = orders.start()
    const one = orders.decision()
    await auditor.ingest(0, [message(0, orders.producer, [start, one])])
    const other = orders.decision({ seq: 1, decision_id: `${orders.epoch}-1` })
    await auditor.ingest(0, [message(1, orders.producer, [other])])
    const log = await world.log()
    expect(said(log)).toEqual(['auditor start', 'start 0', 'decision 1', 'anomaly equivocation'])
    expect(anomalies(log)[0]).toMatchObject({
      of: { producer: orders.producer, epoch: orders.epoch, seq: 1 },
      offset: '1',
      bytes: Buffer.from(other).toString('base64'),
    })
  })

  test('a missing number opens a gap before the record that shows it, a late one closes it, part by part', async () => {
    const auditor = await world.open()
    const orders = makeProducer()
    const [start, one, two, three, four] = [orders.start(), ...orders.decisions(4)]
    await auditor.ingest(0, [message(0, orders.producer, [start!, four!])])
    expect(await world.store.db.select().from(gaps)).toMatchObject([
      { first: 1, last: 3, openedIndex: 2, closedIndex: null },
    ])
    await auditor.ingest(0, [message(1, orders.producer, [two!])])
    const rows = async () => (await world.store.db.select().from(gaps)).sort((a, b) => a.first - b.first)
    expect(await rows()).toMatchObject([
      { first: 1, last: 1, closedIndex: null },
      { first: 2, last: 2, closedIndex: 5 },
      { first: 3, last: 3, closedIndex: null },
    ])
    await auditor.ingest(0, [message(2, orders.producer, [three!, one!, two!])])
    expect((await rows()).map((row) => row.closedIndex)).toEqual([8, 5, 9])
    expect(said(await world.log())).toEqual([
      'auditor start',
      'start 0',
      'gap opened 1-3',
      'decision 4',
      'decision 2',
      'gap closed 2-2',
      'decision 3',
      'decision 1',
      'gap closed 1-1',
      'gap closed 3-3',
    ])
    expect(auditor.status().tally).toMatchObject({ late: 3, duplicates: 1, gaps: 1, anomalies: 0 })
  })

  test('a gap that opens and closes in one batch is told as a whole run', async () => {
    const auditor = await world.open()
    const orders = makeProducer()
    const [start, one, two, three] = [orders.start(), ...orders.decisions(3)]
    await auditor.ingest(0, [message(0, orders.producer, [start!, three!, one!, two!])])
    expect(said(await world.log()).slice(2)).toEqual([
      'gap opened 1-2',
      'decision 3',
      'decision 1',
      'decision 2',
      'gap closed 1-2',
    ])
  })

  test('a late record that comes twice in one batch is kept once, and is an equivocation with other bytes', async () => {
    const auditor = await world.open()
    const orders = makeProducer()
    const [start, one, two] = [orders.start(), ...orders.decisions(2)]
    const other = orders.decision({ seq: 1, decision_id: `${orders.epoch}-1` })
    await auditor.ingest(0, [message(0, orders.producer, [start!, two!])])
    await auditor.ingest(0, [message(1, orders.producer, [one!, one!, other])])
    expect(said(await world.log()).slice(4)).toEqual(['decision 1', 'anomaly equivocation', 'gap closed 1-1'])
    expect(auditor.status().tally).toMatchObject({ late: 1, duplicates: 1, anomalies: 1 })
  })

  test('in whatever order and however often records come, each is in the log once, and no gap stays open', async () => {
    const auditor = await world.open()
    let offset = 0
    await fc.assert(
      fc.asyncProperty(
        fc.shuffledSubarray([0, 1, 2, 3, 4, 5, 6, 7, 8, 9], { minLength: 10 }),
        fc.array(fc.nat(9), { maxLength: 10 }),
        fc.integer({ min: 1, max: 5 }),
        async (order, repeated, batch) => {
          const orders = makeProducer()
          const lines = [orders.start(), ...orders.decisions(8), orders.head()]
          const sent = [...order, ...repeated, ...order].map((i) => lines[i]!)
          for (let i = 0; i < sent.length; i += batch) {
            await auditor.ingest(0, [message(offset++, orders.producer, sent.slice(i, i + batch))])
          }
          const log = (await world.log()).filter((event) => event.epoch === orders.epoch)
          expect(log.map((event) => event.seq).sort((a, b) => a - b)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
          const rows = await world.store.db.select().from(gaps).where(eq(gaps.epoch, orders.epoch))
          expect(rows.filter((row) => row.closedIndex === null)).toEqual([])
        },
      ),
      { numRuns: 12 },
    )
    // A head that comes before its start cannot be verified yet; nothing else is wrong with any of these.
    expect(anomalies(await world.log()).filter((event) => event.anomaly !== 'bad_head')).toEqual([])
  })

  test('an epoch whose beginning is missing begins with a gap', async () => {
    const auditor = await world.open()
    const orders = makeProducer()
    orders.start()
    await auditor.ingest(0, [message(0, orders.producer, [orders.decision()])])
    expect(said(await world.log())).toEqual(['auditor start', 'gap opened 0-0', 'decision 1'])
  })

  test('a record that does not continue its chain is kept and complained about', async () => {
    const auditor = await world.open()
    const orders = makeProducer()
    await auditor.ingest(0, [message(0, orders.producer, [orders.start(), orders.decision({ prev: 'a'.repeat(64) })])])
    expect(said(await world.log())).toEqual(['auditor start', 'start 0', 'decision 1', 'anomaly broken_chain'])
  })

  test('a late record that does not fit between its neighbours is complained about, one that fits is not', async () => {
    const auditor = await world.open()
    const orders = makeProducer()
    const [start, , two] = [orders.start(), ...orders.decisions(2)]
    const false1 = orders.decision({ seq: 1, decision_id: `${orders.epoch}-1`, prev: 'b'.repeat(64) })
    await auditor.ingest(0, [message(0, orders.producer, [start!, two!])])
    await auditor.ingest(0, [message(1, orders.producer, [false1])])
    expect(said(await world.log()).slice(4)).toEqual(['decision 1', 'anomaly broken_chain', 'gap closed 1-1'])
  })

  test('lines that are no records are one anomaly a message, and the records beside them are kept', async () => {
    const auditor = await world.open()
    const orders = makeProducer()
    await auditor.ingest(0, [
      message(0, orders.producer, [utf8('{"v":1}'), orders.start(), utf8(''), Uint8Array.of(255)]),
      message(1, orders.producer, [orders.decision()]),
    ])
    const log = await world.log()
    expect(said(log)).toEqual(['auditor start', 'anomaly malformed', 'start 0', 'decision 1'])
    expect(anomalies(log)[0]!.detail).toContain('3 lines')
    expect(Buffer.from(anomalies(log)[0]!.bytes, 'base64')).toEqual(
      Buffer.concat([utf8('{"v":1}\n\n'), Uint8Array.of(255)]),
    )
  })

  test('a record under a foreign key, or in the name of the auditor, is an anomaly and no record', async () => {
    const auditor = await world.open()
    const orders = makeProducer()
    const impostor = makeProducer('writ/auditor')
    await auditor.ingest(0, [
      message(0, 'spiffe://bank.example/web', [orders.start()]),
      message(1, impostor.producer, [impostor.start()]),
      message(2, orders.producer, [orders.start()]),
    ])
    expect(said(await world.log()).slice(0, 3)).toEqual(['auditor start', 'anomaly foreign_key', 'anomaly foreign_key'])
    const [row] = await world.store.db.select().from(epochs).where(eq(epochs.epoch, impostor.epoch))
    expect(row).toBeUndefined()
  })

  test('nobody continues the epoch of another, and an epoch stays on its partition', async () => {
    const auditor = await world.open()
    const orders = makeProducer()
    const web = makeProducer('web')
    await auditor.ingest(0, [message(0, orders.producer, [orders.start()])])
    await auditor.ingest(0, [
      message(1, web.producer, [web.decision({ epoch: orders.epoch, seq: 9, decision_id: `${orders.epoch}-9` })]),
    ])
    await auditor.ingest(1, [message(0, orders.producer, [orders.decision()])])
    expect(said(await world.log(0)).slice(2)).toEqual(['anomaly foreign_key'])
    expect(said(await world.log(1))).toEqual(['auditor start', 'anomaly foreign_key'])
  })

  test('a forged head is an anomaly and attests nothing; so is one by an unknown certificate', async () => {
    const auditor = await world.open()
    const web = makeProducer('web')
    const lines = [
      web.start(),
      web.head({ sig: Buffer.alloc(64).toString('base64url') }),
      web.head({ signer: 'ab'.repeat(32) }),
      web.head({ sig: '!' }),
    ]
    await auditor.ingest(0, [message(0, web.producer, lines)])
    const log = await world.log()
    expect(anomalies(log).map((event) => event.anomaly)).toEqual(['bad_head', 'bad_head', 'bad_head'])
    const [row] = await world.store.db.select().from(epochs).where(eq(epochs.epoch, web.epoch))
    expect(row).toMatchObject({ nextSeq: 4, attestedSeq: -1 })
  })

  test('text that PostgreSQL cannot hold, and times that are none, stop nothing', async () => {
    const auditor = await world.open()
    const orders = makeProducer()
    await auditor.ingest(0, [
      message(0, orders.producer, [
        orders.start(),
        orders.decision({ listener: 'a\u0000b', request_id: 'x'.repeat(9000) } as never),
        orders.decision({ timestamp: '2026-02-30T00:00:00.000000000Z' }),
        orders.decision({ timestamp: '0000-01-01T00:00:00.000000000Z' }),
        orders.decision({ reasons: 5, enforced: 'yes', input: null } as never),
      ]),
    ])
    expect(said(await world.log())).toEqual([
      'auditor start',
      'anomaly malformed',
      'start 0',
      'decision 1',
      'gap opened 2-3',
      'decision 4',
    ])
  })

  test('whatever comes, ingest takes it, leaves stay dense, and offsets move on', async () => {
    const auditor = await world.open()
    const orders = makeProducer()
    const well = [orders.start(), ...orders.decisions(3), orders.head()]
    const line = fc.oneof(fc.uint8Array({ maxLength: 30 }), fc.constantFrom(...well), fc.json().map(utf8))
    let offset = 0
    await fc.assert(
      fc.asyncProperty(
        fc.array(line, { minLength: 1, maxLength: 6 }),
        fc.constantFrom(orders.producer, 'x', '\ud800'),
        async (lines, key) => {
          await auditor.ingest(0, [message(offset++, key, lines)])
        },
      ),
      { numRuns: 40 },
    )
    const rows = await rowsOf(world.store)
    expect(rows.map((row) => row.index)).toEqual(rows.map((_, i) => i))
    expect(await auditor.nextOffset(0)).toBe(String(offset))
    await auditor.checkpoint()
  })
})

describe('who owns a partition', () => {
  test('of two auditors on one store the slower is fenced, writes nothing, and goes on from the new offset', async () => {
    const [a, b] = [await world.open(), await world.open()]
    const orders = makeProducer()
    const [start, one, two] = [orders.start(), orders.decision(), orders.decision()]
    await a.ingest(0, [message(0, orders.producer, [start])])
    expect(await b.nextOffset(0)).toBe('1')
    await b.ingest(0, [message(1, orders.producer, [one])])
    await expect(a.ingest(0, [message(1, orders.producer, [one, two])])).rejects.toMatchObject({ code: 'fenced' })
    expect(said(await world.log())).toEqual(['auditor start', 'start 0', 'auditor start', 'decision 1'])
    expect(await a.nextOffset(0)).toBe('2')
    await a.ingest(0, [message(2, orders.producer, [two])])
    expect(said(await world.log()).slice(4)).toEqual(['auditor start', 'decision 2'])
  })

  test('a slower auditor is fenced also where it would write no record: the offset never goes back', async () => {
    const [a, b] = [await world.open(), await world.open()]
    const orders = makeProducer()
    const start = orders.start()
    await a.ingest(0, [message(0, orders.producer, [start])])
    await b.nextOffset(0)
    await b.ingest(0, [message(1, orders.producer, [start]), message(2, orders.producer, [start])])
    await expect(a.ingest(0, [message(1, orders.producer, [start])])).rejects.toMatchObject({ code: 'fenced' })
    expect((await world.store.db.select().from(offsets))[0]!.nextOffset).toBe('3')
  })

  test('of two that begin a partition at the same moment one succeeds', async () => {
    const [a, b] = [await world.open(), await world.open()]
    const orders = makeProducer()
    const first = [message(0, orders.producer, [orders.start()])]
    await Promise.all([a.nextOffset(0), b.nextOffset(0)])
    const ends = await Promise.allSettled([a.ingest(0, first), b.ingest(0, first)])
    expect(ends.map((end) => end.status).sort()).toEqual(['fulfilled', 'rejected'])
    expect(ends.find((end) => end.status === 'rejected')).toMatchObject({ reason: { code: 'fenced' } })
    expect(said(await world.log())).toEqual(['auditor start', 'start 0'])
  })

  test('what an offset brought before is not complained about again, what is new in it is kept', async () => {
    const auditor = await world.open()
    const orders = makeProducer()
    const lines = [utf8('garbage'), orders.start()]
    await auditor.ingest(0, [message(7, orders.producer, lines)])
    await auditor.ingest(0, [message(7, orders.producer, [...lines, orders.decision()])])
    expect(said(await world.log())).toEqual(['auditor start', 'anomaly malformed', 'start 0', 'decision 1'])
    expect((await world.store.db.select().from(offsets))[0]!.nextOffset).toBe('8')
  })
})

describe('failures of the store, in both kinds', () => {
  test('the write failed and was not kept: nothing is there, and the same messages go in afterwards', async () => {
    let fail = true
    const store = {
      ...world.store,
      transaction: async <T>(work: (tx: never) => Promise<T>) =>
        world.store.transaction(async (tx) => {
          const done = await work(tx as never)
          if (fail) throw new Error('the disk is full')
          return done
        }),
    }
    const auditor = await world.open(store as never)
    const orders = makeProducer()
    const batch = [message(0, orders.producer, [orders.start(), utf8('garbage')])]
    await expect(auditor.ingest(0, batch)).rejects.toMatchObject({ code: 'store_unavailable' })
    expect(await world.log()).toEqual([])
    fail = false
    await auditor.ingest(0, batch)
    expect(said(await world.log())).toEqual(['auditor start', 'anomaly malformed', 'start 0'])
  })

  test('the write "failed" but was kept: ingest finds it in the store and goes on, with nothing twice', async () => {
    let fail = true
    const store = {
      ...world.store,
      transaction: async <T>(work: (tx: never) => Promise<T>) => {
        const done = await world.store.transaction(work as never)
        if (fail) throw Object.assign(new Error('connection lost'), { code: 'ECONNRESET' })
        return done
      },
    }
    const auditor = await world.open(store as never)
    const orders = makeProducer()
    const batch = [message(0, orders.producer, [orders.start(), utf8('garbage')])]
    await auditor.ingest(0, batch)
    fail = false
    await auditor.ingest(0, batch) // A caller that did not hear the answer offers them again.
    await auditor.ingest(0, [message(1, orders.producer, [orders.decision()])])
    expect(said(await world.log()).filter((line) => line !== 'auditor start')).toEqual([
      'anomaly malformed',
      'start 0',
      'decision 1',
    ])
    await auditor.checkpoint()
    expect(await readFile(join(world.dir, 'log/0/checkpoint'), 'utf8')).toContain('bank.example/audit/0\n')
  })
})
