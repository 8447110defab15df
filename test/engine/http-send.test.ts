import { createServer, type IncomingHttpHeaders, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import fc from 'fast-check'
import { afterAll, beforeAll, beforeEach, describe, expect, test as plain } from 'vitest'
import type { Decision } from '../../core/decision.ts'
import type { Json } from '../../core/json.ts'
import type { HttpAllowance } from '../../core/policy.ts'
import { makeDecide } from '../../engine/decide.ts'
import { allowedUrl, askingHost, fetchTransport, type HttpTransport } from '../../engine/http-send.ts'
import { mayBeAsked, openHttpTransport } from '../../engine/node/http-transport.ts'
import type { Policy } from '../../engine/policy.ts'
import { factsOf } from '../audit/replay/traffic.ts'
import { needs } from '../parts/needs.ts'
import { openRego } from './compiled.ts'

/** A policy that asks another server, over a real one on loopback. */

const test = needs('opa')
const rego = `package t
base := sprintf("http://127.0.0.1:%s", [input.attributes.request.http.headers.port])
ask(path) := http.send({"method": "get", "url": sprintf("%s%s", [base, path]), "raise_error": false})
yes if ask("/good/yes").body.allow == true
twice if {
	ask("/good/yes").body.allow
	ask("/good/yes").body.allow
	ask("/good/next").status_code == 200
}
seen := {"allowed": true, "headers": {"x-seen": json.marshal(object.remove(ask("/good/yes"), ["headers"]))}}
error := {"allowed": true, "headers": {"x-seen": ask("/good/slow").error.code}}
raised if http.send({"method": "GET", "url": sprintf("%s/good/slow", [base])})
not_raised if not http.send({"method": "GET", "url": sprintf("%s/good/slow", [base])})
posted if http.send({"method": "post", "url": sprintf("%s/good/echo", [base]), "body": {"n": 1}, "headers": {"X-A": "b"}}).body == {"method": "POST", "body": "{\\"n\\":1}", "a": "b"}
redirected := {"allowed": true, "headers": {"x-seen": sprintf("%d", [ask("/good/away").status_code])}}
following if http.send({"method": "get", "url": sprintf("%s/good/away", [base]), "enable_redirect": true})
untrusting if http.send({"method": "get", "url": sprintf("%s/good/yes", [base]), "tls_insecure_skip_verify": true})
hosted if http.send({"method": "get", "url": sprintf("%s/good/yes", [base]), "headers": {"Host": "other"}})
bad if not ask("/bad")
chain if { some i in numbers.range(1, 20); ask(sprintf("/good/next?%d", [i])).status_code == 404 }
long := {"allowed": true, "headers": {"x-seen": ask("/good/long").error.message}}
token if http.send({"method": "GET", "url": sprintf("%s/good/yes", [base]), "headers": {"Authorization": "Bearer secret", "Accept": "a/b"}}).body.allow
tokens if {
	token
	http.send({"method": "GET", "url": sprintf("%s/good/yes", [base]), "headers": {"Authorization": "Bearer other", "Accept": "a/b"}}).body.allow
}
dice := rand.intn("six", 6) >= 0
`
const rules = [...rego.matchAll(/^(\w+)(?: if| :=)/gm)].map(([, name]) => name!).filter((name) => name !== 'base')

let asked: { readonly path: string; readonly headers: IncomingHttpHeaders }[] = []
const answers: Readonly<Record<string, RequestListener>> = {
  '/good/yes': (_, to) => to.writeHead(200, { 'content-type': 'application/json' }).end('{"allow":true}'),
  '/good/away': (_, to) => to.writeHead(302, { location: '/good/yes' }).end(),
  '/good/slow': () => undefined,
  '/good/long': (_, to) => to.end('x'.repeat(5000)),
  '/good/next': (_, to) => to.end('next'),
  '/good/echo': (from, to) => {
    let body = ''
    from.setEncoding('utf8').on('data', (text: string) => {
      body += text
    })
    from.on('end', () =>
      to
        .writeHead(200, { 'content-type': 'application/json; charset=utf-8' })
        .end(JSON.stringify({ method: from.method, body, a: from.headers['x-a'] })),
    )
  },
}
let server: Server
let port: number
let policy: Policy
beforeAll(async () => {
  server = createServer((from, to) => {
    asked.push({ path: from.url ?? '', headers: from.headers })
    const answer = answers[from.url ?? '']
    if (answer) answer(from, to)
    else to.writeHead(404).end()
  })
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening))
  port = (server.address() as AddressInfo).port
  policy = await openRego(
    rego,
    rules.map((rule) => `t/${rule}`),
    { host: askingHost },
  )
}, 30_000)
afterAll(() => {
  server.close()
  server.closeAllConnections()
})
beforeEach(() => {
  asked = []
})

const allowance = (change: Partial<HttpAllowance> = {}): HttpAllowance => ({
  ...{ allow: [`http://127.0.0.1:${port}/good`], timeoutMs: 300, maxBytes: 4096, privateAddresses: false },
  ...change,
})
const facts = () =>
  factsOf({ caller: 'web', method: 'GET', path: '/', target: 'api', headers: { port: String(port) } }, 1000)
const use = (rule: string, http: HttpAllowance | undefined) => ({
  ...{ bundle: 'test', entrypoint: `t/${rule}`, recordHeaders: [], recordQuery: false },
  ...(http && { http }),
})
const decide = async (
  rule: string,
  http: HttpAllowance | 'none' = allowance(),
  transport: HttpTransport = openHttpTransport(),
): Promise<Decision> =>
  makeDecide({ get: () => policy }, { http: transport })(facts(), use(rule, http === 'none' ? undefined : http))
const codeOf = async (...given: Parameters<typeof decide>) => (await decide(...given)).code
const seenBy = async (...given: Parameters<typeof decide>): Promise<string | undefined> => {
  const decision = await decide(...given)
  return decision.verdict === 'allow'
    ? decision.effects?.setOnRequest?.['x-seen']
    : `${decision.code} ${decision.reasons}`
}
const worldOf = (decision: Decision) => (decision.from.by === 'policy' ? decision.from.world : undefined)

describe('a policy that asks another server', () => {
  test('decides by the answer, which is asked once in a decision and once more in the next', async () => {
    expect(await codeOf('yes')).toBe('allowed')
    expect(asked.map(({ path }) => path)).toEqual(['/good/yes'])
    expect(await codeOf('twice')).toBe('allowed')
    expect(asked.map(({ path }) => path)).toEqual(['/good/yes', '/good/yes', '/good/next'])
  })

  test('sees what OPA gives of a response, by either transport', async () => {
    const seen = {
      ...{ body: { allow: true }, raw_body: '{"allow":true}' },
      ...{ status: '200 OK', status_code: 200 },
    }
    expect(JSON.parse((await seenBy('seen')) ?? '')).toEqual(seen)
    expect(JSON.parse((await seenBy('seen', allowance(), fetchTransport)) ?? '')).toEqual(seen)
    expect(await codeOf('posted')).toBe('allowed')
    expect(await codeOf('posted', allowance(), fetchTransport)).toBe('allowed')
  })

  test('has an error, or no answer, from one that does not answer in time', async () => {
    expect(await seenBy('error')).toBe('eval_http_send_network_error')
    expect(await seenBy('error', allowance(), fetchTransport)).toBe('eval_http_send_network_error')
    expect(await codeOf('raised')).toBe('policy_undefined')
    expect(await codeOf('not_raised')).toBe('allowed')
    expect(await seenBy('long')).toBe('its answer is longer than 4096 bytes')
    expect(await seenBy('long', allowance(), fetchTransport)).toBe('its answer is longer than 4096 bytes')
  })

  test('is not followed where a server sends it elsewhere, and may not ask for that', async () => {
    expect(await seenBy('redirected')).toBe('302')
    expect(asked.map(({ path }) => path)).toEqual(['/good/away'])
    const { code, reasons } = await decide('following')
    expect([code, ...reasons]).toEqual(['policy_error', 'http.send: enable_redirect true is not to be had here'])
    expect(await codeOf('untrusting')).toBe('policy_error')
    expect(await codeOf('hosted')).toBe('policy_error')
    expect(asked).toHaveLength(1)
  })

  test('is a fault where it asks what its binding does not allow, also where the rule would have taken no answer for a yes', async () => {
    const { code, reasons } = await decide('bad')
    expect([code, ...reasons]).toEqual([
      'policy_error',
      `http.send: http://127.0.0.1:${port}/bad is not what the binding allows (spec.http.allow)`,
    ])
    expect(await codeOf('yes', allowance({ allow: [`http://127.0.0.1:${port}/goo`] }))).toBe('policy_error')
    expect(await codeOf('yes', allowance({ allow: [`http://127.0.0.1:${port + 1}/good`] }))).toBe('policy_error')
    const none = await decide('yes', 'none')
    expect([none.code, ...none.reasons]).toEqual([
      'policy_error',
      expect.stringContaining('the binding does not allow it'),
    ])
    expect(asked).toEqual([])
  })

  test('may ask eight times in one decision, and not more', async () => {
    const { code, reasons } = await decide('chain')
    expect([code, ...reasons]).toEqual(['policy_limit', 'http.send: more than 8 requests'])
    expect(asked).toHaveLength(8)
  })

  test('is refused at load where no binding allows it', async () => {
    await expect(openRego(rego, ['t/yes'])).rejects.toMatchObject({
      code: 'policy_invalid',
      message: expect.stringContaining('not available: http.send'),
    })
  })

  test('leaves its answers in the decision, by which it decides the same without the server', async () => {
    const first = await decide('yes')
    const world = worldOf(first) as Readonly<Record<string, Readonly<Record<string, Json>>>>
    const request = `[{"method":"get","raise_error":false,"url":"http://127.0.0.1:${port}/good/yes"}]`
    expect(world).toMatchObject({ 'http.send': { [request]: { status_code: 200, body: { allow: true } } } })
    const again = makeDecide({ get: () => policy })(facts(), use('yes', undefined), (name, args) => world[name]?.[args])
    expect(again).toEqual(first)
    expect(asked).toHaveLength(1)
    const missing = makeDecide({ get: () => policy })(facts(), use('yes', undefined), () => undefined) as Decision
    expect(missing.code).toBe('policy_error')
  })

  test('leaves no token in the decision, and is answered from it all the same', async () => {
    const decision = await decide('tokens')
    expect(asked.map(({ headers }) => headers.authorization)).toEqual(['Bearer secret', 'Bearer other'])
    const world = worldOf(decision) as Readonly<Record<string, Readonly<Record<string, Json>>>>
    const [first, second] = Object.keys(world['http.send']!)
    expect(first).toMatch(/^\[\{"headers":\{"Accept":"a\/b","Authorization":"sha256:[0-9a-f]{16}"\},"method"/)
    expect(second).toMatch(/"sha256:[0-9a-f]{16}"/)
    expect(JSON.stringify(world)).not.toMatch(/secret|other/)
    const again = makeDecide({ get: () => policy })(
      facts(),
      use('tokens', undefined),
      (name, args) => world[name]?.[args],
    )
    expect(again).toEqual(decision)
  })

  test('leaves what was drawn at random too, and null where there was no answer', async () => {
    const drawn = worldOf(await decide('dice', 'none'))
    expect(drawn).toEqual({ 'rand.intn': { '["six",6]': expect.any(Number) } })
    expect(worldOf(await decide('raised'))).toEqual({ 'http.send': { [slow()]: null } })
  })
})

const slow = () => `[{"method":"GET","url":"http://127.0.0.1:${port}/good/slow"}]`

describe('what is allowed', () => {
  const allow = ['https://authz.example/v1', 'https://whole.example']
  const allowed = (url: string): boolean => {
    try {
      allowedUrl(url, allow)
      return true
    } catch {
      return false
    }
  }

  plain('is the same scheme, host and port, and whole steps of the path', () => {
    const good = [
      'https://authz.example/v1',
      'https://authz.example/v1/a?b=c',
      'https://AUTHZ.example:443/v1/',
      'https://whole.example',
    ]
    expect(good.filter((url) => !allowed(url))).toEqual([])
    const bad = [
      ...['http://authz.example/v1', 'https://authz.example.evil/v1', 'https://authz.example:444/v1'],
      ...['https://authz.example@evil.example/v1', 'https://user@authz.example/v1', 'https://a:b@authz.example/v1'],
      ...['https://authz.example/v10', 'https://authz.example/v1/../admin', 'https://authz.example/v1/%2e%2e/admin'],
      ...[
        'https://authz.example/v1/..%2fadmin',
        'https://authz.example/v1/..%5cadmin',
        'https://authz.example/v1\\..\\admin',
      ],
      ...[
        'https://authz.example',
        'https://evil.example/https://authz.example/v1',
        'file:///v1',
        '//authz.example/v1',
        '',
      ],
    ]
    expect(bad.filter(allowed)).toEqual([])
  })

  plain('holds for what is sent, whatever was written', () => {
    const piece = fc.constantFrom(
      '/',
      '..',
      '.',
      '%2e',
      '%2F',
      '\\',
      '@',
      ':',
      '#',
      '?',
      'v1',
      'admin',
      ' ',
      '\t',
      'evil.example',
    )
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 8 }), (pieces) => {
        const text = `https://authz.example/v1${pieces.join('')}`
        if (!allowed(text)) return
        const { origin, pathname, username } = allowedUrl(text, allow)
        expect([origin, username]).toEqual(['https://authz.example', ''])
        expect(pathname).toMatch(/^\/v1(?:\/|$)/)
        expect(pathname.split('/')).not.toContain('..')
      }),
    )
  })
})

describe('an address behind a name', () => {
  plain('is never this machine or its link, and of a private network only where that is allowed', () => {
    for (const address of [
      '127.0.0.1',
      '127.9.9.9',
      '0.0.0.0',
      '169.254.169.254',
      '::1',
      '::',
      'fe80::1',
      '::ffff:127.0.0.1',
      '224.0.0.1',
      '64:ff9b::7f00:1',
      'nothing',
    ]) {
      expect([address, mayBeAsked(address, true)]).toEqual([address, false])
    }
    for (const address of ['10.1.2.3', '172.31.0.1', '192.168.1.1', '100.64.0.1', 'fd00::1', '::ffff:10.0.0.1']) {
      expect([address, mayBeAsked(address, false), mayBeAsked(address, true)]).toEqual([address, false, true])
    }
    for (const address of ['93.184.216.34', '172.32.0.1', '2606:4700::1111', '::ffff:93.184.216.34']) {
      expect([address, mayBeAsked(address, false)]).toEqual([address, true])
    }
  })

  plain('is looked up by the connection itself: one bad address among good ones, and nobody is asked', async () => {
    const send = (...addresses: readonly string[]) =>
      openHttpTransport((_, __, answer) =>
        answer(
          null,
          addresses.map((address) => ({ address, family: 4 })),
        ),
      )({
        ...{ method: 'GET', url: new URL(`http://authz.example:${port}/good/yes`), headers: {}, body: undefined },
        ...{ maxBytes: 100, privateAddresses: true, signal: AbortSignal.timeout(5000) },
      })
    await expect(send('127.0.0.1')).rejects.toMatchObject({
      code: 'forbidden',
      message: 'authz.example stands for 127.0.0.1, which is of this machine or of a private network',
    })
    await expect(send('93.184.216.34', '169.254.169.254')).rejects.toMatchObject({ code: 'forbidden' })
    expect(asked).toEqual([])
  })
})
