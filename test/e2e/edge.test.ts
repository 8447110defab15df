import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer, request, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { getRequestListener } from '@hono/node-server'
import { rolldown } from 'rolldown'
import { afterAll, beforeAll, expect, test as plain, vi } from 'vitest'
import { findDecisions } from '../../audit/query/node/find.ts'
import { findLeaf } from '../../audit/query/node/leaf.ts'
import { eq } from '../../audit/store/drizzle.ts'
import { readLeaves } from '../../audit/store/leaves.ts'
import { records } from '../../audit/store/schema.ts'
import { openUp, type Up } from '../../cli/wire/up.ts'
import { adminRequest } from '../../control/node/client.ts'
import { fromUtf8 } from '../../core/bytes.ts'
import type { Identity } from '../../core/identity.ts'
import { type AuditEvent, type DecisionBody, parseDecisionId, type RefusalsBody } from '../../core/record.ts'
import { run } from '../parts/child.ts'
import { commandFile } from '../parts/command.ts'
import { needs } from '../parts/needs.ts'
import { type RunningWorkerd, startWorkerd } from '../parts/workerd.ts'

/**
 * The example of deploy/edge, as it stands there, behind a real mesh: once in workerd and once in Node. The same calls
 * get the same answers in both, and every decision is in the one ledger.
 */

const test = needs('workerd', 'opa')
const ready = test !== (plain.skip as typeof test)

const example = join(import.meta.dirname, '../../deploy/edge')
const hello = 'spiffe://edge.example/hello'
const shop = 'spiffe://edge.example/shop'

const runtimes = ['workerd', 'node'] as const
type Runtime = (typeof runtimes)[number]

let folder = ''
let up: Up
let workerd: RunningWorkerd
let server: Server
let token = ''
const urls: Record<Runtime, string> = { workerd: '', node: '' }

beforeAll(async () => {
  if (!ready) return
  folder = await mkdtemp(join(tmpdir(), 'writ-edge-'))
  const state = join(folder, 'state')
  const policies = join(folder, 'policies')
  await cp(join(example, 'policies'), policies, { recursive: true })
  await writ('policy', 'build', policies, '--edge', join(folder, 'build'))

  const meshFile = join(example, 'mesh.yaml')
  up = await openUp({
    mesh: await readFile(meshFile, 'utf8'),
    meshFile,
    state,
    policiesDir: policies,
    collector: { address: '127.0.0.1', port: 0 },
    onEvent: ({ level, text }) => level === 'error' && process.stderr.write(`${text}\n`),
  })
  const { door, collector } = up.control

  // The caller's identity, and the trust bundle that the function is set up with.
  const joinToken = join(folder, 'shop.token')
  await writeFile(joinToken, await up.control.registrar.createToken(shop as never))
  const out = join(folder, 'shop')
  await writ(
    ...['svid', '--control', `https://127.0.0.1:${door.port}`, '--trust-domain', 'edge.example'],
    ...['--token-file', joinToken, '--out', out, '--jwt', '--audience', hello],
  )
  token = (await readFile(join(out, 'svid.jwt'), 'utf8')).trim()

  const made = await adminRequest(join(state, 'admin.sock'), 'POST', '/v1/collector-tokens', { workload: 'hello' })
  const env = {
    WORKLOAD: hello,
    TRUST: await readFile(join(out, 'trust.json'), 'utf8'),
    COLLECTOR_URL: `http://127.0.0.1:${collector!.port}`,
    COLLECTOR_TOKEN: (made as { token: string }).token,
  }
  workerd = await startWorkerd({
    modules: {
      'main.js': `import worker from './worker.js'
const env = ${JSON.stringify(env)}
export default { fetch: (request, _, context) => worker.fetch(request, env, context) }`,
      'worker.js': await bundle('workerd'),
      'policy.wasm': await readFile(join(folder, 'build/hello/policy.wasm')),
    },
  })
  urls.workerd = workerd.url

  await writeFile(join(folder, 'worker.mjs'), await bundle('node'))
  const { default: worker } = await import(pathToFileURL(join(folder, 'worker.mjs')).href)
  const waited: Promise<unknown>[] = []
  const context = { waitUntil: (work: Promise<unknown>) => void waited.push(work) }
  server = createServer(
    getRequestListener((given) => worker.fetch(given, env, context), { overrideGlobalObjects: false }),
  )
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  urls.node = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
})

afterAll(async () => {
  server?.closeAllConnections()
  server?.close()
  await workerd?.remove()
  await up?.close()
  if (folder !== '') await rm(folder, { recursive: true, force: true })
})

const writ = (...args: readonly string[]): Promise<string> => run(process.execPath, [commandFile, ...args])

/** The example's own source. What `writ policy build` made lies in our folder instead of beside it. */
async function bundle(runtime: Runtime): Promise<string> {
  const build = await rolldown({
    input: join(example, 'worker.ts'),
    platform: runtime === 'node' ? 'node' : 'browser',
    plugins: [
      {
        name: 'built-policy',
        resolveId(source) {
          if (!source.startsWith('./build/')) return undefined
          if (!source.endsWith('.wasm')) return join(folder, source)
          return runtime === 'workerd' ? { id: './policy.wasm', external: true } : { id: `\0${join(folder, source)}` }
        },
        // Node compiles a module where Workers are given one.
        load(id) {
          if (!id.startsWith('\0') || !id.endsWith('.wasm')) return undefined
          return `import { readFileSync } from 'node:fs'
export default new WebAssembly.Module(readFileSync(${JSON.stringify(id.slice(1))}))`
        },
      },
    ],
  })
  const { output } = await build.generate({ format: 'esm' })
  await build.close()
  return output[0].code
}

interface Call {
  readonly name: string
  readonly method?: string
  readonly path: string
  /** What follows `Bearer `, one field each. Default the shop's token. */
  readonly tokens?: readonly string[]
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
}

interface Answer {
  readonly status: number
  readonly decision: string | undefined
  readonly body: { readonly [member: string]: unknown }
}

/** By node:http, which sends a path and repeated fields as they are. */
function ask(runtime: Runtime, one: Call, requestId: string): Promise<Answer> {
  const { method = 'GET', path, tokens = [token], body } = one
  return new Promise((resolve, reject) => {
    const fields = { ...one.headers, host: new URL(urls[runtime]).host, 'x-request-id': requestId }
    // As a flat list, where a name may come twice.
    const headers = [...Object.entries(fields), ...tokens.map((text) => ['authorization', `Bearer ${text}`])].flat()
    const sending = request(urls[runtime], { method, path, headers, agent: false }, (answer) => {
      let text = ''
      answer.setEncoding('utf8')
      answer.on('data', (part: string) => {
        text += part
      })
      answer.on('error', reject)
      answer.on('end', () => {
        const decision = answer.headers['x-writ-decision'] as string | undefined
        resolve({ status: answer.statusCode ?? 0, decision, body: JSON.parse(text) })
      })
    })
    sending.on('error', reject)
    sending.end(body)
  })
}

/** The record of a call, as it stands in the log. */
async function recordsOf(requestId: string): Promise<{ readonly row: DecisionRow; readonly event: DecisionEvent }[]> {
  const { rows } = await findDecisions(up.log.store.db, { requestId })
  return Promise.all(
    rows.map(async (row) => {
      const leaf = await findLeaf(up.log.store.db, parseDecisionId(row.id)!)
      return { row, event: JSON.parse(fromUtf8(leaf!.bytes)) as DecisionEvent }
    }),
  )
}

type DecisionRow = Awaited<ReturnType<typeof findDecisions>>['rows'][number]
type DecisionEvent = AuditEvent<DecisionBody>

/** What two records of one call have in common, wherever it was judged. */
const essence = ({
  verdict,
  code,
  by,
  reasons,
  bundles,
  path,
  workload,
  producer,
  listener,
  peer,
  service,
}: DecisionEvent) => ({
  ...{ verdict, code, by, reasons, bundles, path, workload, producer, listener, service },
  peer: { proof: peer?.proof, serial: peer?.serial },
})

const judged: readonly (Call & { readonly status: number; readonly code: string; readonly says?: object })[] = [
  {
    name: 'a call that policy allows',
    path: '/greetings/1',
    status: 200,
    code: 'allowed',
    says: { path: '/greetings/1', caller: shop },
  },
  {
    name: 'a path in another form',
    path: '//greetings/%32',
    status: 200,
    code: 'allowed',
    says: { path: '/greetings/2' },
  },
  {
    name: 'a body',
    method: 'POST',
    path: '/greetings',
    body: 'good day',
    status: 200,
    code: 'allowed',
    says: { said: 'good day' },
  },
  {
    name: 'a caller who vouches for itself',
    path: '/greetings',
    headers: { 'x-forwarded-client-cert': 'URI=spiffe://edge.example/ceo' },
    status: 200,
    code: 'allowed',
    says: { caller: shop },
  },
  { name: 'a method that policy denies', method: 'DELETE', path: '/greetings/1', status: 403, code: 'policy_denied' },
  { name: 'a path that policy denies', path: '/', status: 403, code: 'policy_denied' },
  { name: 'an encoded slash', path: '/greetings%2f1', status: 400, code: 'bad_request' },
  { name: 'half a character in the query', path: '/greetings?a=%ff', status: 400, code: 'bad_request' },
]

test('each call gets the same answer and the same decision in workerd and in Node, and both are in the ledger', async () => {
  const answers = new Map<string, Answer>()
  for (const [i, one] of judged.entries()) {
    for (const runtime of runtimes) answers.set(`${runtime}-call-${i}`, await ask(runtime, one, `${runtime}-call-${i}`))
  }
  await up.settled(10_000)

  const [bundle] = up.bundles()
  for (const [i, one] of judged.entries()) {
    const essences = []
    for (const runtime of runtimes) {
      const answer = answers.get(`${runtime}-call-${i}`)!
      expect(answer.status, `${one.name} in ${runtime}`).toBe(one.status)
      expect(answer.body, one.name).toMatchObject(one.says ?? { code: one.code, decision_id: answer.decision })
      // Where the head could not be read, the caller's own id was not either, and the refusal says which was made.
      const requestId = String(answer.body['request_id'] ?? `${runtime}-call-${i}`)
      const [record, another] = await recordsOf(requestId)
      expect([record?.row.id, another], `${one.name} in ${runtime}`).toEqual([answer.decision, undefined])
      expect(record!.row).toMatchObject({ id: answer.decision, caller: shop, target: hello, status: one.status })
      essences.push(essence(record!.event))
    }
    expect(essences[0], one.name).toEqual(essences[1])
    expect(essences[0]).toMatchObject({
      code: one.code,
      workload: hello,
      producer: 'spiffe://edge.example/writ/control',
    })
    expect(essences[0]!.peer.proof).toBe('jwt')
    const byPolicy = one.code !== 'bad_request'
    expect(essences[0]!.bundles).toEqual(
      byPolicy ? { hello: { revision: bundle!.ref.revision, sha256: bundle!.ref.sha256 } } : undefined,
    )
    if (one.code === 'policy_denied')
      expect(essences[0]!.reasons).toEqual(['only the shop may read and post greetings'])
  }
})

test('callers without a name are refused alike, and counted in the log under the function’s name', async () => {
  const other = await mintFor('spiffe://edge.example/elsewhere')
  const stranger: readonly (Call & { readonly code: string })[] = [
    { name: 'no token', path: '/greetings', tokens: [], code: 'identity_missing' },
    { name: 'no token at all', path: '/greetings', tokens: ['x'], code: 'identity_invalid' },
    { name: 'two tokens', path: '/greetings', tokens: [token, token], code: 'identity_invalid' },
    { name: 'a token with one more character', path: '/greetings', tokens: [`${token}A`], code: 'identity_invalid' },
    { name: 'a token for another audience', path: '/greetings', tokens: [other], code: 'identity_invalid' },
  ]
  for (const one of stranger) {
    for (const runtime of runtimes) {
      const { status, body, decision } = await ask(runtime, one, 'stranger-call')
      expect([status, body['code'], decision], `${one.name} in ${runtime}`).toEqual([401, one.code, undefined])
    }
  }
  await pause(600) // Their counts are gathered for a quarter of a second.
  await up.settled(10_000)
  expect(await recordsOf('stranger-call')).toEqual([])
  const counted: Record<string, number> = {}
  for (const { refusals } of await refusalsOf(hello)) {
    for (const { code, count } of refusals) counted[code] = (counted[code] ?? 0) + count
  }
  expect(counted).toEqual({ identity_missing: 2, identity_invalid: 8 })
})

test('the log with all of this verifies, row by row', async () => {
  // Control signs a head each second: until then its last records are a warning.
  await vi.waitFor(
    async () => {
      const { verification } = await up.verify()
      expect(verification.findings.filter(({ level }) => level !== 'note')).toEqual([])
      expect(verification.ok).toBe(true)
    },
    { timeout: 20_000, interval: 500 },
  )
})

test('a function whose records are not taken any more answers nobody, in either runtime', async () => {
  const subject = { id: 'hello', reason: 'taken out of service' }
  await adminRequest(join(folder, 'state/admin.sock'), 'POST', '/v1/denied', subject)
  for (const runtime of runtimes) {
    const { status, body } = await ask(runtime, judged[0]!, `${runtime}-denied`)
    expect([status, body['code']]).toEqual([503, 'audit_unavailable'])
  }
})

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

async function mintFor(audience: string): Promise<string> {
  const identity = { id: shop, trustDomain: 'edge.example', proof: 'x509', serial: 'ab', notBeforeMs: 0, notAfterMs: 0 }
  return (await up.control.registrar.mintJwt(identity as Identity, audience)).token
}

async function refusalsOf(listener: string): Promise<RefusalsBody[]> {
  const { db } = up.log.store
  const rows = await db.select().from(records).where(eq(records.kind, 'refusals'))
  const found = await Promise.all(rows.map(({ shard, index }) => readLeaves(db, shard, [index])))
  return found
    .map(([leaf]) => JSON.parse(fromUtf8(leaf!.bytes)) as RefusalsBody)
    .filter((body) => body.listener === listener)
}
