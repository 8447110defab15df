import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { sha256 } from '@noble/hashes/sha2.js'
import { Client } from 'pg'
import { afterAll, beforeAll, describe, expect, inject, vi } from 'vitest'
import { compress, decompress } from '../../audit/node/compress.ts'
import { kafkaStream } from '../../audit/node/kafka.ts'
import { pack } from '../../audit/node/packed.ts'
import { openStore } from '../../audit/node/store.ts'
import { leavesOf } from '../../audit/store/chunk.ts'
import { readLeaves } from '../../audit/store/leaves.ts'
import { concat, fromUtf8, toHex } from '../../core/bytes.ts'
import { type AuditEvent, type Epoch, encodeEvent, noHash } from '../../core/record.ts'
import { type Answered, askEachOnce } from '../parts/ask.ts'
import { run } from '../parts/child.ts'
import { needs } from '../parts/needs.ts'
import { scheduled, workWithAuditors } from './auditors.ts'
import { curl, type Mesh, openMesh } from './mesh.ts'

/**
 * The whole line on real parts, while each of them is killed in turn: every response that a client saw has its decision
 * in the ledger, none twice, no gap unexplained; the log verifies, and no byte of it can be changed unnoticed.
 */

const test = needs('kafka', 'postgres', 'nginx', 'opa', 'vegeta', 'curl')
const here = Object.values(inject('parts')).every((part) => 'path' in part)

const rate = 100
const seconds = 40
const minute = 60_000

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

describe('a mesh whose parts are killed', () => {
  let mesh: Mesh
  let database: Client
  let answered: readonly Answered[]

  beforeAll(async () => {
    if (!here) return
    mesh = await openMesh(1, 'bounded', { audit: [scheduled] })
    const targets = Array.from({ length: rate * seconds }, (_, i) => ({
      method: 'GET',
      url: `https://127.0.0.1:${mesh.port}${i % 10 === 0 ? `/secret/${i}` : `/items/${i}`}`,
    }))
    const load = askEachOnce({ targets, rate, tls: mesh.client })
    for (const crash of [
      async () => {
        await mesh.auditor.kill()
        await pause(1000)
        mesh.auditor.start()
      },
      async () => {
        await mesh.proxy.kill()
        mesh.proxy.start()
      },
      async () => {
        await Promise.all([mesh.auditor.ready(), mesh.proxy.ready()]) // One that starts without Kafka says so and ends.
        await mesh.kafka.kill()
        await pause(500)
        await mesh.kafka.restart()
      },
      async () => {
        await mesh.postgres.kill()
        await pause(500)
        await mesh.postgres.restart()
      },
      async () => {
        await mesh.control.kill()
        mesh.control.start()
      },
    ]) {
      await pause(4500)
      await crash()
    }
    answered = await load
    database = new Client({ connectionString: mesh.postgres.url })
    await database.connect()
    await Promise.all([mesh.auditor.ready(), mesh.proxy.ready(), mesh.control.ready()])
    await everythingStored()
  }, 5 * minute)

  afterAll(async () => {
    await database?.end()
    await mesh?.close()
  }, minute)

  /** The last answered call is in the ledger, no number is missing, and a head covers every record. */
  async function everythingStored(): Promise<void> {
    const due = Date.now() + 2 * minute
    const last = pathOf(answered.findLast(({ status }) => status > 0)!)
    for (;;) {
      const [row] = await rows('select count(*)::int as n from records where path = $1', [last])
      const [gap] = await rows('select count(*)::int as n from gaps where closed_index is null')
      if (row!['n'] === 1 && gap!['n'] === 0 && !(await verify()).text.includes('warning')) return
      if (Date.now() > due) throw new Error(`not stored in time\n${mesh.proxy.logs()}\n${mesh.auditor.logs()}`)
      await pause(500)
    }
  }

  async function rows(sql: string, values: readonly unknown[] = []): Promise<Record<string, unknown>[]> {
    return (await database.query(sql, [...values])).rows as Record<string, unknown>[]
  }

  /** Leaves of the records that SQL names, in their order. */
  async function leavesWhere(where: string): Promise<readonly string[]> {
    const store = await openStore({ kind: 'postgres', url: mesh.postgres.url })
    try {
      const found = await rows(`select shard, index from records where ${where} order by index`)
      const leaves: string[] = []
      for (const shard of new Set(found.map((row) => Number(row['shard'])))) {
        const indexes = found.filter((row) => Number(row['shard']) === shard).map((row) => Number(row['index']))
        leaves.push(...(await readLeaves(store.db, shard, indexes)).map(({ bytes }) => fromUtf8(bytes)))
      }
      return leaves
    } finally {
      await store.close()
    }
  }

  const pathOf = ({ url }: Answered): string => new URL(url).pathname

  const verify = (): ReturnType<Mesh['writ']> =>
    mesh.writ('audit', 'verify', '--log', mesh.logDir, '--key', mesh.logKey, '--database', mesh.postgres.url)

  test('most calls were answered, though every part was killed once', () => {
    const count = (status: number): number => answered.filter((answer) => answer.status === status).length
    expect(count(200)).toBeGreaterThan(rate * seconds * 0.5)
    expect(count(403)).toBeGreaterThan(rate * seconds * 0.05)
    expect(answered).toHaveLength(rate * seconds)
  })

  test('every response that a client saw has exactly one decision in the ledger, and the right one', async () => {
    const found = await rows(
      `select path, count(*)::int as n, min(verdict) as verdict from records
       where kind = 'decision' and direction = 'inbound' group by path`,
    )
    const decisions = new Map(found.map((row) => [row['path'] as string, row]))
    const wrong = answered.flatMap((answer) => {
      if (answer.status === 0) return []
      const row = decisions.get(pathOf(answer))
      const verdict = answer.status === 403 ? 'deny' : 'allow'
      if (row?.['n'] === 1 && row['verdict'] === verdict) return []
      return [`${pathOf(answer)} answered ${answer.status}: ${JSON.stringify(row)}`]
    })
    expect(wrong).toEqual([])
    expect(found.filter((row) => row['n'] !== 1)).toEqual([])
  })

  test(
    'the log verifies, with its rows',
    async () => {
      // A record that no head covers is a warning: what control wrote last has to wait for its next one.
      await vi.waitFor(
        async () => {
          const { code, text } = await verify()
          expect(text).not.toMatch(/^(broken|warning)/m)
          expect(code, text).toBe(0)
        },
        { timeout: minute / 2, interval: 500 },
      )
    },
    minute,
  )

  test('each start after a crash quotes the end of the run before', async () => {
    const starts = await leavesWhere(`kind = 'start' and producer = 'spiffe://e2e.example/web'`)
    const events = starts.map(
      (leaf) => JSON.parse(leaf) as { epoch: string; previous?: { epoch: string; ended: string } },
    )
    expect(events).toHaveLength(2)
    expect(events[1]!.previous).toMatchObject({ epoch: events[0]!.epoch, ended: 'crash' })
  })

  test('the proxy renewed its certificate while requests flowed', async () => {
    const issued = await leavesWhere(`kind = 'issuance'`)
    const events = issued.map((leaf) => JSON.parse(leaf) as { action: string; subject: string })
    expect(events).toContainEqual(expect.objectContaining({ action: 'renewed', subject: 'spiffe://e2e.example/web' }))
  })

  test(
    'one changed byte of a stored leaf is found, and the record named',
    async () => {
      const [leaf] = await rows(
        `select shard, index, epoch, seq from records where kind = 'decision' order by index limit 1 offset 7`,
      )
      const at = [leaf!['shard'], leaf!['index']]
      const [chunk] = await rows('select * from chunks where shard = $1 and $2 between first and last', at)
      const first = Number(chunk!['first'])
      const bytes = await decompress(chunk!['bytes'] as Buffer, 2 ** 24)
      const leaves = leavesOf({ bytes, count: Number(chunk!['last']) - first + 1 })!
      leaves[Number(leaf!['index']) - first]![100]! ^= 1 // It lies in `bytes`.
      const change = 'update chunks set bytes = $1 where shard = $2 and first = $3'
      await rows(change, [await compress(bytes), leaf!['shard'], first])
      const { code, text } = await verify()
      await rows(change, [chunk!['bytes'], leaf!['shard'], first])
      expect(code).toBe(1)
      expect(text).toContain(`${leaf!['epoch']}-${leaf!['seq']}`)
    },
    minute,
  )

  test(
    'one changed row is found, and the record named',
    async () => {
      const [row] = await rows(
        `select shard, index, epoch, seq from records where verdict = 'deny' order by index limit 1 offset 3`,
      )
      const at = [row!['shard'], row!['index']]
      const [allowed] = await rows(`select shape_id from records where kind = 'decision' and verdict = 'allow' limit 1`)
      const [denied] = await rows('select shape_id from records where shard = $1 and index = $2', at)
      const change = 'update rows set shape = $3 where shard = $1 and index = $2'
      await rows(change, [...at, allowed!['shape_id']])
      const { code, text } = await verify()
      await rows(change, [...at, denied!['shape_id']])
      expect(code).toBe(1)
      expect(text).toContain(`${row!['epoch']}-${row!['seq']}`)
      expect(text).toContain('verdict')
    },
    minute,
  )

  test(
    'one changed byte of the log on disk is found, and the entry named',
    async () => {
      const file = join(mesh.logDir, '0/tile/entries/000.gz')
      const good = await readFile(file)
      const bad = gunzipSync(good)
      const at = bad.indexOf('/items/')
      bad[at + 1] = 'I'.charCodeAt(0)
      await writeFile(file, await pack(bad))
      const { code, text } = await verify()
      await writeFile(file, good)
      expect(code).toBe(1)
      expect(text).toMatch(/leaf \d+ does not hash/)
      expect((await verify()).code).toBe(0)
    },
    minute,
  )

  test('a caller without a certificate gets nothing, and its failed handshake is a record', async () => {
    await mesh.renewClient()
    expect(await curl(mesh, '/items/by-curl')).toBe('200')
    const bare = run('curl', ['-sk', `https://127.0.0.1:${mesh.port}/items/x`])
    await expect(bare).rejects.toThrow()
    const due = Date.now() + 15_000
    const refused = async (): Promise<readonly string[]> => {
      const leaves = await leavesWhere(`kind = 'refusals' and producer = 'spiffe://e2e.example/web'`)
      return leaves.filter((leaf) => leaf.includes('"code":"identity_missing"'))
    }
    while ((await refused()).length === 0 && Date.now() < due) await pause(200)
    expect(await refused()).toHaveLength(1)
  })

  test(
    'at the doors of an auditor that runs by itself, an operator gives a grant, and an outsider works by it until it is revoked',
    () => workWithAuditors(mesh),
    3 * minute,
  )

  test(
    'a forged record, put into the stream without a head of its producer, is told apart',
    async () => {
      const [real] = await leavesWhere(`kind = 'decision'`)
      const [start] = await leavesWhere(`kind = 'start' and producer = 'spiffe://e2e.example/web'`)
      const epoch = 'f0'.repeat(12) as Epoch
      const first = { ...(JSON.parse(start!) as AuditEvent), epoch, seq: 0, prev: noHash }
      const prev = toHex(sha256(concat(Uint8Array.of(0), encodeEvent(first))))
      const decision = JSON.parse(real!) as AuditEvent
      const forged = { ...decision, epoch, seq: 1, prev, decision_id: `${epoch}-1` }
      const stream = await kafkaStream({ brokers: [mesh.kafka.broker], topic: 'writ.records.v1', clientId: 'forger' })
      const producer = first.producer
      const records = [first, forged].map((event) => encodeEvent(event as AuditEvent))
      await stream.publish({ producer, epoch, partition: 0, firstSeq: 0, records })
      await stream.close()
      for (let i = 0; i < 60; i++) {
        const [found] = await rows(
          'select 1 as n from checkpoints where size > (select index from records where epoch = $1 and seq = 1)',
          [epoch],
        )
        if (found) break
        await pause(500)
      }
      const { text } = await verify()
      expect(text).toMatch(/^warning.*unattested/m)
      expect(text).toContain(epoch)
    },
    minute,
  )

  test('a proxy whose start fails half way ends, and says why', async () => {
    const token = await mesh.writ('token', 'web', '--state', join(mesh.folder, 'control'))
    const file = join(mesh.folder, 'second.token')
    await writeFile(file, token.text.trim(), { mode: 0o600 })
    const second = ['--state', join(mesh.folder, 'second'), '--token-file', file]
    // Its spool is open and its epoch has begun when it finds the port taken.
    const { code, text } = await mesh.writ('proxy', ...mesh.words, ...second)
    expect(text).toMatch(/error in_use: cannot listen on /)
    expect(code).not.toBe(0)
  })
})
