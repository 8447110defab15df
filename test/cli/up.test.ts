import { readFile, writeFile } from 'node:fs/promises'
import { createServer, request, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { adminRequest } from '../../control/node/client.ts'
import { freePort } from '../parts/ports.ts'
import { eventsIn } from './events.ts'
import { ordersMesh } from './orders-mesh.ts'
import { type Ended, repository, type Started, start, temporaryForAll, writ } from './writ.ts'

/** `writ up` with a mesh of one's own: a storefront that calls orders, under the bank's policy, killed once and stopped once. */

const folder = temporaryForAll()
const state = join(folder, 'state')
const meshFile = join(folder, 'mesh.yaml')
let outbound: number
let app: Server
const reached: string[] = []

const up = (): Started => start(['up', '-f', meshFile, '--state', state, '--policies', join(repository, 'policies')])

beforeAll(async () => {
  app = createServer((asked, answer) => {
    reached.push(`${asked.method} ${asked.url}`)
    answer.end('served\n')
  })
  await new Promise<void>((listening) => app.listen(0, '127.0.0.1', listening))
  const inbound = await freePort()
  outbound = await freePort()
  await writeFile(meshFile, ordersMesh({ ports: { inbound, outbound, app: (app.address() as AddressInfo).port } }))
})

afterAll(() => app.close())

test('a call that an edge allows passes, another does not reach the workload, and a kill loses neither', async () => {
  const first = up()
  await first.said(/^page {7}http:\/\/127\.0\.0\.1:\d+\/\?token=/m)
  expect(await call('GET', '/orders')).toBe(200)
  expect(await call('DELETE', '/orders/1')).toBe(403)
  expect(reached).toEqual(['GET /orders'])
  first.signal('SIGKILL')
  expect((await first.ended).code).toBe('SIGKILL')

  const second = up()
  const { 1: key } = await second.said(/^log key {4}(\S+)$/m)
  await second.said(/^page /m)
  expect(await call('GET', '/orders/7')).toBe(200)
  const metrics = await adminRequest(join(state, 'admin.sock'), 'GET', '/metrics')
  for (const kind of ['leaf', 'issuer', 'root'])
    expect(metrics).toMatch(new RegExp(`writ_certificate_remaining_seconds\\{kind="${kind}"\\} \\d+`))
  expect(await adminRequest(join(state, 'admin.sock'), 'GET', '/v1/status')).toMatchObject({ alarms: [] })
  second.signal('SIGTERM')
  expect(await second.ended).toMatchObject({ code: 0 })

  const query = await writ('audit', 'query', '--state', state, '--direction', 'inbound', '--json')
  const { rows } = JSON.parse(query.out) as { rows: { method: string; path: string; verdict: string }[] }
  expect(rows.map(({ method, path, verdict }) => `${method} ${path} ${verdict}`).toReversed()).toEqual([
    ...['GET /orders allow', 'DELETE /orders/1 deny', 'GET /orders/7 allow'],
  ])

  const verify = await writ('audit', 'verify', '--log', join(state, 'log'), '--key', key!, '--json')
  expect(verify).toMatchObject({ code: 0, err: '' })
  expect(brokenIn(verify)).toEqual([])
})

test('what starts after a kill quotes what was cut off; what starts after a stop, what ended', async () => {
  const third = up()
  await third.said(/^page /m)
  third.signal('SIGINT')
  expect(await third.ended).toMatchObject({ code: 0 })
  const starts = (await eventsIn(join(state, 'log'))).filter(({ kind }) => kind === 'start')
  const endings = Map.groupBy(starts, ({ previous }) => previous?.ended ?? 'none')
  // Two sidecars and control each time; the log's own producer too.
  expect(new Set(endings.keys())).toEqual(new Set(['none', 'crash', 'clean']))
  expect(
    endings
      .get('crash')!
      .map(({ producer }) => producer)
      .sort(),
  ).toEqual(
    endings
      .get('clean')!
      .map(({ producer }) => producer)
      .sort(),
  )
})

test('a mesh file that is wrong names each line, and nothing is left running', async () => {
  const bad = join(folder, 'bad.yaml')
  await writeFile(
    bad,
    (await readFile(meshFile, 'utf8'))
      .replace('bundle: bank', 'bundle: bnak')
      .replace('{ kind: Workload, name: orders }', '{ kind: Workload, name: odrers }'),
  )
  const { code, out, err } = await writ(
    'up',
    '-f',
    bad,
    '--state',
    join(folder, 'other'),
    '--policies',
    join(repository, 'policies'),
  )
  expect({ code, out }).toEqual({ code: 2, out: '' })
  const lines = (await readFile(bad, 'utf8')).split('\n')
  const lineOf = (text: string): number => lines.findIndex((line) => line.includes(text)) + 1
  expect(err).toMatch(/^error config_invalid: /)
  expect(err).toContain(`${bad}:${lineOf('odrers')}:`)
  expect(err).toContain(`${bad}:${lineOf('bnak')}:`)
  expect(err).toContain(`  cure: mend it and run: writ check -f ${bad}\n`)
})

function call(method: string, path: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const sent = request({ host: '127.0.0.1', port: outbound, method, path, headers: { host: 'orders' } }, (answer) => {
      answer.resume().on('end', () => resolve(answer.statusCode ?? 0))
    })
    sent.on('error', reject)
    sent.end()
  })
}

const brokenIn = ({ out }: Ended): unknown[] =>
  (JSON.parse(out) as { findings: { level: string }[] }).findings.filter(({ level }) => level === 'broken')
