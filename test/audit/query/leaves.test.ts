import { afterAll, beforeAll, expect, test } from 'vitest'
import { openStore, type Store } from '../../../audit/node/store.ts'
import { readCursor } from '../../../audit/query/ask.ts'
import { decisionLeaves } from '../../../audit/query/node/leaves.ts'
import { auditRoutes } from '../../../control/node/audit-routes.ts'
import { doorApp } from '../../../control/node/http.ts'
import { fromUtf8 } from '../../../core/bytes.ts'
import { Mesh, Signer } from '../verify/log.ts'
import { sha256, startMs, verifyTestHead } from '../verify/producer.ts'
import { fill, noReport } from './store.ts'

/** Two shards of decisions, read page by page. */
const signer = new Signer()
const shards = [new Mesh().calls(20).head(), new Mesh().calls(7)]
let store: Store
beforeAll(async () => {
  store = await openStore({ kind: 'pglite' })
  for (const [shard, { leaves }] of shards.entries()) await fill(store.db, leaves, signer, { shard })
})
afterAll(() => store.close())

const decisionsOf = ({ leaves }: Mesh): readonly string[] =>
  leaves.map(fromUtf8).filter((leaf) => leaf.includes('"kind":"decision"'))

async function pages(limit: number, question: object = {}): Promise<readonly (readonly string[])[]> {
  const found: string[][] = []
  for (let cursor: ReturnType<typeof readCursor> | undefined; ; ) {
    const { leaves, next } = await decisionLeaves(store.db, { ...question, limit, ...(cursor && { cursor }) })
    found.push(leaves.map(({ bytes }) => fromUtf8(bytes)))
    if (next === null) return found
    cursor = readCursor(next)
  }
}

test.each([1, 6, 20, 27, 1000])('pages of %i hold every decision once, newest first in each shard', async (limit) => {
  const read = await pages(limit)
  expect(read.flat()).toEqual(shards.flatMap((mesh) => decisionsOf(mesh).toReversed()))
  for (const page of read) expect(page.length).toBeLessThanOrEqual(limit)
})

test('a question narrows them', async () => {
  expect((await pages(3, { verdict: 'deny' })).flat()).toHaveLength(8)
  expect((await pages(3, { fromMs: startMs + 3_600_000 })).flat()).toEqual([])
})

test('the API gives leaves byte for byte, and a last line that says where to read on', async () => {
  const place = { dir: '/nowhere', key: signer.key, verifyHead: verifyTestHead, sha256, db: store.db }
  const app = doorApp(() => undefined)
  app.route(
    '/',
    auditRoutes({ place, findReceipt: async () => undefined, report: noReport, nowMs: () => startMs + 60_000 }),
  )
  const read: string[] = []
  for (let cursor = ''; ; ) {
    const answer = await app.request(`/v1/audit/decisions?limit=12&direction=inbound&cursor=${cursor}`)
    expect(answer.headers.get('content-type')).toBe('application/x-ndjson')
    const lines = (await answer.text()).trimEnd().split('\n')
    const { next } = JSON.parse(lines.pop()!) as { next: string | null }
    read.push(...lines)
    if (next === null) break
    cursor = next
  }
  expect(read).toEqual(shards.flatMap((mesh) => decisionsOf(mesh).toReversed()))
  expect((await app.request('/v1/audit/decisions?since=yesterday')).status).toBe(400)
})
