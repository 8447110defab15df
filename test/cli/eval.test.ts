import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { evalCommand } from '../../cli/policy-eval.ts'
import type { Decision } from '../../core/decision.ts'
import { policyInput } from '../../core/input.ts'
import type { Json } from '../../core/json.ts'
import { spiffeId, trustDomainOf } from '../../core/spiffe.ts'
import { decideBy, openBank } from '../audit/replay/traffic.ts'
import { needs } from '../parts/needs.ts'
import {
  bank,
  call,
  callerTls,
  inbound,
  makeCa,
  makeSource,
  ok,
  orders,
  startAnswering,
  startProxy,
} from '../proxy/node/kit.ts'
import { bankIn, printed, temporary } from './recorded.ts'

const withOpa = needs('opa')

async function ask(request: string, ...words: readonly string[]) {
  const file = join(await temporary(), 'request.yaml')
  await writeFile(file, request)
  return printed(evalCommand(), '-f', file, ...words)
}

const answered = async (request: string) => JSON.parse((await ask(request, '--json')).out) as Decision & { input: Json }

describe('what a described request gets is what a proxy decides', () => {
  const ca = makeCa()
  const storefront = ca.issue(spiffeId(bank, 'storefront')!)
  let decide: ReturnType<typeof decideBy>
  beforeAll(async () => {
    decide = decideBy(await openBank())
  })

  test.each([
    ['GET', '/orders/17?page=1&page=2', {}],
    ['DELETE', '/orders/17', { 'X-Role': 'clerk' }],
    ['GET', '/orders//%31%37/../18', {}],
    ['POST', '/orders', { Accept: 'text/html', 'X-Two': 'a' }],
    ['GET', '/healthz', {}],
    ['GET', '/orders/a%2Fb', {}],
    ['GET', '/orders?a=%zz', {}],
  ])('%s %s', async (method, path, headers) => {
    const seen: Json[] = []
    const app = await startAnswering(ok('served'))
    const { port, sink } = await startProxy({
      source: makeSource(ca.issue(orders), ca),
      listener: inbound(app.port),
      decide: (facts) => {
        seen.push(policyInput(facts))
        return decide(facts, inboundUse)
      },
    })
    const fields = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
    const caller = call(port, callerTls(storefront, ca))
    caller.send(
      `${method} ${path} HTTP/1.1\r\nHost: orders\r\nContent-Length: 0\r\nConnection: close\r\n${fields.join('')}\r\n`,
    )
    await caller.closed()
    const [recorded] = sink.decisions

    const described = await answered(
      JSON.stringify({
        caller: 'storefront',
        target: 'orders',
        trustDomain: trustDomainOf(orders),
        method,
        path,
        headers,
      }),
    )
    expect(described).toMatchObject({ verdict: recorded!.verdict, code: recorded!.code, reasons: recorded!.reasons })
    if (seen.length > 0) expect(comparable(described.input)).toEqual(comparable(seen[0]!))
    else expect(described.code).toBe('bad_request')
  })

  const inboundUse = { bundle: 'bank', entrypoint: 'writ/authz/result', recordHeaders: [], recordQuery: false }

  /** Without what a connection brings with it: addresses, times, an id, and the fields that this caller had to send. */
  function comparable(input: Json): unknown {
    const { attributes, writ, ...rest } = structuredClone(input) as unknown as Input
    const { headers, id: _, ...http } = attributes.request.http
    for (const name of ['content-length', 'connection', 'host']) delete headers[name]
    return {
      ...rest,
      http,
      headers,
      principal: attributes.source.principal,
      service: writ.service,
      workload: writ.workload,
    }
  }
  interface Input {
    readonly attributes: {
      readonly source: { readonly principal: string }
      readonly request: { readonly http: { readonly headers: Record<string, string>; readonly id: string } }
    }
    readonly writ: { readonly service: string; readonly workload: string }
  }
})

describe('a described request', () => {
  const post = { caller: 'storefront', target: 'orders', trustDomain: 'bank.example', method: 'POST', path: '/orders' }

  test('has a body as text or as JSON, and what a proxy would refuse of it is refused', async () => {
    const asJson = await answered(JSON.stringify({ ...post, body: { item: 'pen' } }))
    expect(asJson.input).toMatchObject({ parsed_body: { item: 'pen' }, truncated_body: false })
    const headers = { 'content-type': 'application/x-www-form-urlencoded' }
    const asText = await answered(JSON.stringify({ ...post, headers, body: 'item=pen' }))
    expect(asText.input).toMatchObject({ parsed_body: { item: ['pen'] } })
    expect((await answered(JSON.stringify(post))).input).not.toHaveProperty('parsed_body')
    const twice = await answered(
      JSON.stringify({ ...post, headers: { 'content-type': 'application/json' }, body: '{"a":1,"a":2}' }),
    )
    expect(twice).toMatchObject({ code: 'bad_request', reasons: ['a JSON object that has one name twice'] })
  })

  const request = 'caller: storefront\ntarget: orders\ntrustDomain: bank.example\nmethod: DELETE\npath: /orders/17\n'

  test('is answered with verdict, status, who decided, and why', async () => {
    const { out, code } = await ask(request)
    expect(code).toBe(0)
    expect(out).toMatch(
      /^deny policy_denied\nstatus +403\nby +bank revision [0-9a-f]{16}, writ\/authz\/result\nreason +storefront may not DELETE/,
    )
  })

  test('without a caller is refused by the proxy, and no policy is asked', async () => {
    const { out } = await ask('target: spiffe://bank.example/orders\npath: /healthz\n')
    expect(out).toMatch(/^deny identity_missing\nstatus +401\nby +the proxy, before any policy\n/)
  })

  test('may be at a time of its own', async () => {
    const { input } = await answered(`${request}time: 2026-01-02T03:04:05Z\n`)
    expect(input).toMatchObject({ attributes: { request: { time: '2026-01-02T03:04:05.000000000Z' } } })
  })

  test.each([
    ['target: [orders\npath: /\n', /request\.yaml: .*flow/i],
    ['caller: a\npath: /\n', /request\.yaml: target: is missing/],
    ['target: b\npath: orders\ntrustDomain: x\n', /path: begins with a slash/],
    ['target: b\npath: /\n', /target: b needs a trustDomain beside it/],
    ['target: spiffe://B/b\npath: /\n', /target: "spiffe:\/\/B\/b" is no SPIFFE id/],
    ['target: b\npath: /\ntrustDomain: x\nheaders: { "a b": c }\n', /headers/],
    ['target: b\npath: /\ntrustDomain: x\nheaders: { a: "b\\nc" }\n', /headers\.a: holds characters/],
    ['target: b\npath: /\ntrustDomain: x\ncookies: c\n', /cookies/],
    ['', /request\.yaml: /],
  ])('that is %j is refused with the member that is wrong', async (text, message) => {
    await expect(ask(text)).rejects.toMatchObject({
      code: 'config_invalid',
      message: expect.stringMatching(message) as string,
    })
  })
})

describe('which policy is asked', () => {
  const request = 'caller: spiffe://bank.example/storefront\ntarget: orders\npath: /orders\n'

  test('a bundle file, one of a folder by its name, and a rule by its path', async () => {
    const file = await ask(request, '--bundle', 'policies/bank/bundle.tar.gz', '--entrypoint', 'writ/authz/result')
    expect(file.out).toBe((await ask(request, '--bundle-name', 'bank')).out)
    expect(file.out).toMatch(/^allow allowed\n/)
  })

  test('what is not there is named with what is', async () => {
    await expect(ask(request, '--bundle-name', 'none')).rejects.toMatchObject({
      code: 'not_found',
      cure: expect.stringContaining('bank') as string,
    })
    await expect(ask(request, '--entrypoint', 'a/b')).rejects.toMatchObject({
      cure: expect.stringContaining('writ/authz/result') as string,
    })
    await expect(ask(request, '--bundle', 'nowhere')).rejects.toMatchObject({ code: 'not_found' })
    await expect(printed(evalCommand(), '-f', 'nowhere')).rejects.toMatchObject({ code: 'not_found' })
  })

  withOpa('Rego that was edited and not built is asked as it was built, with a note', async () => {
    expect((await ask(request)).err).toBe('')
    const folder = await temporary()
    await bankIn(folder, () => [])
    const { out, err } = await ask(request, '--policies', folder)
    expect(out).toMatch(/^allow/)
    expect(err).toContain(`to ask it, run: writ policy build ${join(folder, 'bank')}`)
  })
})

test('claims are those of a token that was found good, and what no token can say is told by its member', async () => {
  const request = (claims: string) =>
    `caller: storefront\ntarget: orders\ntrustDomain: bank.example\npath: /\nclaims: ${claims}\n`
  const { input } = await answered(request('{iss: https://id, sub: ada, aud: shop, realm_access: {roles: [a]}}'))
  expect(input).toMatchObject({
    writ: {
      token: {
        ...{ issuer: 'https://id', subject: 'ada', audiences: ['shop'], provider: 'eval' },
        claims: { realm_access: { roles: ['a'] } },
      },
    },
  })
  expect((await answered(request('{}').replace('claims: {}\n', ''))).input).not.toHaveProperty('writ.token')
  await expect(ask(request('{sub: 7}'))).rejects.toThrow('claims.sub')
  await expect(ask(request('{aud: [7]}'))).rejects.toThrow('claims.aud')
})
