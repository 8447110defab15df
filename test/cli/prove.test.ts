import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { getRequestListener } from '@hono/node-server'
import { afterAll, afterEach, beforeAll, beforeEach, expect, vi } from 'vitest'
import { openStore, type Store } from '../../audit/node/store.ts'
import { auditCommand } from '../../cli/audit.ts'
import { auditRoutes } from '../../control/node/audit-routes.ts'
import { doorApp } from '../../control/node/http.ts'
import { fill, noReport } from '../audit/query/store.ts'
import { filesOf, Mesh, Signer } from '../audit/verify/log.ts'
import { sha256, startMs, verifyTestHead } from '../audit/verify/producer.ts'
import { needs, pathOf } from '../parts/needs.ts'

const test = needs('go')
const signer = new Signer()
const mesh = new Mesh().calls(300).head() // More than one bundle.
const idOf = (seq: number): string => `${mesh.orders.epoch}-${seq}`
let dir: string
let out: string
let store: Store
let server: Server
let printed: string

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'writ-prove-'))
  for (const [path, bytes] of await filesOf(mesh.leaves, signer)) {
    await mkdir(dirname(join(dir, 'log', '0', path)), { recursive: true })
    await writeFile(join(dir, 'log', '0', path), bytes)
  }
  await mkdir(join(dir, 'signer'))
  await writeFile(join(dir, 'signer', 'log.pub'), `${signer.text}\n`)
  store = await openStore({ kind: 'pglite' })
  await fill(store.db, mesh.leaves, signer)
  const place = { dir: join(dir, 'log'), key: signer.key, verifyHead: verifyTestHead, sha256, db: store.db }
  const app = doorApp(() => undefined)
  app.route(
    '/',
    auditRoutes({ place, findReceipt: async () => undefined, report: noReport, nowMs: () => startMs + 60_000 }),
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
beforeEach(async () => {
  out = await mkdtemp(join(dir, 'out-'))
  printed = ''
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    printed += String(text)
    return true
  })
})
afterEach(() => vi.restoreAllMocks())

const audit = async (...words: string[]) =>
  (await auditCommand()).exitOverride().parseAsync([...words, '--state', dir], { from: 'user' })

/** What `check.sh` says, and whether it is content. */
async function checked(folder: string, ...args: string[]): Promise<{ readonly ok: boolean; readonly said: string }> {
  const env = { ...process.env, PATH: `${dirname(pathOf('go'))}:${process.env['PATH']}`, GOFLAGS: '-mod=readonly' }
  return promisify(execFile)('sh', [join(folder, 'check.sh'), ...args], { env }).then(
    ({ stdout }) => ({ ok: true, said: stdout }),
    ({ stdout, stderr }) => ({ ok: false, said: `${stdout}${stderr}` }),
  )
}

test('one record is written with its proof, and both are what the log has', async () => {
  await audit('prove', idOf(290), '--out', out)
  expect(printed).toMatch(/^leaf \d+ of bank\.example\/audit\/0, under the signed checkpoint over \d+\n/)
  const leaf = new Uint8Array(await readFile(join(out, `${idOf(290)}.json`)))
  expect(leaf).toEqual(new Uint8Array(mesh.leaves[mesh.indexOf(290)]!))
  const proof = await readFile(join(out, `${idOf(290)}.tlog-proof`), 'utf8')
  expect(proof).toMatch(new RegExp(`^c2sp\\.org/tlog-proof@v1\nindex ${mesh.indexOf(290)}\n`))
  await expect(audit('prove', idOf(9999), '--out', out)).rejects.toMatchObject({ code: 'not_found' })
  await expect(audit('prove', 'nonsense', '--out', out)).rejects.toMatchObject({ code: 'usage' })
})

test('a folder of denials is accepted by a program that knows nothing of Writ, each change in it is not', async () => {
  const folder = join(out, 'evidence')
  await audit('bundle', '--out', folder, '--verdict', 'deny', '--path', '/orders/2')
  const names = (await readdir(join(folder, 'records'))).filter((name) => name.endsWith('.json'))
  expect(names.length).toBeGreaterThan(10)
  expect(printed).toContain(`${names.length} records`)
  const good = await checked(folder, signer.text)
  expect(good.said).toContain(`${names.length} of ${names.length} records are in the log of bank.example/audit`)
  expect(good.ok).toBe(true)

  const [first, second] = names as [string, string]
  const record = await readFile(join(folder, 'records', first), 'utf8')
  await writeFile(join(folder, 'records', first), record.replace('"deny"', '"allow"'))
  const changed = await checked(folder)
  expect(changed).toMatchObject({ ok: false })
  expect(changed.said).toContain(`WRONG  ${first.replace('.json', '')}`)
  await writeFile(join(folder, 'records', first), await readFile(join(folder, 'records', second)))
  expect((await checked(folder)).said).toContain(`WRONG  ${first.replace('.json', '')}: the record is`)
  await rm(join(folder, 'records', first))
  expect(await checked(folder)).toMatchObject({ ok: false })
  await writeFile(join(folder, 'records', first), record)
  expect(await checked(folder)).toMatchObject({ ok: true })
  expect(await checked(folder, new Signer().text)).toMatchObject({ ok: false }) // Another key's log.
}, 120_000)

test('a folder that holds something, and a choice that nothing fits, are refused', async () => {
  await writeFile(join(out, 'mine'), '')
  await expect(audit('bundle', '--out', out, '--verdict', 'deny')).rejects.toMatchObject({ code: 'usage' })
  const folder = join(out, 'new')
  await expect(audit('bundle', '--out', folder, '--caller', 'nobody')).rejects.toMatchObject({ code: 'not_found' })
  await expect(audit('bundle', '--out', folder, '--id', idOf(3), '--verdict', 'deny')).rejects.toThrow(
    'do not go together',
  )
  await audit('bundle', '--out', folder, '--id', idOf(3), idOf(4))
  expect(await readdir(join(folder, 'records'))).toHaveLength(4)
})

test('a leaf that is not the one that the tables name is not proven', async () => {
  const other = join(out, 'state')
  await mkdir(join(other, 'log', '0'), { recursive: true })
  await mkdir(join(other, 'signer'))
  await writeFile(join(other, 'signer', 'log.pub'), signer.text)
  const at = mesh.indexOf(1)
  const moved = mesh.leaves.with(at, mesh.leaves[at + 1]!).with(at + 1, mesh.leaves[at]!)
  for (const [path, bytes] of await filesOf(moved, signer)) {
    await mkdir(dirname(join(other, 'log', '0', path)), { recursive: true })
    await writeFile(join(other, 'log', '0', path), bytes)
  }
  const words = ['--log', join(other, 'log'), '--key', signer.text, '--out', out]
  await expect(audit('prove', idOf(1), ...words)).rejects.toMatchObject({ code: 'log_invalid' })
  await audit('prove', idOf(3), ...words)
})
