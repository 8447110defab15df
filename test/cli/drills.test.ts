import { randomBytes } from 'node:crypto'
import { createServer, type Server } from 'node:tls'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openAuthority } from '../../ca/node/authority.ts'
import { newKeyPair } from '../../ca/node/crypto.ts'
import { type DrillParts, readAnswer, runDrills } from '../../cli/wire/drills.ts'
import type { DrillBody, EventBody, RecordId } from '../../core/record.ts'
import type { Listener } from '../../core/snapshot.ts'
import { pem } from '../../proxy/node/tls.ts'
import { id } from '../audit/verify/producer.ts'
import { temporaryForAll } from './writ.ts'

/** A listener that stands for a proxy: what it answers to a stranger is what is tried. */

const dir = temporaryForAll()
let server: Server
let port = 0
let answer: string | undefined

beforeAll(async () => {
  const random = (length: number) => new Uint8Array(randomBytes(length))
  const authority = await openAuthority({ dir, trustDomain: 'bank.example' as never, nowMs: Date.now, random })
  const { spki, keyPem } = newKeyPair()
  const { chain } = authority.issue({ id: id('orders'), spki })
  server = createServer(
    { cert: chain.map(pem).join(''), key: keyPem, requestCert: true, rejectUnauthorized: false },
    (socket) => {
      socket.on('error', () => undefined)
      if (answer === undefined) socket.destroy()
      else socket.on('data', () => socket.end(answer ?? ''))
    },
  )
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  port = (server.address() as { port: number }).port
})
afterAll(() => void server.close())

const policy = { bundle: 'orders', entrypoint: 'x/y', recordHeaders: [], recordQuery: false } as const

async function drilled(more: Partial<DrillParts> = {}, onFault?: 'pass'): Promise<readonly string[]> {
  const kept: DrillBody[] = []
  const listener = {
    ...{ direction: 'inbound', name: 'in', bind: { kind: 'tcp', address: '127.0.0.1', port } },
    ...{
      app: { address: '127.0.0.1', port: 1 },
      service: 'orders',
      policy: { ...policy, ...(onFault && { onFault }) },
    },
  } as Listener
  await runDrills({
    workload: { name: 'orders', id: id('orders'), listeners: [listener] },
    audit: {},
    ports: [{ name: 'orders/in', port }],
    identity: {
      id: id('orders'),
      trustDomain: 'bank.example' as never,
      proof: 'x509',
      serial: '1',
      notBeforeMs: 0,
      notAfterMs: 1,
    },
    identify: () => ({ ok: false, code: 'identity_missing', detail: '' }),
    decide: () => ({ verdict: 'allow', code: 'allowed', from: { by: 'proxy' }, reasons: [] }),
    sink: {
      keep: (body: EventBody) => {
        kept.push(body as DrillBody)
        return {} as RecordId
      },
    },
    now: () => BigInt(Date.now()) * 1_000_000n,
    ...more,
  })
  return kept.map((one) => `${one.case} ${one.refused}`)
}

const problem = (code: string, status = 401) =>
  `HTTP/1.1 ${status} Nope\r\ncontent-type: application/problem+json\r\n\r\n{"code":"${code}"}\n`

test('a listener that refuses strangers, and decisions that need what is gone, are on record as refused', async () => {
  answer = problem('identity_missing')
  const all = ['no_certificate', 'untrusted_certificate', 'policy_missing', 'identity_unavailable', 'audit_unavailable']
  expect(await drilled()).toEqual(all.map((name) => `${name} true`))
  answer = undefined
  expect(await drilled()).toEqual(all.map((name) => `${name} true`))
})

test('an application that answers a stranger fails the drill, whatever status it gives', async () => {
  for (const one of ['HTTP/1.1 200 OK\r\n\r\nhello', 'HTTP/1.1 404 Not Found\r\n\r\n', problem('no_route', 404)]) {
    answer = one
    expect((await drilled()).slice(0, 2)).toEqual(['no_certificate false', 'untrusted_certificate false'])
  }
})

test('a binding that passes faults, and a spool that passes when it is full, fail the drills of theirs alone', async () => {
  answer = undefined
  const failed = async (more: Partial<DrillParts>, onFault?: 'pass') =>
    (await drilled(more, onFault)).filter((one) => one.endsWith('false'))
  expect(await failed({}, 'pass')).toEqual(['policy_missing false'])
  expect(await failed({ audit: { onFull: 'allow-and-account' } })).toEqual(['audit_unavailable false'])
  const known = () => ({ ok: true, identity: { id: id('x') } }) as never
  expect(await failed({ identify: known })).toEqual(['identity_unavailable false'])
})

test('a problem of the proxy’s own about the caller is a refusal, the same words from elsewhere are not', () => {
  expect(readAnswer(problem('identity_untrusted'))).toEqual({ refused: true, observed: 'identity_untrusted' })
  expect(readAnswer(problem('policy_denied', 403)).refused).toBe(true)
  expect(readAnswer(problem('identity_missing', 200)).refused).toBe(false)
  expect(readAnswer('HTTP/1.1 403 Forbidden\r\n\r\nidentity_missing').refused).toBe(false)
})
