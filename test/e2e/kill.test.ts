import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { sha256 } from '@noble/hashes/sha2.js'
import { Client } from 'pg'
import { afterAll, beforeAll, describe, expect, inject } from 'vitest'
import { kafkaStream } from '../../audit/node/kafka.ts'
import { pack } from '../../audit/node/packed.ts'
import { concat, toHex } from '../../core/bytes.ts'
import { type AuditEvent, type Epoch, encodeEvent, noHash } from '../../core/record.ts'
import { type Answered, askEachOnce } from '../parts/ask.ts'
import { run } from '../parts/child.ts'
import { needs } from '../parts/needs.ts'
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
    mesh = await openMesh()
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
      const { code, text } = await verify()
      expect(text).not.toMatch(/^(broken|warning)/m) // A record that no head covers would be a warning.
      expect(code, text).toBe(0)
    },
    minute,
  )

  test('each start after a crash quotes the end of the run before', async () => {
    const starts =
      await rows(`select convert_from(l.bytes, 'utf8') as leaf from records r join leaves l using (shard, index)
      where r.kind = 'start' and r.producer = 'spiffe://e2e.example/web' order by r.index`)
    const events = starts.map(
      (row) => JSON.parse(row['leaf'] as string) as { epoch: string; previous?: { epoch: string; ended: string } },
    )
    expect(events).toHaveLength(2)
    expect(events[1]!.previous).toMatchObject({ epoch: events[0]!.epoch, ended: 'crash' })
  })

  test('the proxy renewed its certificate while requests flowed', async () => {
    const issued = await rows(
      `select convert_from(l.bytes, 'utf8') as leaf from records r join leaves l using (shard, index)
       where r.kind = 'issuance'`,
    )
    const events = issued.map((row) => JSON.parse(row['leaf'] as string) as { action: string; subject: string })
    expect(events).toContainEqual(expect.objectContaining({ action: 'renewed', subject: 'spiffe://e2e.example/web' }))
  })

  test(
    'one changed byte of a stored leaf is found, and the record named',
    async () => {
      const [leaf] =
        await rows(`select l.shard, l.index, l.bytes, r.epoch, r.seq from leaves l join records r using (shard, index)
      where r.kind = 'decision' order by l.index limit 1 offset 7`)
      const bytes = leaf!['bytes'] as Buffer
      const changed = Buffer.from(bytes)
      changed[100] = changed[100]! ^ 1
      await rows('update leaves set bytes = $1 where shard = $2 and index = $3', [
        changed,
        leaf!['shard'],
        leaf!['index'],
      ])
      const { code, text } = await verify()
      await rows('update leaves set bytes = $1 where shard = $2 and index = $3', [
        bytes,
        leaf!['shard'],
        leaf!['index'],
      ])
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
      await rows(`update records set verdict = 'allow' where shard = $1 and index = $2`, [row!['shard'], row!['index']])
      const { code, text } = await verify()
      await rows(`update records set verdict = 'deny' where shard = $1 and index = $2`, [row!['shard'], row!['index']])
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
    const refused = async (): Promise<Record<string, unknown>[]> =>
      rows(`select 1 as n from records r join leaves l using (shard, index) where r.kind = 'refusals'
        and r.producer = 'spiffe://e2e.example/web' and convert_from(l.bytes, 'utf8') like '%"code":"identity_missing"%'`)
    while ((await refused()).length === 0 && Date.now() < due) await pause(200)
    expect(await refused()).toHaveLength(1)
  })

  test(
    'a forged record, put into the stream without a head of its producer, is told apart',
    async () => {
      const [real] = await rows(`select convert_from(l.bytes, 'utf8') as leaf from records r join leaves l
        using (shard, index) where r.kind = 'decision' order by r.index limit 1`)
      const [start] = await rows(`select convert_from(l.bytes, 'utf8') as leaf from records r join leaves l
        using (shard, index) where r.kind = 'start' and r.producer = 'spiffe://e2e.example/web' limit 1`)
      const epoch = 'f0'.repeat(12) as Epoch
      const first = { ...(JSON.parse(start!['leaf'] as string) as AuditEvent), epoch, seq: 0, prev: noHash }
      const prev = toHex(sha256(concat(Uint8Array.of(0), encodeEvent(first))))
      const decision = JSON.parse(real!['leaf'] as string) as AuditEvent
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
})
