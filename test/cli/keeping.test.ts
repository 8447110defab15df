import { writeFile } from 'node:fs/promises'
import { Agent, createServer, request, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import pg from 'pg'
import { afterAll, beforeAll, expect, vi } from 'vitest'
import { needs } from '../parts/needs.ts'
import { freePort } from '../parts/ports.ts'
import { type RunningPostgres, startPostgres } from '../parts/postgres.ts'
import { type RunningS3, startS3 } from '../parts/s3.ts'
import { ordersMesh } from './orders-mesh.ts'
import { type Ended, repository, type Started, start, temporaryForAll } from './writ.ts'

/** Keeping a log for years, as processes: published, archived, taken away, verified from afar, and restored. */

const withParts = needs('postgres', 's3')

const folder = temporaryForAll()
const state = join(folder, 'state')
const meshFile = join(folder, 'mesh.yaml')
const [log, archive] = ['s3://kept/log', 's3://kept/archive']
let s3: RunningS3
let database: RunningPostgres
let app: Server
let outbound: number
let up: Started
let key: string

beforeAll(async () => {
  ;[s3, database] = await Promise.all([startS3(), startPostgres()])
  await s3.makeBucket('kept')
  await s3.makePublic('kept')
  const client = new pg.Client(database.url)
  await client.connect()
  await client.query('create database restored')
  await client.end()
  app = createServer((_, answer) => answer.end('served\n'))
  await new Promise<void>((listening) => app.listen(0, '127.0.0.1', listening))
  outbound = await freePort()
  const ports = { inbound: await freePort(), outbound, app: (app.address() as AddressInfo).port }
  await writeFile(meshFile, ordersMesh({ ports, spec: specOf(s3.url) }))
  up = start(['up', '-f', meshFile, '--state', state, '--policies', join(repository, 'policies')], { env: env() })
  key = (await up.said(/^log key {4}(\S+)$/m))[1]!
  await up.said(/^page /m)
  const agent = new Agent({ keepAlive: true, maxSockets: 4 })
  await Promise.all(Array.from({ length: 320 }, () => call(agent)))
  agent.destroy()
}, 120_000)
afterAll(async () => {
  up?.signal('SIGKILL')
  app?.close()
  await Promise.all([s3?.remove(), database?.remove()])
})

const env = (url = database.url): NodeJS.ProcessEnv => {
  const { AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY } = s3.env // The mesh file says where; who, the environment.
  return { ...process.env, NO_COLOR: '1', DB: url, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY }
}
const audit = (words: string, more: NodeJS.ProcessEnv = {}): Promise<Ended> =>
  start(['audit', ...words.split(' ')], { env: { ...env(), ...more } }).ended
const ofMesh = (words: string): Promise<Ended> => audit(`${words} -f ${meshFile} --state ${state}`)

withParts(
  'archive, retain, verify, status and restore do what they say, from a store that everybody can read',
  async () => {
    const old = new Date().toISOString()
    await new Promise((resolve) => setTimeout(resolve, 20))
    await call()
    // All that was recorded so far is in the log.
    await vi.waitFor(async () => expect(entriesOf(await ofMesh('status --json'))).toBeGreaterThan(660), 30_000)

    expect(await ofMesh(`archive --older-than ${old} --out ${archive}`)).toMatchObject({
      ...{ code: 0, err: '' },
      out: expect.stringMatching(/^log 0: entries 0 to 511 in 1 file, \d+ bytes each\n$/),
    })
    expect((await ofMesh(`archive --older-than ${old} --out ${archive}`)).out).toBe(
      'log 0: nothing new is old enough\n',
    )
    expect((await ofMesh(`retain --older-than ${old} --plan`)).out).toMatch(
      /^log 0: \d+ entries .* from 0 to 511 would go/,
    )
    expect(await ofMesh(`retain --older-than ${old}`)).toMatchObject({
      ...{ code: 0, err: '' },
      out: expect.stringMatching(/^log 0: \d+ entries .* from 0 to 511 went; \d+ of them stay\n/),
    })

    await vi.waitFor(
      async () =>
        expect((await ofMesh('status')).out).toMatch(
          /gone {7}512 .*\n {2}published {2}\d+ entries\n {2}archived {3}512 entries/,
        ),
      30_000,
    )
    await vi.waitFor(() => expect(s3.objects(log).get('0/minimum.done')).resolves.toBeDefined(), 30_000)
    const verify = `verify --key ${key} --json`
    const [byUrl, byS3] = await Promise.all([
      audit(`${verify} --log ${s3.url}/kept/log --archive ${s3.url}/kept/archive`, { AWS_ACCESS_KEY_ID: '' }),
      audit(`${verify} --log ${log} --archive ${archive} --s3-endpoint ${s3.url}`),
    ])
    for (const { code, err, out } of [byUrl, byS3]) {
      expect({ code, err }).toEqual({ code: 0, err: '' })
      expect(JSON.parse(out)).toMatchObject({ ok: true, archived: { files: 1, leaves: 512 } })
    }

    expect(await ofMesh(`backup --out ${join(folder, 'backup')}`)).toMatchObject({ code: 0, err: '' })
    up.signal('SIGTERM')
    expect(await up.ended).toMatchObject({ code: 0 })
    const other = join(folder, 'restored')
    const restored = await audit(
      `restore -f ${meshFile} --state ${other} --from ${join(folder, 'backup')} --archive ${archive} --json`,
      env(database.url.replace(/\/postgres$/, '/restored')),
    )
    expect(restored).toMatchObject({ code: 0, err: '' })
    expect(JSON.parse(restored.out)).toMatchObject({ shards: [{ shard: 0, from: 0 }], verification: { ok: true } })
  },
  180_000,
)

const entriesOf = ({ out }: Ended): number =>
  out === '' ? 0 : (JSON.parse(out) as { shards: { entries: number }[] }).shards[0]!.entries

function call(agent?: Agent): Promise<number> {
  return new Promise((resolve, reject) => {
    const sent = request(
      {
        ...{ host: '127.0.0.1', port: outbound, path: '/orders', headers: { host: 'orders' } },
        ...(agent && { agent }),
      },
      (answer) => answer.resume().on('end', () => resolve(answer.statusCode ?? 0)),
    )
    sent.on('error', reject)
    sent.end()
  })
}

const specOf = (endpoint: string): string => `
audit:
  store: { postgres: { urlEnv: DB } }
  s3: { endpoint: "${endpoint}" }
  publish: { to: "${log}", every: 1s }
  retention: { keep: 400d, archive: "${archive}" }
`
