import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { openStore } from '../../../audit/node/store.ts'
import { decisionLeaves } from '../../../audit/query/node/leaves.ts'
import { sql } from '../../../audit/store/drizzle.ts'
import { emptyChunks } from '../../../audit/store/empty-chunks.ts'
import { readLeaves } from '../../../audit/store/leaves.ts'
import { rowsOf } from '../../../audit/store/sql.ts'
import { fill } from '../query/store.ts'
import { filesOf, Mesh, Signer } from '../verify/log.ts'

const dir = await mkdtemp(join(tmpdir(), 'writ-chunks-'))
const store = await openStore({ kind: 'pglite' }, dir)
afterAll(async () => {
  await store.close()
  await rm(dir, { recursive: true })
})

const signedMs = Date.parse('2026-11-23T12:00:01Z')
const chunks = async () =>
  (await rowsOf<{ n: number }>(store.db.execute(sql`select count(*)::integer as n from chunks`)))[0]!.n

test('chunks go once an older checkpoint covers them and the folder has every byte; leaves are read there then', async () => {
  const { leaves } = new Mesh().calls(1500)
  const signer = new Signer()
  await fill(store.db, leaves, signer)
  expect(await chunks()).toBe(2)
  expect(await emptyChunks(store.db, 0, signedMs)).toBe(0) // The checkpoint is not older than that.
  await expect(emptyChunks(store.db, 0, signedMs + 1)).rejects.toMatchObject({ code: 'log_invalid' }) // No folder yet.

  for (const [path, bytes] of await filesOf(leaves, signer)) {
    const whole = join(dir, '0', path)
    await mkdir(dirname(whole), { recursive: true })
    await writeFile(whole, bytes)
  }
  const bundle = join(dir, '0', 'tile', 'entries', '002')
  const right = await readFile(bundle)
  const wrong = Buffer.from(right)
  wrong[500]! ^= 1
  await writeFile(bundle, wrong)
  await expect(emptyChunks(store.db, 0, signedMs + 1)).rejects.toMatchObject({ code: 'log_invalid' })
  expect(await chunks()).toBe(2)

  await writeFile(bundle, right)
  expect(await emptyChunks(store.db, 0, signedMs + 1)).toBe(2)
  expect(await chunks()).toBe(0)
  const found = await readLeaves(store.db, 0, [...leaves.keys()])
  expect(found.map(({ bytes }) => Buffer.from(bytes).toString())).toEqual(
    leaves.map((leaf) => Buffer.from(leaf).toString()),
  )
  expect((await decisionLeaves(store.db, { limit: 10 })).leaves).toHaveLength(10)
})
