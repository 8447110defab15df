import { readFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { trustJson } from '../../../ca/wire.ts'
import { WritError } from '../../../core/fault.ts'
import type { SpiffeId } from '../../../core/spiffe.ts'
import { readBundle } from '../../../engine/bundle.ts'
import { prepareModule } from '../../../engine/module.ts'
import { type EdgeOptions, openEdge } from '../../../proxy/edge/open.ts'
import type { EdgeProvider } from '../../../proxy/edge/tokens.ts'
import { signing, standing } from '../../ca/token/issuer.ts'
import { bank, domain, newAuthority } from '../../ca/world.ts'

const orders = 'spiffe://bank.example/orders'

async function options(change: Partial<EdgeOptions> = {}): Promise<EdgeOptions> {
  const { ref, data, wasm } = await readBundle(await readFile('policies/bank/bundle.tar.gz'), 'bank')
  const module = await WebAssembly.compile(prepareModule(wasm) as Uint8Array<ArrayBuffer>)
  const send = async (): Promise<Response> => Response.json({ ids: [{ epoch: 'ab'.repeat(12), seq: 1 }] })
  return {
    workload: orders,
    policy: { module, data, ref },
    entrypoint: 'writ/authz/result',
    trust: [trustJson((await newAuthority()).bundle())],
    collector: { url: 'https://collector.example', token: 't', gatherMs: 1, fetch: send as typeof fetch },
    ...change,
  }
}

const codeOf = async (change: Partial<EdgeOptions>): Promise<string> => {
  const whole = await options(change)
  try {
    openEdge(() => new Response(), whole)
    return 'ok'
  } catch (thrown) {
    return thrown instanceof WritError && thrown.cure ? thrown.code : String(thrown)
  }
}

test('a function that is set up wrongly does not start', async () => {
  expect(await codeOf({})).toBe('ok')
  expect(await codeOf({ workload: 'orders' })).toBe('config_invalid')
  expect(await codeOf({ workload: 'spiffe://bank.example' })).toBe('config_invalid')
  expect(await codeOf({ trust: [{}] })).toBe('config_invalid')
  const { jwtKeys: _, ...withoutKeys } = (await newAuthority()).bundle()
  expect(await codeOf({ trust: [trustJson(withoutKeys)] })).toBe('config_invalid')
  expect(await codeOf({ collector: { url: 'http://collector.example', token: 't' } })).toBe('config_invalid')
})

test('a provider of tokens that is set up wrongly does not start either', async () => {
  const { jwk } = await signing()
  const jwks = { keys: [jwk] }
  const from = [{ kind: 'header', name: 'x-token', prefix: '' }] as const
  const good: EdgeProvider = { name: 'staff', issuer: 'https://id.example', audiences: ['shop'], from, jwks }
  const { jwks: _, ...keyless } = good
  const bearer = [{ kind: 'header', name: 'authorization', prefix: 'Bearer ' }] as const
  const wrong: readonly EdgeProvider[] = [
    keyless,
    { ...good, jwksUrl: 'https://id.example/jwks' },
    { ...keyless, jwksUrl: 'http://id.example/jwks' },
    { ...good, jwks: { keys: [{ ...jwk, d: 'AA' }] } },
    { ...good, from: bearer },
    { ...good, from: [] },
    { ...good, from: [{ ...from[0], name: 'X-Token' }] },
    { ...good, audiences: [] },
    { ...good, algorithms: ['HS256'] },
  ]
  const of = (provider: EdgeProvider) => codeOf({ tokens: { providers: [provider] } })
  expect(await of(good)).toBe('ok')
  expect(await of({ ...keyless, jwksUrl: 'https://id.example/jwks' })).toBe('ok')
  for (const provider of wrong) expect(await of(provider)).toBe('config_invalid')
})

test('a token beside the caller’s own is judged, and goes to the handler only where that is said', async () => {
  const nowMs = (): number => Date.now()
  const ours = await newAuthority(bank, nowMs)
  const issuer = await signing()
  const kept: { input: object; code: string }[] = []
  const send = async (_: unknown, { body }: { body: string }): Promise<Response> => {
    kept.push(...((JSON.parse(body) as { records?: typeof kept }).records ?? []))
    return Response.json({ ids: [{ epoch: 'ab'.repeat(12), seq: kept.length }] })
  }
  const provider: EdgeProvider = {
    ...{ name: 'staff', issuer: standing.iss, audiences: ['shop'], jwks: { keys: [issuer.jwk] } },
    from: [{ kind: 'header', name: 'x-token', prefix: '' }],
  }
  const guarded = openEdge(
    (request) => new Response(request.headers.get('x-token') ?? 'none'),
    await options({
      trust: [trustJson(ours.bundle())],
      tokens: { providers: [provider], forward: false },
      record: { recordClaims: [['sub']] },
      collector: { url: 'https://collector.example', token: 't', gatherMs: 1, fetch: send as never },
    }),
  )
  const { token: own } = await ours.mintJwt({ id: 'spiffe://bank.example/storefront' as SpiffeId, audience: orders })
  const call = async (headers: Record<string, string>): Promise<string> => {
    const request = new Request('https://orders.example/healthz', {
      headers: { authorization: `Bearer ${own}`, ...headers },
    })
    const response = await guarded(request)
    return response.ok ? response.text() : String(response.status)
  }
  const exp = Math.floor(Date.now() / 1000) + 300
  const token = await issuer.sign({ iss: standing.iss, aud: 'shop', sub: 'ada', exp })
  expect(await call({})).toBe('none')
  expect(await call({ 'x-token': token })).toBe('none')
  expect(await call({ 'x-token': `${token}x` })).toBe('401')
  expect(kept.map(({ code }) => code)).toEqual(['allowed', 'allowed', 'token_invalid'])
  expect(kept[1]!.input).toMatchObject({ writ: { token: { claims: { sub: 'ada' }, provider: 'staff' } } })
})

test('a shadow is of a bundle of another name', async () => {
  const { policy } = await options()
  const next = { ...policy, ref: { ...policy.ref, bundle: 'next' } }
  expect(await codeOf({ shadow: { policy: next } })).toBe('ok')
  expect(await codeOf({ shadow: { policy } })).toBe('config_invalid')
})

test('callers of each trusted domain are known by the keys of their own domain, and the policy judges them', async () => {
  const nowMs = (): number => Date.now()
  const ours = await newAuthority(bank, nowMs)
  const theirs = await newAuthority(domain('other.example'), nowMs)
  const guarded = openEdge(
    () => new Response('served'),
    await options({ trust: [trustJson(ours.bundle()), trustJson(theirs.bundle())] }),
  )
  const call = async (token: string, path = '/healthz'): Promise<number> =>
    (await guarded(new Request(`https://orders.example${path}`, { headers: { authorization: `Bearer ${token}` } })))
      .status
  const tokenOf = async (authority: typeof ours, id: string, audience = orders): Promise<string> =>
    (await authority.mintJwt({ id: id as SpiffeId, audience })).token

  const storefront = await tokenOf(ours, 'spiffe://bank.example/storefront')
  expect(await call(storefront)).toBe(200)
  expect(await call(storefront, '/secrets')).toBe(403)
  expect(await call(await tokenOf(theirs, 'spiffe://other.example/storefront'))).toBe(403)
  expect(await call(await tokenOf(ours, 'spiffe://bank.example/storefront', 'spiffe://bank.example/ledger'))).toBe(401)
  expect(await call(await tokenOf(await newAuthority(bank, nowMs), 'spiffe://bank.example/storefront'))).toBe(401)
})
