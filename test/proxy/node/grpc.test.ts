import { cp, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect } from 'vitest'
import { refuse } from '../../../core/decision.ts'
import { run, startChild } from '../../parts/child.ts'
import { needs, pathOf } from '../../parts/needs.ts'
import { allow, eventually, inbound, makeCa, makeSource, orders, outbound, service, startProxy, web } from './kit.ts'

const test = needs('go')
const ca = makeCa()
let folder: string
let program: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'writ-grpc-'))
  await cp(join(import.meta.dirname, 'grpc'), folder, { recursive: true })
  program = join(folder, 'echo')
  const env = { ...process.env, GOFLAGS: '-mod=readonly -buildvcs=false' }
  await run(pathOf('go'), ['build', '-o', program, '.'], { cwd: folder, env })
})
afterAll(() => rm(folder, { recursive: true, force: true }))

test('a client and a server of grpc-go speak through two sidecars, unary and streaming', async () => {
  const server = startChild(program, ['serve'])
  try {
    await server.printed(/port \d+/, 30_000)
    const port = Number(/port (\d+)/.exec(server.logs())![1])
    const app = { address: '127.0.0.1', port, protocol: 'h2c' as const }
    const calls: unknown[] = []
    const callee = await startProxy({
      source: makeSource(ca.issue(orders), ca),
      listener: { ...inbound(port), app } as ReturnType<typeof inbound>,
      decide: ({ grpc }) => {
        calls.push(grpc)
        return grpc?.service === 'shop.Echo' && grpc.method === 'Denied' ? refuse('policy_denied', 'no') : allow
      },
    })
    const services = [service('orders', callee.port, orders)]
    const listener = outbound()
    const caller = await startProxy({ source: makeSource(ca.issue(web), ca), listener, services })
    const said = await run(program, ['call', `127.0.0.1:${caller.port}`])
    expect(said.split('\n')).toEqual([
      'Say hello OK echo hello',
      'Say fail FailedPrecondition ',
      'Denied x PermissionDenied ',
      'Talk 100 true [word]',
      '',
    ])
    await eventually(() => callee.sink.outcomes.length === 4)
    const echo = (method: string) => ({ service: 'shop.Echo', method })
    expect(calls).toEqual([echo('Say'), echo('Say'), echo('Denied'), echo('Talk')])
    expect(callee.sink.decisions.map(({ input }) => (input as { writ: { grpc: unknown } }).writ.grpc)).toEqual(calls)
    expect(callee.sink.decisions.map(({ code }) => code)).toEqual(['allowed', 'allowed', 'policy_denied', 'allowed'])
    expect(callee.sink.outcomes.map(({ code }) => code)).toEqual(['completed', 'completed', 'refused', 'completed'])
  } finally {
    await server.kill()
  }
})
