import { writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { beforeAll, expect } from 'vitest'
import { evalCommand } from '../../cli/policy-eval.ts'
import { impactCommand } from '../../cli/policy-impact.ts'
import { makeDecide } from '../../engine/decide.ts'
import { loadBundle } from '../../engine/node/open.ts'
import { type Asked, Traffic } from '../audit/replay/traffic.ts'
import { bundleOf, openRego } from '../engine/compiled.ts'
import { needs } from '../parts/needs.ts'
import { keepLog, printed, temporary } from './recorded.ts'

/** Data and servers beside a policy, as `writ policy eval` and `writ policy impact` take them. */

const test = needs('opa')
const reading = `package app
default allow := false
allow if data.bank.roles[input.attributes.request.http.method] == "open"
`
let bundle: Uint8Array
beforeAll(async () => {
  bundle = await bundleOf(reading, ['app/allow'])
}, 30_000)

async function folderWith(given: Uint8Array): Promise<{ readonly folder: string; readonly words: readonly string[] }> {
  const folder = await temporary()
  await writeFile(join(folder, 'app.tar.gz'), given)
  await writeFile(
    join(folder, 'request.yaml'),
    'caller: web\ntarget: api\ntrustDomain: bank.example\nmethod: GET\npath: /\n',
  )
  const words = ['-f', join(folder, 'request.yaml'), '--bundle', join(folder, 'app.tar.gz'), '--bundle-name', 'app']
  return { folder, words }
}
async function file(folder: string, name: string, text: string): Promise<string> {
  await writeFile(join(folder, name), text)
  return join(folder, name)
}

test('eval decides by the data that it is given, and says what is wrong with it', async () => {
  const { folder, words } = await folderWith(bundle)
  const ask = (flag: string) => printed(evalCommand(), ...words, '--data', flag)
  expect((await printed(evalCommand(), ...words)).out).toMatch(/^deny policy_denied/)
  expect((await ask(`bank/roles=${await file(folder, 'open.json', '{"GET":"open"}')}`)).out).toMatch(/^allow allowed/)
  expect((await ask(`bank/roles=${await file(folder, 'other.yaml', 'GET: shut\n')}`)).out).toMatch(
    /^deny policy_denied/,
  )
  await expect(ask(`bank/roles=${await file(folder, 'torn.json', '{"GET"')}`)).rejects.toThrow(
    /torn\.json: it is no JSON/,
  )
  await expect(ask('bank/roles=nowhere.json')).rejects.toMatchObject({ code: 'not_found' })
  await expect(ask(`app/allow=${join(folder, 'open.json')}`)).rejects.toThrow('overlaps with the rule app/allow')
}, 30_000)

test('impact replays decisions that data had a part in with the data that it is given, and with none it tells which', async () => {
  const { folder } = await folderWith(bundle)
  const calls: readonly Asked[] = ['GET', 'POST'].map((method) => ({ caller: 'web', method, path: '/', target: 'api' }))
  const version = { revision: 'v1', sha256: 'ab'.repeat(32) }
  const parts = [{ name: 'roles', path: 'bank/roles', version, value: { GET: 'open' } }]
  const policy = await loadBundle(bundle, 'app', { now: () => 0n, parts })
  const use = { bundle: 'app', entrypoint: 'app/allow', recordHeaders: [], recordQuery: false }
  const decide = makeDecide({ get: () => policy }, { asOf: () => 0 })
  await keepLog(join(folder, 'state'), await new Traffic().judge(calls, decide, use))
  const impact = async (...words: readonly string[]) => {
    const state = ['--state', join(folder, 'state'), '--since', '2000-01-01T00:00:00Z', '--assume-kept', 'query']
    const named = [
      '--candidate',
      join(folder, 'app.tar.gz'),
      '--bundle-name',
      'app',
      '--assume-kept',
      'headers',
      '--json',
    ]
    return JSON.parse((await printed(impactCommand(), ...named, ...state, ...words)).out) as object
  }
  expect(await impact()).toMatchObject({
    ...{ decisions: 2, replayed: 0, flips: 0 },
    unreplayed: [{ obstacle: 'not_recorded', what: 'data roles', count: 2 }],
  })
  const same = await file(folder, 'same.json', '{"GET":"open"}')
  expect(await impact('--data', `bank/roles=${same}`)).toMatchObject({ replayed: 2, flips: 0 })
  const next = await file(folder, 'next.json', '{"POST":"open"}')
  expect(await impact('--data', `bank/roles=${next}`)).toMatchObject({ replayed: 2, flips: 2 })
}, 60_000)

test('eval asks those servers that it is told may be asked, and no others', async () => {
  const server = createServer((_, to) => to.writeHead(200, { 'content-type': 'application/json' }).end('{"yes":true}'))
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening))
  const place = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  try {
    const asking = `package app\nallow if http.send({"method": "GET", "url": "${place}/v1/allow"}).body.yes`
    await expect(openRego(asking, ['app/allow'])).rejects.toThrow('http.send')
    const { words } = await folderWith(await bundleOf(asking, ['app/allow']))
    expect((await printed(evalCommand(), ...words, '--allow-http', `${place}/v1`)).out).toMatch(/^allow allowed/)
    expect((await printed(evalCommand(), ...words, '--allow-http', `${place}/v2`)).out).toMatch(/^fault policy_error/)
    expect((await printed(evalCommand(), ...words)).out).toContain('the binding does not allow it')
    await expect(printed(evalCommand(), ...words, '--allow-http', 'http://a.example')).rejects.toMatchObject({
      code: 'usage',
    })
  } finally {
    server.close()
    server.closeAllConnections()
  }
}, 30_000)
