import { writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, onTestFinished, test, vi } from 'vitest'
import type { AuthorityStatus } from '../../control/node/authority-routes.ts'
import { adminRequest } from '../../control/node/client.ts'
import { eventsIn } from '../cli/events.ts'
import { ordersMesh } from '../cli/orders-mesh.ts'
import { repository, start, temporaryForAll, writ } from '../cli/writ.ts'
import { freePort } from '../parts/ports.ts'
import { startTraffic } from './traffic.ts'

/**
 * A whole rotation under traffic: a root is published, signs, and the one before is withdrawn, while each certificate is
 * renewed every half minute. Its issuer is rotated before, and back. Requests a second: RATE, default 500.
 */

const rate = Number(process.env['RATE'] ?? 500)
const folder = temporaryForAll()
const state = join(folder, 'state')
const meshFile = join(folder, 'mesh.yaml')
let outbound: number
let app: Server

beforeAll(async () => {
  app = createServer((_, answer) => answer.end('served\n'))
  await new Promise<void>((listening) => app.listen(0, '127.0.0.1', listening))
  outbound = await freePort()
  const ports = { inbound: await freePort(), outbound, app: (app.address() as AddressInfo).port }
  await writeFile(meshFile, ordersMesh({ ports, spec: 'identity: { ttl: 1m, roots: { publish: 15s, keep: 1s } }' }))
})

afterAll(() => app.close())

test('a root follows another while requests go on: none fails, each step is on record, and the log verifies', async () => {
  const env = { ...process.env, WRIT_CA_KEY: 'a passphrase for this test alone' }
  const mesh = start(['up', '-f', meshFile, '--state', state, '--policies', join(repository, 'policies')], { env })
  onTestFinished(() => mesh.signal('SIGKILL'))
  const { 1: key } = await mesh.said(/^log key {4}(\S+)$/m)
  await mesh.said(/^page /m)
  const traffic = await startTraffic(outbound, rate)
  const first = await status()
  expect(first).toMatchObject({ sequence: 1, authorities: [{ phase: 'active' }], waiting: [] })

  const under = await authority('rotate', '--issuer', '--reason', 'a drill', '--by', 'ann')
  expect(under).toMatchObject({ sequence: 1, authorities: [{ id: first.authorities[0]!.id, former_issuers: [{}] }] })
  await sleep(5000)
  await authority('undo', '--issuer', '--reason', 'to see')
  await authority('rotate', '--issuer', '--distrust', '--reason', 'the key is lost')

  const prepared = await authority('rotate', '--reason', 'a drill', '--by', 'ann')
  expect(prepared).toMatchObject({ sequence: 2, authorities: [{ phase: 'active' }, { phase: 'prepared' }] })
  const early = await writ('ca', 'activate', '--state', state, '--reason', 'cannot wait')
  expect(early).toMatchObject({ code: 3, out: '' })
  expect(early.err).toMatch(/do not have its root yet|too short a time/)

  await vi.waitFor(
    async () => {
      const now = await status()
      expect(now.authorities.map(({ phase }) => phase)).toEqual(['retired', 'active'])
    },
    { timeout: 60_000, interval: 500 },
  )
  // And back, and forth again: both roots are in every bundle.
  expect((await authority('undo', '--reason', 'to see')).authorities[0]).toMatchObject({ phase: 'active' })
  expect((await authority('undo', '--reason', 'seen')).authorities[1]).toMatchObject({ phase: 'active' })
  await vi.waitFor(
    async () => {
      const { sequence, authorities } = await status()
      expect([sequence, authorities.map(({ id }) => id)]).toEqual([3, [prepared.authorities[1]!.id]])
    },
    { timeout: 120_000, interval: 1000 },
  )
  await sleep(3000)
  // What the lost issuer signed was renewed before it was refused; its own authority is gone by now.
  const acts = (await eventsIn(join(state, 'log'))).map(({ action }) => action)
  expect(acts).toContain('authority_issuer_denied')

  const { asked, failed } = await traffic.stop()
  expect(failed).toEqual([])
  expect(asked).toBeGreaterThan(rate * 20)
  mesh.signal('SIGTERM')
  expect(await mesh.ended).toMatchObject({ code: 0 })

  const verify = await writ('audit', 'verify', '--log', join(state, 'log'), '--key', key!, '--json')
  expect(verify).toMatchObject({ code: 0, err: '' })
  const { findings } = JSON.parse(verify.out) as { findings: readonly { readonly level: string }[] }
  expect(findings.filter(({ level }) => level !== 'note')).toEqual([])
  expect(await adminActs()).toEqual([
    ...['authority_rotate_issuer_ordered ann', 'authority_issuer_made control'],
    ...['authority_undo_issuer_ordered', 'authority_issuer_undone control'],
    ...['authority_rotate_issuer_ordered', 'authority_issuer_distrusted control'],
    ...[
      'authority_prepare_ordered ann',
      'authority_prepared control',
      'authority_activate_ordered',
      'authority_activated control',
    ],
    ...['authority_undo_ordered', 'authority_undone control', 'authority_undo_ordered', 'authority_undone control'],
    'authority_withdrawn control',
  ])
}, 900_000)

/** As `writ ca status` asks, without a process for each look. */
async function status(): Promise<AuthorityStatus> {
  const answer: unknown = await adminRequest(join(state, 'admin.sock'), 'GET', '/v1/authority')
  return answer as AuthorityStatus
}

async function authority(...args: readonly string[]): Promise<AuthorityStatus> {
  const { code, out, err } = await writ('ca', ...args, '--state', state, '--json')
  expect({ code, err }).toEqual({ code: 0, err: '' })
  return JSON.parse(out) as AuthorityStatus
}

/** Steps that come between those that are ordered, whenever their time is. */
const byClock = /^authority_issuer_(?:denied|forgotten)$/

/** Who did what to the authority, in order; who called without a name is whoever runs this. */
async function adminActs(): Promise<readonly string[]> {
  const events = await eventsIn(join(state, 'log'))
  return events
    .filter(({ kind, action }) => kind === 'admin' && action?.startsWith('authority_') && !byClock.test(action))
    .map(({ action = '', actor = '' }) => (['ann', 'control'].includes(actor) ? `${action} ${actor}` : action))
}
