import { spawn } from 'node:child_process'
import { copyFile, mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, onTestFinished } from 'vitest'
import { makeExposition } from '../../../control/exposition.ts'
import { openDecisionFile } from '../../../control/node/decision-file.ts'
import type { Door } from '../../../control/node/open-door.ts'
import { makeCompile } from '../../../control/node/rego-compile.ts'
import { openRegoDoor, type RegoDoorOptions, type RegoDoorParts } from '../../../control/node/rego-door.ts'
import type { Json } from '../../../core/json.ts'
import { openOpa } from '../../../engine/node/opa.ts'
import { loadBundle } from '../../../engine/node/open.ts'
import { readTar } from '../../../engine/tar.ts'
import { openBank } from '../../audit/replay/traffic.ts'
import { temporary } from '../../cli/recorded.ts'
import { openRego } from '../../engine/compiled.ts'
import { needs, pathOf } from '../../parts/needs.ts'

const test = needs('opa')

/** The bank's bundle in our door, and its sources in OPA's own server: the same questions to both. */

let door: Door
let opa: { readonly url: string; readonly stop: () => Promise<void> }
const warned: string[] = []

async function open(more: Partial<RegoDoorParts> = {}, options: RegoDoorOptions = {}): Promise<Door> {
  return openRegoDoor(
    {
      policies: [await openBank()],
      now: () => 1_800_000_000_000_000_000n,
      newId: () => 'an-id',
      numbers: makeExposition(),
      labels: { id: 'one', version: '0' },
      warn: (text) => void warned.push(text),
      unexpected: (thrown) => {
        throw thrown
      },
      ...more,
    },
    options,
  )
}

async function openFor(more: Partial<RegoDoorParts> = {}, options: RegoDoorOptions = {}): Promise<string> {
  const opened = await open(more, options)
  onTestFinished(() => opened.close())
  return urlOf(opened)
}

const urlOf = ({ port }: Door) => `http://127.0.0.1:${port}`

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((ready) => server.listen(0, '127.0.0.1', ready))
  const { port } = server.address() as AddressInfo
  await new Promise((gone) => server.close(gone))
  return port
}

async function startOpa(): Promise<typeof opa> {
  const folder = await temporary(afterAll)
  for (const file of ['authz.rego', 'data.json']) await copyFile(join('policies/bank', file), join(folder, file))
  const port = await freePort()
  const words = ['run', '--server', '--addr', `127.0.0.1:${port}`, '--log-level', 'error', '-b', folder]
  const child = spawn(pathOf('opa'), words, { stdio: 'ignore' })
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()))
  const url = `http://127.0.0.1:${port}`
  for (;;) {
    if (child.exitCode !== null) throw new Error(`opa ended with ${child.exitCode}`)
    const up = await fetch(`${url}/health`).then(
      ({ ok }) => ok,
      () => false,
    )
    if (up) break
    await new Promise((later) => setTimeout(later, 50))
  }
  return {
    url,
    stop: async () => {
      child.kill()
      await ended
    },
  }
}

beforeAll(async () => {
  ;[door, opa] = await Promise.all([open(), startOpa()])
})
afterAll(async () => {
  await Promise.all([door.close(), opa.stop()])
})

interface Answer {
  readonly status: number
  readonly type: string | null
  readonly body: Json
}

async function ask(url: string, path: string, init?: RequestInit): Promise<Answer> {
  const response = await fetch(`${url}${path}`, init)
  const text = await response.text()
  return { status: response.status, type: response.headers.get('content-type'), body: JSON.parse(text) as Json }
}

const post = (body: string): RequestInit => ({ method: 'POST', body })

const input = (caller: string, method: string, path: readonly string[]) => ({
  attributes: { request: { http: { method } } },
  parsed_path: path,
  source_principal: `spiffe://bank.example/${caller}`,
  writ: { workload: 'spiffe://bank.example/orders' },
})

const asked = JSON.stringify({ input: input('storefront', 'GET', ['orders', '17']) })
const rule = '/v1/data/writ/authz/result'

describe("a client of OPA's gets from us what it gets from OPA", () => {
  const cases: readonly [string, string, RequestInit?][] = [
    ['an allowed request', rule, post(asked)],
    ['a refused one', rule, post(JSON.stringify({ input: input('storefront', 'DELETE', ['orders', '17']) }))],
    ['members beside the input', rule, post('{"input":{},"custom":1}')],
    ['what is below a rule', `${rule}/allowed`, post(asked)],
    ['an element of a list below it', `${rule}/reasons/0`, post('{"input":{}}')],
    ['what is not below it', `${rule}/reasons/7`, post('{"input":{}}')],
    ['no input', rule, post('{}')],
    ['no body', rule, { method: 'POST' }],
    ['an input that is null', rule, post('{"input":null}')],
    ['an input that is no object', rule, post('{"input":[1,"a"]}')],
    ['a path that nothing is at', '/v1/data/none', post('{"input":{}}')],
    ['a path that nothing is at, without input', '/v1/data/none/at/all', post('{}')],
    ['GET', rule],
    ['GET with an input', `${rule}?input=${encodeURIComponent('{"source_principal":"x"}')}`],
    ['a bare input', '/v0/data/writ/authz/result', post(JSON.stringify(input('storefront', 'GET', ['orders'])))],
    ['a bare input, below a rule', '/v0/data/writ/authz/result/allowed', post('{}')],
    ['a bare input where nothing is', '/v0/data/none/at', post('{}')],
    ['the default decision, which is not there', '/', post('{}')],
    ['an escaped path', '/v1/data/writ/authz/%72esult', post(asked)],
    ['health', '/health'],
    ['health with bundles', '/health?bundles'],
  ]
  test.each(cases)('%s', async (_, path, init) => {
    expect(await ask(urlOf(door), path, init)).toEqual(await ask(opa.url, path, init))
  })

  const wrongs: readonly [string, string, RequestInit?][] = [
    ['a body that is not JSON', rule, post('{bad')],
    ['a body that is no object', rule, post('[]')],
    ['a parameter that is not JSON', `${rule}?input=%7Bx`],
    ['a bare body that is not JSON', '/v0/data/writ/authz/result', post('{bad')],
  ]
  test.each(wrongs)('%s: the same status and code, in words of our own', async (_, path, init) => {
    const [ours, theirs] = await Promise.all([ask(urlOf(door), path, init), ask(opa.url, path, init)])
    const strip = ({ status, type, body }: Answer) => ({ status, type, code: (body as { code: string }).code })
    expect(strip(ours)).toEqual(strip(theirs))
    const [begins] = (theirs.body as { message: string }).message.split('document:')
    expect((ours.body as { message: string }).message).toContain(begins)
  })

  test('metrics and provenance where they are asked for, and only there', async () => {
    const query = `${rule}?metrics&provenance=true&pretty=true`
    const [ours, theirs] = await Promise.all([ask(urlOf(door), query, post(asked)), ask(opa.url, query, post(asked))])
    const shape = ({ body }: Answer) => {
      const { metrics, provenance } = body as { metrics: object; provenance: object }
      return { metrics: Object.keys(metrics), provenance: Object.keys(provenance).toSorted() }
    }
    expect(shape(ours).provenance).toEqual(shape(theirs).provenance)
    expect(shape(theirs).metrics).toEqual(expect.arrayContaining(shape(ours).metrics))
    expect(ours.body).toMatchObject({ provenance: { bundles: { bank: { revision: expect.any(String) } } } })
    const plain = await ask(urlOf(door), `${rule}?metrics=false`, post(asked))
    expect(Object.keys(plain.body as object)).toEqual(['result'])
  })

  test('random inputs', async () => {
    const step = fc.constantFrom('orders', '17', 'healthz', '', '..', 'a/b')
    const caller = fc.constantFrom('storefront', 'orders', 'nobody', '../x')
    const method = fc.constantFrom('GET', 'POST', 'DELETE')
    const some = fc.tuple(caller, method, fc.array(step, { maxLength: 3 })).map((parts) => input(...parts))
    await fc.assert(
      fc.asyncProperty(fc.oneof(some, fc.jsonValue({ maxDepth: 3 })), async (value) => {
        const body = post(JSON.stringify({ input: value }))
        expect(await ask(urlOf(door), rule, body)).toEqual(await ask(opa.url, rule, body))
      }),
      { numRuns: 60 },
    )
  })
})

describe('what OPA has and Wasm has not', () => {
  test('is undefined, and a header and a line say that nothing answers there', async () => {
    const response = await fetch(`${urlOf(door)}/v1/data/bank/edges`, post('{"input":{}}'))
    expect([response.status, await response.json()]).toEqual([200, {}])
    expect(response.headers.get('x-writ-warning')).toBe('bank/edges is no entry point: writ/authz/result')
    expect(warned).toContain('bank/edges is no entry point: writ/authz/result')
    const known = await fetch(`${urlOf(door)}${rule}/none`, post('{"input":{}}'))
    expect(known.headers.has('x-writ-warning')).toBe(false)
  })

  test('the default decision is the one that is named', async () => {
    const url = await openFor({ defaultDecision: 'writ/authz/result' })
    expect((await ask(url, '/', post('{}'))).body).toMatchObject({ allowed: false })
  })

  test('the time is the clock of the server, whatever the input says', async () => {
    const policy = await openRego('package t\nr := time.now_ns()\n', ['t/r'])
    const url = await openFor({ policies: [policy], now: () => 1_800_000_000_000_000_000n })
    const body = post('{"input":{"attributes":{"request":{"time":"2001-01-01T00:00:00Z"}}}}')
    expect((await ask(url, '/v1/data/t/r', body)).body).toEqual({ result: 1_800_000_000_000_000_000 })
  })

  test('an evaluation that fails is an error in the shape of OPA', async () => {
    const policy = await openRego('package t\nr := 1 if input.a\nr := 2 if input.b\n', ['t/r'])
    const url = await openFor({ policies: [policy] })
    expect(await ask(url, '/v1/data/t/r', post('{"input":{"a":1,"b":1}}'))).toMatchObject({
      status: 500,
      body: { code: 'internal_error', errors: [{ code: 'policy_error', message: expect.any(String) }] },
    })
  })

  test('two policies that answer for one path are refused, and one that is named is served', async () => {
    const bank = await openBank()
    await expect(open({ policies: [bank, bank] })).rejects.toMatchObject({ code: 'config_invalid' })
  })
})

describe('who may ask, and how much', () => {
  test('with a token nobody asks without it, but for health', async () => {
    const url = await openFor({ token: 'a-token-of-24-characters' })
    const by = (authorization?: string) =>
      ask(url, rule, { ...post(asked), headers: authorization === undefined ? {} : { authorization } })
    expect((await by()).status).toBe(401)
    expect((await by('Bearer another')).status).toBe(401)
    expect((await by('Bearer a-token-of-24-characters')).status).toBe(200)
    expect((await ask(url, '/metrics')).status).toBe(401)
    expect((await ask(url, '/health/live')).status).toBe(200)
  })

  test('without one it does not listen beyond loopback, and answers no web page', async () => {
    await expect(open({}, { address: '0.0.0.0' })).rejects.toMatchObject({ code: 'config_invalid' })
    const page = await ask(urlOf(door), rule, { ...post(asked), headers: { origin: 'https://evil.example' } })
    expect([page.status, page.body]).toMatchObject([403, { code: 'unauthorized' }])
  })

  test('a body beyond the limit is refused, and one within it is not', async () => {
    const url = await openFor({}, { maxBodyBytes: 200 })
    const sized = (size: number) => post(`{"input":"${'x'.repeat(size - 12)}"}`)
    expect((await ask(url, rule, sized(200))).status).toBe(200)
    expect(await ask(url, rule, sized(201))).toMatchObject({ status: 413, body: { code: 'invalid_parameter' } })
  })

  test('no more are answered at a time than it takes, and the next one after that is', async () => {
    let release = (): void => undefined
    const held = new Promise<void>((resolve) => {
      release = resolve
    })
    let waiting = 0
    const keep = async (): Promise<void> => {
      waiting++
      await held
    }
    const url = await openFor({ keep }, { concurrent: 2 })
    const slow = [ask(url, rule, post(asked)), ask(url, rule, post(asked))]
    while (waiting < 2) await new Promise((later) => setTimeout(later, 5))
    expect(await ask(url, rule, post(asked))).toMatchObject({ status: 503, body: { code: 'unavailable' } })
    release()
    expect((await Promise.all(slow)).map(({ status }) => status)).toEqual([200, 200])
    expect((await ask(url, rule, post(asked))).status).toBe(200)
  })

  test('a body that is nested without end is refused', async () => {
    const deep = `{"input":${'['.repeat(90_000)}${']'.repeat(90_000)}}`
    expect((await ask(urlOf(door), rule, post(deep))).status).toBeGreaterThanOrEqual(400)
  })

  test('whatever comes, what goes back is JSON of one of the few statuses', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.string({ unit: 'binary', maxLength: 60 }),
        fc.uint8Array({ maxLength: 60 }),
        async (path, bytes) => {
          const target = `/v1/data/${encodeURIComponent(path.toWellFormed())}`
          const { status, type } = await ask(urlOf(door), target, { method: 'POST', body: new Uint8Array(bytes) })
          expect([200, 400]).toContain(status)
          expect(type).toBe('application/json')
        },
      ),
      { numRuns: 100 },
    )
  })
})

test('numbers are told as Prometheus reads them', async () => {
  const url = await openFor()
  await ask(url, rule, post(asked))
  await ask(url, rule, post('{bad'))
  await ask(url, '/v1/data/none', post('{}'))
  const text = await (await fetch(`${url}/metrics`)).text()
  for (const line of [
    'http_request_duration_seconds_count{code="200",handler="v1/data",method="post"} 2',
    'http_request_duration_seconds_count{code="400",handler="v1/data",method="post"} 1',
    'http_request_duration_seconds_bucket{code="400",handler="v1/data",method="post",le="+Inf"} 1',
    'writ_evaluations_total{bundle="bank",outcome="defined"} 1',
    'writ_evaluations_total{bundle="",outcome="no_entrypoint"} 1',
  ])
    expect(text.split('\n')).toContain(line)
  const sample = /^[a-z_]+(?:\{(?:[a-z]+="[^"\n]*",?)*\})? [0-9.e+-]+$/
  expect(
    text
      .trimEnd()
      .split('\n')
      .filter((line) => !line.startsWith('# ') && !sample.test(line)),
  ).toEqual([])
})

describe('decisions', () => {
  test('are appended before they are answered, as OPA logs them, for its owner alone to read', async () => {
    const path = join(await temporary(), 'decisions.jsonl')
    const file = await openDecisionFile(path)
    onTestFinished(() => file.close())
    const url = await openFor({ keep: (event) => file.keep(event) })
    expect((await ask(url, rule, post(asked))).body).toMatchObject({ decision_id: 'an-id', result: { allowed: true } })
    await ask(url, '/v1/data/none', post('{}'))
    const [event, other] = (await readFile(path, 'utf8'))
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line))
    expect(event).toMatchObject({
      labels: { id: 'one', version: '0' },
      decision_id: 'an-id',
      bundles: { bank: { revision: expect.stringMatching(/^[0-9a-f]{16}$/) } },
      path: 'writ/authz/result',
      input: input('storefront', 'GET', ['orders', '17']),
      result: { allowed: true, reasons: [] },
      requested_by: expect.stringMatching(/^127\.0\.0\.1:\d+$/),
      timestamp: '2027-01-15T08:00:00.000000000Z',
      metrics: { timer_rego_query_eval_ns: expect.any(Number) },
    })
    expect([other.path, 'input' in other, 'result' in other]).toEqual(['none', false, false])
    expect((await stat(path)).mode & 0o777).toBe(0o600)
  })

  test('that cannot be kept are not answered', async () => {
    const file = await openDecisionFile(join(await temporary(), 'decisions.jsonl'), { maxBytes: 900 })
    onTestFinished(() => file.close())
    const url = await openFor({ keep: (event) => file.keep(event) })
    expect((await ask(url, rule, post(asked))).status).toBe(200)
    expect(await ask(url, rule, post(asked))).toMatchObject({ status: 503, body: { code: 'unavailable' } })
  })

  test('of many at once are each a line of their own', async () => {
    const path = join(await temporary(), 'decisions.jsonl')
    const file = await openDecisionFile(path)
    await Promise.all(Array.from({ length: 200 }, (_, i) => file.keep({ i, text: 'x'.repeat(i * 7) })))
    await file.close()
    const lines = (await readFile(path, 'utf8')).trimEnd().split('\n')
    expect(lines.map((line) => (JSON.parse(line) as { i: number }).i)).toEqual(lines.map((_, i) => i))
  })
})

describe('compiling over HTTP', () => {
  const good = 'package t\n\nimport data.writ.lib.http\n\n# METADATA\n# entrypoint: true\nr if http.reads\n'
  const compiler = () => openOpa({ env: { ...process.env, WRIT_OPA: pathOf('opa') }, say: () => undefined })
  const compileUrl = async () => openFor({ compile: makeCompile(await compiler()) })
  const compile = (url: string, body: Json, headers: Record<string, string> = {}) =>
    fetch(`${url}/v1/policies/compile`, { method: 'POST', body: JSON.stringify(body), headers })

  test('is off unless it is asked for', async () => {
    expect((await compile(urlOf(door), { modules: { 'a.rego': good } })).status).toBe(403)
  })

  test('gives a bundle that can be loaded and asked, with the library and the data in it', async () => {
    const url = await compileUrl()
    const more = 'package u\n\nr := data.limit\n'
    const body = { modules: { 'a.rego': good, 'sub/b.rego': more }, entrypoints: ['u/r'], data: { limit: 7 } }
    const { result } = (await (await compile(url, body)).json()) as { result: { bundle: string; revision: string } }
    const bytes = new Uint8Array(Buffer.from(result.bundle, 'base64'))
    const opened = await loadBundle(bytes, 'given', { now: () => 0n })
    expect(opened.entrypoints.toSorted()).toEqual(['t/r', 'u/r'])
    expect(opened.evaluate('u/r', {})).toEqual({ ok: true, value: 7 })
    expect(opened.ref.revision).toBe(result.revision)
    const packed = await compile(url, body, { accept: 'application/gzip' })
    expect(packed.headers.get('content-type')).toBe('application/gzip')
    expect(new Uint8Array(await packed.arrayBuffer())).toEqual(bytes)
    expect(readTar(gunzipSync(bytes), 100).map(({ name }) => name)).toContain('writ/lib/http.rego')
  })

  test('tells each error with its place', async () => {
    const url = await compileUrl()
    const modules = { 'a.rego': good, 'sub/b.rego': 'package b\n\nr := nope(1)\n' }
    const wrong = await compile(url, { modules })
    expect([wrong.status, await wrong.json()]).toMatchObject([
      400,
      {
        code: 'invalid_parameter',
        errors: [{ code: 'rego_type_error', location: { file: 'sub/b.rego', row: 3 } }],
      },
    ])
    const parse = await (await compile(url, { modules: { 'a.rego': 'package a\nr := {' } })).json()
    expect(parse).toMatchObject({ errors: [{ code: 'rego_parse_error', location: { file: 'a.rego' } }, {}] })
    const none = await (await compile(url, { modules: { 'a.rego': 'package a\nr := 1\n' } })).json()
    expect(JSON.stringify(none)).toContain('entrypoint')
    expect(JSON.stringify(none)).not.toContain('/tmp')
  })

  test('takes no name that leads out of its folder or hides in it', async () => {
    const url = await compileUrl()
    for (const name of [
      '../a.rego',
      '/a.rego',
      'a/../b.rego',
      'a//b.rego',
      '.a.rego',
      'a\\b.rego',
      'a.txt',
      'a\u0000.rego',
    ]) {
      expect([name, (await compile(url, { modules: { [name]: good } })).status]).toEqual([name, 400])
    }
    for (const entrypoint of ['-h', '../x', 't', 't/r;', 't/../r']) {
      const body = { modules: { 'a.rego': good }, entrypoints: [entrypoint] }
      expect([entrypoint, (await compile(url, body)).status]).toEqual([entrypoint, 400])
    }
    const both = await compile(url, { modules: { 'a.rego': good, 'a.rego/b.rego': good } })
    expect([both.status, JSON.stringify(await both.json())]).toEqual([
      400,
      expect.stringContaining('a module and a folder'),
    ])
    expect((await compile(url, { modules: {} })).status).toBe(400)
    expect((await compile(url, { modules: { 'a.rego': good }, more: 1 })).status).toBe(400)
  })

  test('is bounded in length, and fetches nothing that a module names', async () => {
    const url = await compileUrl()
    expect((await compile(url, { modules: { 'a.rego': `${good}#${'x'.repeat(1024 ** 2)}` } })).status).toBe(413)
    let hits = 0
    const server = createServer((_, response) => {
      hits++
      response.end('{"type":"object"}')
    })
    await new Promise<void>((ready) => server.listen(0, '127.0.0.1', ready))
    onTestFinished(() => void server.close())
    const { port } = server.address() as AddressInfo
    const schema = `# schemas:\n#   - input: {"$ref": "http://127.0.0.1:${port}/s.json"}\n`
    const text = `package a\n\n# METADATA\n# entrypoint: true\n${schema}r if input.x == 1\n`
    const answer = await compile(url, { modules: { 'a.rego': text } })
    expect([answer.status, hits]).toEqual([400, 0])
  })

  test('runs two at a time, and refuses the third', async () => {
    const url = await compileUrl()
    const body = (i: number) => ({ modules: { 'a.rego': good }, data: { i } })
    const answers = await Promise.all(Array.from({ length: 6 }, (_, i) => compile(url, body(i))))
    const statuses = answers.map(({ status }) => status).toSorted()
    expect(statuses.filter((status) => status === 200).length).toBeGreaterThanOrEqual(2)
    expect(new Set(statuses)).toEqual(new Set([200, 503]))
    expect((await compile(url, body(7))).status).toBe(200)
  })

  test('is ended when it takes too long', async () => {
    const run = makeCompile(await compiler(), { timeoutMs: 1 })
    await expect(run(JSON.stringify({ modules: { 'a.rego': good } }))).rejects.toMatchObject({
      status: 400,
      errors: [{ message: expect.stringContaining('was stopped') as string }],
    })
  })
})

test('a folder is made for each, and is gone when it is done', async () => {
  const folder = await temporary()
  await mkdir(join(folder, 'tmp'))
  await writeFile(join(folder, 'kept'), '')
  const before = process.env['TMPDIR']
  process.env['TMPDIR'] = join(folder, 'tmp')
  try {
    const found = await openOpa({ env: { ...process.env, WRIT_OPA: pathOf('opa') }, say: () => undefined })
    await makeCompile(found)(
      JSON.stringify({ modules: { 'a.rego': 'package a\n# METADATA\n# entrypoint: true\nr := 1\n' } }),
    )
    expect(await readdir(join(folder, 'tmp'))).toEqual([])
  } finally {
    if (before === undefined) delete process.env['TMPDIR']
    else process.env['TMPDIR'] = before
  }
})
