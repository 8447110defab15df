import { createHmac } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { describe, expect, onTestFinished } from 'vitest'
import type { RequestFacts } from '../../../core/facts.ts'
import { policyInputText } from '../../../core/input-text.ts'
import type { Json } from '../../../core/json.ts'
import type { Listener } from '../../../core/snapshot.ts'
import { makeDecide } from '../../../engine/decide.ts'
import { openOpa } from '../../../engine/node/opa.ts'
import { makePolicies } from '../../../engine/policies.ts'
import { openRego } from '../../engine/compiled.ts'
import { needs } from '../../parts/needs.ts'
import { call, callerTls, inbound, makeCa, makeSource, orders, startProxy, web } from './kit.ts'

/** Policies as they are written for OPA-Envoy, asked by a proxy of ours: each answer is compared with OPA's own. */

const test = needs('opa')
const entrypoint = 'envoy/authz/allow'
const folder = join(import.meta.dirname, '../../fixtures/opa-envoy')

const ca = makeCa()
const source = makeSource(ca.issue(orders), ca)
const tls = callerTls(ca.issue(web), ca)

interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

/** What the service saw, as it tells it itself. */
interface Seen {
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

async function startService(): Promise<number> {
  const server = createServer((request, response) => {
    let body = ''
    request.setEncoding('utf8')
    request.on('data', (text: string) => {
      body += text
    })
    request.on('end', () => response.end(JSON.stringify({ headers: request.headers, body })))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void server.close().closeAllConnections())
  return (server.address() as AddressInfo).port
}

async function guarded(policy: string) {
  const rego = readFileSync(join(folder, policy), 'utf8')
  const policies = makePolicies()
  const opened = await openRego(rego, [entrypoint])
  policies.put(opened)
  const decide = makeDecide(policies)
  const inputs: string[] = []
  const listener = inbound(await startService()) as Extract<Listener, { direction: 'inbound' }>
  const use = { bundle: opened.ref.bundle, entrypoint, recordHeaders: [], recordQuery: false, bodyBytes: 1024 }
  const { port, sink } = await startProxy({
    source,
    listener: { ...listener, policy: use },
    decide: (facts: RequestFacts) => {
      inputs.push(policyInputText(facts))
      return decide(facts, use) as ReturnType<typeof decide> & object
    },
  })

  async function ask(line: string, headers: Readonly<Record<string, string>> = {}, body = ''): Promise<Answer> {
    const caller = call(port, tls)
    const fields = Object.entries({ host: 'orders', connection: 'close', ...headers })
    if (body !== '') fields.push(['content-length', String(Buffer.byteLength(body))])
    const head = fields.map(([name, value]) => `${name}: ${value}\r\n`).join('')
    caller.send(Buffer.from(`${line} HTTP/1.1\r\n${head}\r\n${body}`))
    return answerOf(await caller.closed())
  }

  /** The last decision, as OPA itself makes it of the same input. */
  async function opaSays(): Promise<Json> {
    const opa = await openOpa({ env: process.env, say: () => undefined })
    const args = ['eval', '-f', 'json', '-I', '-d', policy, 'data.envoy.authz.allow']
    const { stdout } = await opa.run(args, { cwd: folder, input: inputs.at(-1)! })
    return JSON.parse(stdout).result[0].expressions[0].value as Json
  }
  return { ask, opaSays, sink, inputs }
}

function answerOf(text: string): Answer {
  const end = text.indexOf('\r\n\r\n')
  const [line, ...lines] = text.slice(0, end).split('\r\n')
  const headers = Object.fromEntries(
    lines.map((one) => {
      const cut = one.indexOf(': ')
      return [one.slice(0, cut).toLowerCase(), one.slice(cut + 2)]
    }),
  )
  return { status: Number(line!.split(' ')[1]), headers, body: text.slice(end + 4) }
}

const seenBy = (answer: Answer): Seen => JSON.parse(answer.body) as Seen

function tokenOf(claims: object, secret = 'kept by the two of us'): string {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const signed = `${part({ alg: 'HS256', typ: 'JWT' })}.${part(claims)}`
  return `Bearer ${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`
}

const json = { 'content-type': 'application/json' }

describe('a boolean, by a token that is decoded and a body that is parsed', () => {
  test('lets the guest read and the admin write, but not about itself', async () => {
    const { ask, opaSays } = await guarded('people.rego')
    const admin = { authorization: tokenOf({ sub: 'ann', role: 'admin' }), ...json }
    const guest = { authorization: tokenOf({ sub: 'gil', role: 'guest' }), ...json }
    for (const [line, headers, body, status] of [
      ['GET /people/1', guest, '', 200],
      ['GET /others/1', guest, '', 403],
      ['GET /people', {}, '', 403],
      ['POST /people', guest, '{"firstname":"Bob"}', 403],
      ['POST /people', admin, '{"firstname":"Bob"}', 200],
      ['POST /people', admin, '{"firstname":"Ann"}', 403],
      ['POST /people', { ...admin, 'content-type': 'text/plain' }, '{"firstname":"Bob"}', 403],
      ['POST /people', admin, `{"firstname":"Bob","note":"${'x'.repeat(2000)}"}`, 403],
    ] as const) {
      const answer = await ask(line, headers, body)
      expect([line, body.slice(0, 20), answer.status]).toEqual([line, body.slice(0, 20), status])
      expect([line, await opaSays()]).toEqual([line, status === 200])
      if (status === 200) expect(seenBy(answer).body).toBe(body)
    }
  })

  test('a body that is no JSON, or that two readers read differently, is refused unjudged', async () => {
    const { ask, inputs, sink } = await guarded('people.rego')
    const admin = { authorization: tokenOf({ sub: 'ann', role: 'admin' }), ...json }
    for (const body of ['{"firstname":', '{"firstname":"Bob","firstname":"Ann"}']) {
      expect((await ask('POST /people', admin, body)).status).toBe(400)
    }
    expect(inputs).toEqual([])
    expect(sink.decisions).toMatchObject([{ code: 'bad_request' }, { code: 'bad_request' }])
  })
})

describe('an object, by a token whose signature is checked', () => {
  const auditor = { authorization: tokenOf({ iss: 'idp', sub: 'ann', groups: ['audit', 'staff'] }) }

  test('changes what the service sees and what the caller gets back', async () => {
    const { ask, opaSays } = await guarded('gate.rego')
    const answer = await ask('GET /entries?from=a&to=b', auditor)
    expect(answer).toMatchObject({ status: 200, headers: { 'x-served-for': 'ann' } })
    expect(seenBy(answer).headers).toMatchObject({ 'x-user': 'ann', 'x-groups': 'audit, staff' })
    expect(seenBy(answer).headers).not.toHaveProperty('authorization')
    expect(await opaSays()).toMatchObject({ allowed: true, headers: [{ 'x-user': 'ann' }, {}] })
  })

  test('refuses with a status, headers and a text of its own', async () => {
    const { ask, opaSays } = await guarded('gate.rego')
    const forged = { authorization: tokenOf({ iss: 'idp', sub: 'ann', groups: ['audit'] }, 'guessed') }
    for (const headers of [{}, forged]) {
      const answer = await ask('GET /entries?from=a&to=b', headers)
      expect(answer).toMatchObject({ status: 401, body: 'Unauthorized Request' })
      expect(answer.headers).toMatchObject({ 'www-authenticate': 'Bearer', 'x-denied': 'no, token' })
      expect(await opaSays()).toMatchObject({ allowed: false, http_status: 401 })
    }
    const answer = await ask('GET /entries/7?from=b&to=a', auditor)
    expect(answer).toMatchObject({ status: 403, body: 'ann may not see entries/7', headers: { 'x-user': 'ann' } })
    expect(await opaSays()).toMatchObject({ allowed: false, body: 'ann may not see entries/7' })
  })
})

describe('by the workload that calls and what it sends', () => {
  test('JSON, a form and a multipart form are the same to it, and a number keeps its last digit', async () => {
    const { ask, opaSays } = await guarded('transfers.rego')
    const form = { 'content-type': 'application/x-www-form-urlencoded' }
    const multipart = { 'content-type': 'multipart/form-data; boundary=b' }
    const part = (amount: string) =>
      `--b\r\nContent-Disposition: form-data; name="amount"\r\n\r\n${amount}\r\n--b--\r\n`
    for (const [line, headers, body, status] of [
      ['POST /transfers/1', json, '{"amount":9007199254740992}', 200],
      ['POST /transfers/1', json, '{"amount":9007199254740993}', 403],
      ['POST /transfers/1', json, '{"amount":9007199254740992.5}', 403],
      ['POST /transfers/1/2', json, '{"amount":1}', 403],
      ['POST /transfers/1', form, 'amount=12', 200],
      ['POST /transfers/1', form, 'amount=9007199254740993', 403],
      ['POST /transfers/1', multipart, part('12'), 200],
      ['POST /transfers/1', multipart, part('9007199254740993'), 403],
      ['POST /transfers/1', { 'content-type': 'application/octet-stream' }, 'amount', 403],
      ['GET /anything', {}, '', 200],
    ] as const) {
      const answer = await ask(line, headers, body)
      expect([line, body, answer.status]).toEqual([line, body, status])
      expect([line, body, await opaSays()]).toEqual([line, body, status === 200])
      if (status === 200) expect(seenBy(answer).body).toBe(body)
    }
  })
})
