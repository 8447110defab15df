import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { getRequestListener } from '@hono/node-server'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openStore, type Store } from '../../../audit/node/store.ts'
import { reached, whoWas } from '../../../audit/query/node/identity.ts'
import { tail } from '../../../audit/query/node/tail.ts'
import { insertEntries, newMemory, prepareEntries } from '../../../audit/store/ledger.ts'
import { auditCommand } from '../../../cli/audit.ts'
import { openAuditDoor } from '../../../cli/wire/audit-door.ts'
import { makeReads, recordedReads } from '../../../control/node/audit-reads.ts'
import { auditRoutes } from '../../../control/node/audit-routes.ts'
import { type DoorApp, doorApp } from '../../../control/node/http.ts'
import { type AuditReadBody, type EventBody, parseEvent } from '../../../core/record.ts'
import { printed } from '../../cli/recorded.ts'
import { filesOf, Mesh, Signer } from '../verify/log.ts'
import { decisionBody, id, leafHashOf, Producer, sha256, startMs, verifyTestHead } from '../verify/producer.ts'
import { fill, noReport } from './store.ts'

/** What is asked in streams, what is saved, and identities: over the API and by the commands. */
const signer = new Signer()
const mesh = new Mesh().calls(12).head()
const readings: AuditReadBody[] = []
let refuse: string | undefined
let dir: string
let store: Store
let app: DoorApp
let server: Server

const call = (from: string, to: Producer, trace: string, verdict: 'allow' | 'deny' = 'allow') => {
  const body = decisionBody(to.name, { caller: id(from), path: `/${trace}`, verdict }, to.nowMs)
  return to.write({ ...body, trace_id: trace })
}

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'writ-streams-'))
  const { orders, control, leaves } = mesh
  const billing = new Producer('billing', orders.nowMs)
  const at = { not_before: '2026-11-23T11:59:00.000000000Z', not_after: '2026-11-23T12:59:00.000000000Z' }
  leaves.push(
    billing.start(),
    call('shop', orders, 't1'),
    call('orders', billing, 't1'),
    call('billing', orders, 't1', 'deny'),
    call('other', billing, 't2'),
    call('shop', billing, 't3', 'deny'),
    control.write({
      kind: 'issuance',
      action: 'issued',
      subject: id('shop'),
      serial: '01',
      ...at,
      evidence: 'join-token:00aa11bb',
    }),
    control.write({
      kind: 'issuance',
      action: 'issued',
      subject: id('shop'),
      serial: '02',
      ...at,
      not_before: '2026-11-23T12:30:00.000000000Z',
      evidence: 'svid:01',
    }),
  )
  for (const [path, bytes] of await filesOf(leaves, signer)) {
    await mkdir(dirname(join(dir, 'log', '0', path)), { recursive: true })
    await writeFile(join(dir, 'log', '0', path), bytes)
  }
  await mkdir(join(dir, 'signer'))
  await writeFile(join(dir, 'signer', 'log.pub'), `${signer.text}\n`)
  store = await openStore({ kind: 'pglite' })
  await fill(store.db, leaves, signer)
  const place = { dir: join(dir, 'log'), key: signer.key, verifyHead: verifyTestHead, sha256, db: store.db }
  app = doorApp(() => undefined)
  const reads = makeReads({
    sink: () => ({
      keep: async (body: EventBody) => {
        readings.push(body as AuditReadBody)
        return undefined as never
      },
    }),
    authorize: async () => ({ allow: refuse === undefined, reason: refuse ?? '' }),
  })
  app.use(recordedReads(reads, () => ({ door: 'socket', reader: 'uid 7' })))
  app.route(
    '/',
    auditRoutes({
      place,
      findReceipt: async () => undefined,
      report: noReport,
      nowMs: () => startMs + 60_000,
      actor: 'uid 7',
    }),
  )
  await new Promise<void>((resolve) => {
    server = createServer(getRequestListener(app.fetch)).listen(join(dir, 'admin.sock'), resolve)
  })
})
afterAll(async () => {
  await new Promise((resolve) => server.close(resolve))
  await store.close()
  await rm(dir, { recursive: true, force: true })
})

const audit = async (...words: string[]) => printed(await auditCommand(), ...words, '--state', dir)

/** More leaves at the end of the log, as the auditor adds them. */
let end = 0
async function append(...leaves: Uint8Array[]): Promise<void> {
  end ||= mesh.leaves.length
  const entries = leaves.map((bytes) => {
    const read = parseEvent(bytes)
    if ('wrong' in read) throw new Error(read.wrong)
    const hash = leafHashOf(bytes)
    return { event: read.event, bytes, hash, hashHex: Buffer.from(hash).toString('hex') }
  })
  await insertEntries(store.db, await prepareEntries(store.db, 0, end, entries, newMemory()))
  end += leaves.length
}

test('a canned question is asked by a command, as a table of 80 columns, JSON and CSV', async () => {
  const { out } = await audit('ask', 'who-accessed', 'orders', '--since', '2026-11-23')
  expect(out).toMatch(/^Who accessed X.*\n.* UTC\n\nCALLER +METHOD/)
  expect(out).toMatch(/web +GET +\/orders\/\{\} +allow/)
  const json = JSON.parse((await audit('ask', 'touched-by', 'shop', '--since', '2026-11-23', '--json')).out)
  expect(json.rows).toHaveLength(2)
  expect((await audit('ask', 'revisions', '--since', '2026-11-23', '--csv')).out).toMatch(
    /^bundle,revision,.*\r\norders,r1,/,
  )
  expect((await audit('ask')).out).toContain('who-accessed X')
  await expect(audit('ask', 'who-knows')).rejects.toMatchObject({ code: 'not_found' })
})

test('each row of an answer is proven on request', async () => {
  const out = join(dir, 'proofs')
  await audit('ask', 'touched-by', 'shop', '--since', '2026-11-23', '--prove', out)
  const names = await readdir(out)
  expect(names.filter((name) => name.endsWith('.tlog-proof'))).toHaveLength(2)
  expect(await readFile(join(out, names.find((name) => name.endsWith('.tlog-proof'))!), 'utf8')).toMatch(
    /^c2sp.org\/tlog-proof@v1\n/,
  )
})

test('whatever is read passes the gate, which may refuse it', async () => {
  readings.length = 0
  await audit('query', '--caller', 'web', '--limit', '1')
  await audit('ask', 'first-seen')
  expect(readings).toMatchObject([
    { reader: 'uid 7', action: 'query', verdict: 'allow', count: 1 },
    { reader: 'uid 7', action: 'ask', verdict: 'allow' },
  ])
  expect(readings[0]!.question).toMatch(/caller=web/)
  readings.length = 0
  await audit('export', '--format', 'csv', '--out', join(dir, 'counted'))
  const lines = (await readFile(join(dir, 'counted'), 'utf8')).split('\n').length - 1
  expect(lines).toBeGreaterThan(10)
  expect(readings).toMatchObject([
    { action: 'export', count: 0 },
    { action: 'export', count: lines },
  ])
  refuse = 'not for you'
  try {
    for (const words of [
      ['query'],
      ['ask', 'revisions'],
      ['export', '--out', join(dir, 'x')],
      ['who', 'shop'],
      ['list'],
    ]) {
      await expect(audit(...words)).rejects.toMatchObject({ code: 'forbidden' })
    }
    for (const path of [
      '/v1/audit/latest',
      '/v1/audit/decisions',
      '/v1/audit/tail',
      '/v1/audit/edges',
      '/v1/audit/record/x',
      '/v1/audit/record/x/proof',
      '/v1/audit/reach?id=a',
      '/v1/report',
    ]) {
      expect((await app.request(path)).status).toBe(403)
    }
  } finally {
    refuse = undefined
  }
})

test('an export is there under its name when all of it was written, and not at all when it was cut off', async () => {
  const out = join(dir, 'rows.csv')
  await audit('export', '--caller', 'web', '--out', out)
  expect((await readFile(out, 'utf8')).split('\r\n').filter(Boolean)).toHaveLength(13)
  expect((await audit('export', '--format', 'json', '--caller', 'shop')).out.split('\n').filter(Boolean)).toHaveLength(
    2,
  )

  const half = createServer((_, answer) => {
    answer.writeHead(200, { 'content-type': 'text/csv' })
    answer.write('time,verdict\r\n')
    setTimeout(() => answer.destroy(), 50)
  })
  await mkdir(join(dir, 'half'))
  await new Promise<void>((resolve) => half.listen(join(dir, 'half', 'admin.sock'), resolve))
  const cut = printed(await auditCommand(), 'export', '--out', join(dir, 'cut.csv'), '--state', join(dir, 'half'))
  await expect(cut).rejects.toMatchObject({ code: 'unavailable' })
  await new Promise((resolve) => half.close(resolve))
  expect((await readdir(dir)).filter((name) => name.startsWith('cut'))).toEqual([])
})

test('whoever stops reading an export stops it', async () => {
  const door = await openAuditDoor({ state: dir })
  for await (const chunk of door.stream('/v1/audit/export?format=json')) {
    expect(chunk.length).toBeGreaterThan(0)
    break
  }
  await door.close()
  expect((await audit('query', '--limit', '1')).out).toContain('shop')
})

test('a tail shows what comes in from now on, filtered, oldest first, and goes on from its cursor', async () => {
  const tailing = audit('tail', '--path', '/new', '--json', '--rows', '2')
  await new Promise((resolve) => setTimeout(resolve, 700))
  await append(mesh.orders.decision({ path: '/old' }), mesh.orders.decision({ path: '/new/1' }))
  await append(mesh.orders.decision({ path: '/new/2' }))
  const lines = (await tailing).out
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line))
  expect(lines.flatMap(({ rows }) => rows.map((row: { path: string }) => row.path))).toEqual(['/new/1', '/new/2'])
  const again = await audit('tail', '--json', '--rows', '1', '--cursor', `0.${end - 2}`)
  expect(JSON.parse(again.out).rows[0].path).toBe('/new/1')
})

test('a reader that is too far behind is told how much it missed, and is not kept waiting for it', async () => {
  const items = []
  for await (const item of tail(store.db, {}, { from: new Map([[0, 0]]), maxBehind: 5 })) {
    items.push(item)
    if ('rows' in item) break
  }
  expect(items[0]).toMatchObject({ behind: end - 5 })
  expect('rows' in items[1]! && items[1].rows.every(({ index }) => index >= end - 5)).toBe(true)
})

test('a browser’s tail has ids to go on from', async () => {
  const answer = await app.request('/v1/audit/tail?format=sse', { headers: { 'last-event-id': `0.${end - 1}` } })
  expect(answer.headers.get('content-type')).toContain('text/event-stream')
  const reader = answer.body!.getReader()
  const { value } = await reader.read()
  expect(new TextDecoder().decode(value)).toMatch(new RegExp(`^id: 0\\.${end}\ndata: {"rows":\\[{`))
  await reader.cancel()
  expect((await app.request('/v1/audit/tail?claim=a%3Db')).status).toBe(400)
})

test('a question is saved with who saved it, asked by its name, and forgotten', async () => {
  expect((await audit('list')).out).toContain('no question is saved')
  await audit('save', 'denials', '--verdict', 'deny', '--not', 'caller=web', '--not', 'caller=shop')
  expect((await audit('list')).out).toMatch(
    /denials +--verdict deny --not caller=web --not caller=shop +uid 7 +2026-11-23/,
  )
  const run = JSON.parse((await audit('run', 'denials', '--json')).out)
  expect(run.rows.map(({ caller }: { caller: string }) => caller)).toEqual([id('billing')])
  await audit('remove', 'denials')
  await expect(audit('run', 'denials')).rejects.toMatchObject({ code: 'not_found' })
  await expect(audit('save', '../x')).rejects.toMatchObject({ code: expect.stringMatching(/usage|not_found/) })
})

test('what an identity was then: the certificate that was good at that time, and what was shown for it', async () => {
  const at = Date.parse('2026-11-23T12:10:00Z')
  expect((await whoWas(store.db, id('shop'), at)).rows).toMatchObject([
    { serial: '01', evidence: 'join-token:00aa11bb' },
  ])
  const none = await whoWas(store.db, 'shop', Date.parse('2026-11-23T13:00:00Z'))
  expect(none.rows).toEqual([])
  expect((await audit('who', 'shop', '--at', '2026-11-23T12:00:10Z')).out).toContain('join-token:00aa11bb')
})

test('what an identity reached: itself, and through whom it was let in, and nobody else’s traces', async () => {
  const { rows, notes } = await reached(store.db, id('shop'), startMs, startMs + 60_000)
  expect(rows.map(({ target, hops, through, calls, denied }) => [target, hops, through, calls, denied])).toEqual([
    [id('orders'), 1, '', 1, 0],
    [id('billing'), 1, '', 1, 1],
    [id('billing'), 2, 'orders', 1, 0],
    [id('orders'), 3, 'orders > billing', 1, 1],
  ])
  expect(notes.join(' ')).toContain('ends the trail')
  expect((await audit('reach', 'shop', '--since', '2026-11-23')).out).toMatch(/billing +2 +orders/)
})

test('where no process runs, a command reads the store itself, through the same routes', async () => {
  const state = await mkdtemp(join(dir, 'alone-'))
  const alone = await openStore({ kind: 'pglite', dir: join(state, 'store') })
  await fill(alone.db, mesh.leaves, signer)
  await alone.close()
  const { out } = await printed(await auditCommand(), 'ask', 'revisions', '--since', '2026-11-23', '--state', state)
  expect(out).toContain('orders')
  const rows = await printed(await auditCommand(), 'export', '--caller', 'shop', '--state', state)
  expect(rows.out.split('\r\n').filter(Boolean)).toHaveLength(3)
}, 240_000)
