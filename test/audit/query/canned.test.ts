import { readFile } from 'node:fs/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openStore, type Store } from '../../../audit/node/store.ts'
import { formatAnswer } from '../../../audit/query/answer-format.ts'
import { canned } from '../../../audit/query/node/canned.ts'
import { questions, readAsked } from '../../../audit/query/questions.ts'
import { fewerSpikes } from '../../../audit/store/counted.ts'
import { sql } from '../../../audit/store/drizzle.ts'
import { foldTraffic } from '../../../audit/store/fold.ts'
import { rowsOf } from '../../../audit/store/sql.ts'
import type { Json } from '../../../core/json.ts'
import { stepsOf, wordsOf } from '../../docs/transcripts.ts'
import { Mesh, Signer } from '../verify/log.ts'
import { id, Producer, startMs } from '../verify/producer.ts'
import { fill } from './store.ts'

/** Each canned question, on a log that was made to have its answer and its nearest neighbour. */
const hour = 3_600_000
const nowMs = startMs + hour / 2
let store: Store
let mesh: Mesh

/** Eight days of a quiet mesh, and a last hour in which something happens to each question. */
function history(): Mesh {
  const made = new Mesh()
  const { orders, leaves } = made
  for (let day = 8; day >= 1; day--) {
    orders.nowMs = startMs - day * 24 * hour
    for (let i = 0; i < 10; i++) leaves.push(orders.decision({ path: `/orders/${i}`, caller: id('web') }))
    for (let i = 0; i < 10; i++) leaves.push(orders.decision({ path: '/stock', caller: id('till') }))
    leaves.push(orders.decision({ verdict: 'deny', path: '/admin', caller: id('web') }))
    leaves.push(orders.decision({ verdict: 'deny', path: '/admin', caller: id('till') }))
  }
  orders.nowMs = startMs
  for (let i = 0; i < 60; i++) leaves.push(orders.decision({ path: `/orders/${i}`, caller: id('web') }))
  for (let i = 0; i < 9; i++) leaves.push(orders.decision({ verdict: 'deny', path: '/admin', caller: id('web') }))
  leaves.push(orders.decision({ verdict: 'deny', path: '/admin', caller: id('till') }))
  for (let i = 0; i < 60; i++)
    leaves.push(orders.decision({ method: 'DELETE', path: `/stock/${i}`, caller: id('till') }))
  leaves.push(
    orders.decision({ caller: id('batch'), path: '/orders/1', revision: 'r2', notAfterMs: orders.nowMs + 30_000 }),
  )
  leaves.push(orders.head())
  return made
}

beforeAll(async () => {
  store = await openStore({ kind: 'pglite' })
  mesh = history()
  await fill(store.db, mesh.leaves, new Signer())
})
afterAll(() => store.close())

const ask = async (name: string, asked: { readonly [option: string]: string } = {}, data?: Json) => {
  const answer = await canned(
    { db: store.db, ...(data !== undefined && { data }) },
    readAsked(name, Object.entries(asked), nowMs),
  )
  return { ...answer, rows: answer.rows as readonly { readonly [column: string]: Json }[] }
}

test('who accessed X: each caller with its operation, decision and revision, and how often', async () => {
  const { rows, notes } = await ask('who-accessed', { about: 'orders', since: '1h' })
  expect(
    rows.map(({ caller, method, verdict, decisions, revision }) => [caller, method, verdict, decisions, revision]),
  ).toEqual([
    [id('till'), 'DELETE', 'allow', 60, 'r1'],
    [id('web'), 'GET', 'allow', 60, 'r1'],
    [id('web'), 'GET', 'deny', 9, 'r1'],
    [id('batch'), 'GET', 'allow', 1, 'r2'],
    [id('till'), 'GET', 'deny', 1, 'r1'],
  ])
  expect(rows[0]).toMatchObject({ paths: '/stock/{}', last_at: expect.stringMatching(/^2026-11-23T12:/) })
  expect(notes).toEqual([])
  expect((await ask('who-accessed', { about: 'ders' })).rows).toEqual([])
})

test('each row names the record that it is proven by', async () => {
  const { rows } = await ask('who-accessed', { about: 'orders', since: '1h' })
  const batch = rows.find(({ caller }) => caller === id('batch'))!
  expect(batch).toMatchObject({ record: `${mesh.orders.epoch}-${mesh.orders.seq - 2}`, shard: 0 })
  expect(batch['index']).toBe(mesh.indexOf(mesh.orders.seq - 2))
})

test('what caller Y touched counts its calls alone', async () => {
  const { rows } = await ask('touched-by', { about: 'till', since: '9d' })
  expect(rows.map(({ target, method, verdict, decisions }) => [target, method, verdict, decisions])).toEqual([
    [id('orders'), 'GET', 'allow', 80],
    [id('orders'), 'DELETE', 'allow', 60],
    [id('orders'), 'GET', 'deny', 9],
  ])
  await expect(ask('touched-by')).rejects.toThrow('is about a caller')
})

test('nine denials where one is usual are a spike, one where one is usual is none', async () => {
  const { rows } = await ask('denied-spikes', { since: '1h' })
  expect(rows).toMatchObject([
    { caller: id('web'), denied: 9, usual: 1, score: 8, baseline: 'hour of day', samples: 7 },
  ])
  expect((await ask('denied-spikes', { since: '1h', over: '8' })).rows).toEqual([])
  expect((await ask('denied-spikes', { since: '1h', 'at-least': '10' })).rows).toEqual([])
})

test('spikes summed by numbers are those that were summed by names', async () => {
  const stranger = new Producer('billing', startMs)
  const leaves = [stranger.start()]
  for (const caller of [undefined, undefined, id('till')]) leaves.push(stranger.decision({ caller, verdict: 'deny' }))
  const answers: (readonly { readonly caller: string }[])[] = []
  const undone = store.transaction(async (tx) => {
    await foldTraffic(tx, 0) // The rest is not in the sums yet.
    await fill(tx, leaves, new Signer(), { shard: 1 })
    // No name, and an empty one, are both nobody's.
    await tx.execute(sql`insert into names (key, name) values (sha256('none'), '')`)
    await tx.execute(sql`update rows set caller = (select id from names where name = '') where shard = 1 and index = 1`)
    await tx.execute(sql.raw(fewerSpikes[1]!.replace('writ_denied_spikes', 'former_spikes')))
    for (const name of ['former_spikes', 'writ_denied_spikes']) {
      const rows = tx.execute(sql`select * from ${sql.raw(name)}('2026-11-16T12:30Z', '2026-11-23T12:30Z', 1, -100)
        order by hour, caller, target`)
      answers.push(await rowsOf<{ caller: string }>(rows))
    }
    throw new Error('as it was')
  })
  await expect(undone).rejects.toThrow('as it was')
  expect(answers[1]).toEqual(answers[0])
  expect(answers[0]!.map(({ caller }) => caller)).toContain('')
  expect(answers[0]!.length).toBeGreaterThan(15)
})

test('an edge is new once: what was called before is not first seen again', async () => {
  const { rows } = await ask('first-seen', { since: '1h' })
  expect(rows.map(({ caller, method, decisions }) => [caller, method, decisions])).toEqual([
    [id('batch'), 'GET', 1],
    [id('till'), 'DELETE', 60],
  ])
  expect((await ask('first-seen', { since: '30d' })).notes[0]).toContain('The log itself begins at 2026-11-15')
})

test('a caller who asks for other things than before has moved, one that asks for more of the same has not', async () => {
  const { rows } = await ask('moved-callers', { since: '1h' })
  expect(rows).toMatchObject([
    { caller: id('till'), method: 'DELETE', decisions: 61, decisions_before: 77, share_before: 0 },
  ])
  expect(rows[0]!['divergence']).toBeGreaterThan(0.9)
})

test('nothing passed without an identity, until something does', async () => {
  expect(await ask('unidentified')).toMatchObject({
    rows: [],
    ok: true,
    notes: [expect.stringMatching(/^0 of \d+ requests/)],
  })
  const other = await openStore({ kind: 'pglite' })
  const open = new Mesh()
  open.leaves.push(open.orders.decision({ caller: undefined }))
  open.leaves.push(open.orders.decision({ caller: undefined, verdict: 'deny' }))
  await fill(other.db, open.leaves, new Signer())
  const answer = await canned({ db: other.db }, readAsked('unidentified', [], nowMs))
  expect(answer).toMatchObject({ ok: false, rows: [{ target: id('orders'), decisions: 1 }] })
  await other.close()
})

test('each revision with what it decided', async () => {
  const { rows, notes } = await ask('revisions', { since: '1h' })
  expect(rows.map(({ revision, allowed, denied, faults }) => [revision, allowed, denied, faults])).toEqual([
    ['r2', 1, 0, 0],
    ['r1', 120, 10, 0],
  ])
  expect(notes).toEqual([expect.stringContaining('writ policy impact')])
})

test('a grant that nobody used is named, also where only its path tells it from one that was', async () => {
  const edge = (from: string, method: string, path: string[]) => ({ from, to: 'orders', method, path })
  const edges = [
    edge('web', 'GET', ['orders', '{}']),
    edge('web', 'GET', ['refunds', '{}']),
    edge('batch', 'GET', ['orders', '{}']),
    edge('batch', 'PUT', ['orders', '{}']),
  ]
  const { rows, notes } = await ask('unused-grants', { since: '1h' }, { bank: { trust_domain: 'bank.example', edges } })
  expect(rows.map(({ grant, at }) => [grant, at])).toEqual([
    ['web may GET /refunds/{} at orders', 'data.bank.edges[1]'],
    ['batch may PUT /orders/{} at orders', 'data.bank.edges[3]'],
  ])
  expect(notes[0]).toBe('2 of 4 grants were not used.')
  const till = await ask(
    'unused-grants',
    { since: '1h', caller: 'batch' },
    { bank: { trust_domain: 'bank.example', edges } },
  )
  expect(till.rows.map(({ grant }) => grant)).toEqual(['batch may PUT /orders/{} at orders'])
  await expect(ask('unused-grants')).rejects.toMatchObject({ code: 'usage' })
})

test('a rule that names itself in the reasons of what it allows is unused by whom it allowed nothing in that time', async () => {
  const other = await openStore({ kind: 'pglite' })
  const ruled = new Mesh()
  const allow = (caller: string, ...reasons: string[]): void => {
    const body = JSON.parse(Buffer.from(ruled.orders.decision({ caller: id(caller) })).toString())
    for (const name of ['v', 'td', 'cluster', 'producer', 'epoch', 'seq', 'prev', 'timestamp', 'decision_id']) {
      delete body[name]
    }
    ruled.orders.seq--
    ruled.leaves.push(ruled.orders.write({ ...body, reasons }))
  }
  allow('web', 'reads')
  allow('till', 'refunds')
  allow('till')
  await fill(other.db, ruled.leaves, new Signer())
  const about = async (...pairs: [string, string][]) => {
    const { rows, notes } = await canned({ db: other.db }, readAsked('unused-grants', pairs, startMs + 3_600_000))
    return { unused: rows.map(({ grant }) => grant), notes, rows }
  }
  const web = await about(['caller', 'web'], ['rule', 'closes'])
  expect(web.unused).toEqual(['rule closes', 'rule refunds'])
  expect(web.rows[1]).toMatchObject({
    at: `last for ${id('till')}`,
    record: expect.stringContaining(ruled.orders.epoch),
  })
  expect(web.notes[0]).toBe('2 of 3 rules were not used by web.')
  expect(web.notes[1]).toMatch(/^0 of 1 decisions by web name no rule/)
  expect((await about(['caller', 'till'])).unused).toEqual(['rule reads'])
  expect((await about(['rule', 'refunds'])).unused).toEqual([])
  expect((await about(['caller', 'till'])).notes[1]).toMatch(/^1 of 2 decisions by till name no rule/)
  await other.close()
})

test('a certificate shows how long it still had, and in how many names it was used', async () => {
  const { rows } = await ask('certificates', { since: '1h' })
  expect(rows).toMatchObject([{ serial: '0a1b', callers: 3, addresses: 1, remaining: 30, issued: 'unknown' }])
})

test('what is missing is counted, and what came late is no longer missing', async () => {
  expect(await ask('completeness')).toMatchObject({ ok: true })
  const other = await openStore({ kind: 'pglite' })
  const torn = new Mesh()
  torn.leaves.push(torn.orders.decision())
  const lost = [torn.orders.decision(), torn.orders.decision()]
  expect(lost).toHaveLength(2)
  torn.leaves.push(torn.gap('opened', 2, 3), torn.orders.decision())
  torn.leaves.push(torn.orders.write({ kind: 'refusals', listener: 'in', refusals: [], others: 7 }))
  await fill(other.db, torn.leaves, new Signer(), { attestedSeq: 0 })
  await other.db.execute(`insert into gaps values ('${torn.orders.epoch}', 2, 3, 6, null)`)
  const answer = await canned({ db: other.db }, readAsked('completeness', [['since', '2d']], nowMs))
  expect(answer.ok).toBe(false)
  expect(answer.rows.map(({ what, count }) => [what, count])).toContainEqual(['gap', 2])
  expect(answer.rows.map(({ what, count }) => [what, count])).toContainEqual(['without source', 7])
  await other.close()
})

test('a question that is none, and an option that is not for it, are refused', async () => {
  expect(questions).toHaveLength(10)
  await expect(ask('who-knows')).rejects.toMatchObject({ code: 'not_found' })
  await expect(ask('first-seen', { about: 'web' })).rejects.toMatchObject({ code: 'usage' })
  await expect(ask('first-seen', { since: '1h', until: '2h' })).rejects.toThrow('since is not before until')
})

test('docs/AUDIT-QUERIES.md shows what the questions print', async () => {
  const steps = stepsOf(await readFile('docs/AUDIT-QUERIES.md', 'utf8')).filter(({ command }) =>
    command.startsWith('writ audit ask '),
  )
  expect(new Set(steps.map(({ command }) => wordsOf(command)[3])).size).toBe(questions.length)
  const used = { from: 'web', to: 'orders', method: 'GET', path: ['orders', '{}'] }
  const data = { bank: { trust_domain: 'bank.example', edges: [used, { ...used, path: ['refunds', '{}'] }] } }
  for (const { command, shown } of steps) {
    const [, , , name, ...words] = wordsOf(command)
    const pairs: [string, string][] = words[0]?.startsWith('--') === false ? [['about', words.shift()!]] : []
    for (let i = 0; i < words.length; i += 2) if (words[i] !== '--data') pairs.push([words[i]!.slice(2), words[i + 1]!])
    const answer = await canned({ db: store.db, data }, readAsked(name!, pairs, nowMs))
    expect(formatAnswer(answer, 80), command).toBe(shown)
  }
})
