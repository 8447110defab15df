import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer, type IncomingMessage, request, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { getRequestListener } from '@hono/node-server'
import { rolldown } from 'rolldown'
import { afterAll, beforeAll, expect, inject } from 'vitest'
import { needs } from '../../parts/needs.ts'
import { type RunningWorkerd, startWorkerd } from '../../parts/workerd.ts'

/** One bundle, in workerd and in Node: what a runtime does with requests must not change what the handler gets. */

const test = needs('workerd')
const here = Object.values(inject('parts')).every((part) => 'path' in part)

const urls: Record<string, string> = {}
let folder = ''
let workerd: RunningWorkerd | undefined
let server: Server | undefined

beforeAll(async () => {
  if (!here) return
  folder = await mkdtemp(join(tmpdir(), 'writ-edge-'))
  const build = await rolldown({ input: join(import.meta.dirname, 'worker.ts'), platform: 'browser' })
  const { output } = await build.generate({ format: 'esm' })
  await build.close()
  workerd = await startWorkerd({ modules: { 'worker.js': output[0].code } })
  urls['workerd'] = workerd.url

  await writeFile(join(folder, 'worker.mjs'), output[0].code)
  const { default: worker } = await import(pathToFileURL(join(folder, 'worker.mjs')).href)
  const context = { waitUntil: () => undefined }
  server = createServer(
    getRequestListener((given) => worker.fetch(given, {}, context), { overrideGlobalObjects: false }),
  )
  await new Promise<void>((resolve) => server!.listen(0, '127.0.0.1', resolve))
  urls['node'] = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
})

afterAll(async () => {
  server?.closeAllConnections()
  server?.close()
  await workerd?.remove()
  if (folder !== '') await rm(folder, { recursive: true, force: true })
})

const runtimes = ['workerd', 'node']

/** Sends fields and path as they are; `parts` one after the other, each once the one before has come back. */
async function ask(
  runtime: string,
  path: string,
  options: { method?: string; fields?: string[]; parts?: string[] } = {},
) {
  const { method = 'GET', fields = [], parts = [] } = options
  const url = urls[runtime]!
  const headers = ['host', new URL(url).host, ...(parts.length > 0 ? ['transfer-encoding', 'chunked'] : []), ...fields]
  const sending = request(url, { method, path, headers, agent: false })
  const answered = new Promise<IncomingMessage>((resolve, reject) => {
    sending.on('response', resolve)
    sending.on('error', reject)
  })
  const [first, ...rest] = parts
  if (first === undefined) sending.end()
  else sending.write(first)
  const answer = await answered
  answer.setEncoding('utf8')
  const came: string[] = []
  for await (const part of answer) {
    came.push(part as string)
    const next = rest.shift()
    if (next !== undefined) sending.write(next)
    else if (!sending.writableEnded) sending.end()
  }
  return { status: answer.statusCode, headers: answer.headers, came, text: came.join('') }
}

test.each(runtimes)(
  'in %s bodies stream through: the first part comes back before the second is sent',
  async (runtime) => {
    const { status, headers, came } = await ask(runtime, '/echo', { method: 'POST', parts: ['one', 'two', 'three'] })
    expect([status, headers['x-echo'], came]).toEqual([200, '1', ['one', 'two', 'three']])
  },
)

test.each(runtimes)('in %s a body that is judged by its beginning still streams through', async (runtime) => {
  const fields = ['x-judge-body', '1']
  const { status, text } = await ask(runtime, '/echo', { method: 'POST', fields, parts: ['one two', 'three'] })
  expect([status, text]).toEqual([200, 'one twothree'])
  expect(await ask(runtime, '/echo', { method: 'POST', fields })).toMatchObject({ status: 200, text: '' })
})

test.each(runtimes)(
  'in %s the handler sees the judged path, and the identity that only the guard writes',
  async (runtime) => {
    const { text } = await ask(runtime, '//a/./b/../%63?q=%41#not', {
      fields: ['x-forwarded-client-cert', 'URI=spiffe://bank.example/ceo', 'x-twice', '1', 'x-twice', '2'],
    })
    const { url, headers } = JSON.parse(text) as { url: string; headers: Record<string, string> }
    expect(url).toBe(`${urls[runtime]}/a/c?q=%41`)
    expect(headers).toMatchObject({
      'x-twice': '1, 2',
      'x-forwarded-client-cert': 'By=spiffe://bank.example/edge-fn;URI=spiffe://bank.example/shop',
    })
  },
)

test.each(runtimes)(
  'in %s a handler that throws or gives nothing is a 502, and an ambiguous path a 400',
  async (runtime) => {
    for (const path of ['/throws', '/nothing']) {
      const { status, text } = await ask(runtime, path)
      expect([status, JSON.parse(text).code]).toEqual([502, 'upstream_reset'])
      expect(text).not.toContain('secret')
    }
    expect((await ask(runtime, '/a%2fb')).status).toBe(400)
    expect((await ask(runtime, '/a%5cb')).status).toBe(400)
    expect((await ask(runtime, '/', { fields: ['upgrade', 'x', 'connection', 'upgrade'] })).status).toBe(501)
  },
)

test.each(runtimes)('in %s responses without a body and redirects pass as they are', async (runtime) => {
  const empty = await ask(runtime, '/empty')
  expect([empty.status, empty.text]).toEqual([204, ''])
  const moved = await ask(runtime, '/moved')
  expect([moved.status, moved.headers.location]).toEqual([302, 'https://edge.example/'])
  expect(moved.headers['x-writ-decision']).toMatch(/^(?:ab){12}-\d+$/)
})

test.each(runtimes)('in %s what waits is sent on after the response has left', async (runtime) => {
  const before = Number((await ask(runtime, '/flushed')).text)
  let after = before
  for (let i = 0; i < 50 && after === before; i++) after = Number((await ask(runtime, '/flushed')).text)
  expect(after).toBeGreaterThan(before)
})
