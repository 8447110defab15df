import { mkdir, writeFile } from 'node:fs/promises'
import { createServer, request, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { expect, vi } from 'vitest'
import { adminRequest } from '../../control/node/client.ts'
import { bundleOf } from '../engine/compiled.ts'
import { needs } from '../parts/needs.ts'
import { freePort } from '../parts/ports.ts'
import { start, temporary, writ } from './writ.ts'

/** A policy that asks another server while it judges, from the mesh file to the record and its replay. */

const test = needs('opa')
const soon = (check: () => unknown): Promise<unknown> => vi.waitFor(check, { timeout: 30_000, interval: 50 })
const opened = async (
  answer: (method: string) => string,
): Promise<{ readonly server: Server; readonly port: number }> => {
  const server = createServer((asked, to) =>
    to.writeHead(200, { 'content-type': 'application/json' }).end(answer(asked.url!)),
  )
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening))
  return { server, port: (server.address() as AddressInfo).port }
}

test('the binding lets it ask, the record has what it was told, and impact repeats that with the server gone', async () => {
  const folder = await temporary()
  const app = await opened(() => '{}')
  const other = await opened((url) => `{"allow":${url === '/v1/GET'}}`)
  const rego = `package app
default allow := false
allow if http.send({"method": "GET", "url": sprintf("http://127.0.0.1:${other.port}/v1/%s", [input.attributes.request.http.method])}).body.allow
`
  await mkdir(join(folder, 'policies', 'app'), { recursive: true })
  await writeFile(join(folder, 'policies', 'app', 'bundle.tar.gz'), await bundleOf(rego, ['app/allow']))
  const outbound = await freePort()
  const meshFile = join(folder, 'mesh.yaml')
  const allow = `http: { allow: ["http://127.0.0.1:${other.port}/v1"] }`
  await writeFile(meshFile, meshOf({ inbound: await freePort(), outbound, app: app.port, allow }))
  const state = join(folder, 'state')
  const call = (method: string): Promise<number> =>
    new Promise((resolve, reject) => {
      const options = { host: '127.0.0.1', port: outbound, method, path: '/', headers: { host: 'orders' } }
      const sent = request(options, (answer) => answer.resume().on('end', () => resolve(answer.statusCode ?? 0)))
      sent.on('error', reject).end()
    })
  const up = start(['up', '-f', meshFile, '--state', state, '--policies', join(folder, 'policies')])
  try {
    await up.said(/^page /m)
    expect([await call('GET'), await call('POST')]).toEqual([200, 403])
    other.server.close()
    other.server.closeAllConnections()
    expect(await call('GET')).toBe(403)
    const told = (path: string) => adminRequest(join(state, 'admin.sock'), 'GET', path)
    let ids: readonly string[] = []
    await soon(async () => {
      const { rows } = (await told('/v1/audit/query?direction=inbound')) as unknown as { rows: { id: string }[] }
      ids = rows.map(({ id }) => id)
      expect(ids).toHaveLength(3)
    })
    const caches = await Promise.all(
      ids.map(async (id) => {
        const { event } = (await told(`/v1/audit/record/${id}`)) as unknown as { event: { nd_builtin_cache: object } }
        return Object.entries(event.nd_builtin_cache).map(([name, answers]) => [name, Object.values(answers as object)])
      }),
    )
    expect(caches).toMatchObject([
      [['http.send', [null]]],
      [['http.send', [{ status_code: 200, body: { allow: false } }]]],
      [['http.send', [{ status_code: 200, body: { allow: true } }]]],
    ])
    const candidate = ['--candidate', join(folder, 'policies', 'app', 'bundle.tar.gz'), '--state', state]
    const kept = ['--assume-kept', 'query', '--assume-kept', 'headers', '--fail-on-flips', '--json']
    const impact = await writ('policy', 'impact', ...candidate, ...kept)
    expect(JSON.parse(impact.out)).toMatchObject({ decisions: 3, replayed: 3, flips: 0 })
    expect(impact.code).toBe(0)
  } finally {
    up.signal('SIGTERM')
    await up.ended
    app.server.close()
    other.server.close()
  }
}, 120_000)

const meshOf = (at: {
  readonly inbound: number
  readonly outbound: number
  readonly app: number
  readonly allow: string
}): string => `
apiVersion: writ.dev/v1
kind: Mesh
metadata: { name: mine }
spec: { trustDomain: bank.example }
---
apiVersion: writ.dev/v1
kind: Workload
metadata: { name: storefront }
spec: { outbound: { port: ${at.outbound} } }
---
apiVersion: writ.dev/v1
kind: Workload
metadata: { name: orders }
spec: { inbound: { port: ${at.inbound}, app: { port: ${at.app} } } }
---
apiVersion: writ.dev/v1
kind: PolicyBinding
metadata: { name: orders }
spec:
  targetRefs: [{ kind: Workload, name: orders }]
  bundle: app
  entrypoint: app/allow
  ${at.allow}
`
