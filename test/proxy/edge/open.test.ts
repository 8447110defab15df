import { readFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { trustJson } from '../../../ca/wire.ts'
import { WritError } from '../../../core/fault.ts'
import type { SpiffeId } from '../../../core/spiffe.ts'
import { readBundle } from '../../../engine/bundle.ts'
import { prepareModule } from '../../../engine/module.ts'
import { type EdgeOptions, openEdge } from '../../../proxy/edge/open.ts'
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
    trust: [trustJson(newAuthority().bundle())],
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
  const { jwtKeys: _, ...withoutKeys } = newAuthority().bundle()
  expect(await codeOf({ trust: [trustJson(withoutKeys)] })).toBe('config_invalid')
  expect(await codeOf({ collector: { url: 'http://collector.example', token: 't' } })).toBe('config_invalid')
})

test('a shadow is of a bundle of another name', async () => {
  const { policy } = await options()
  const next = { ...policy, ref: { ...policy.ref, bundle: 'next' } }
  expect(await codeOf({ shadow: { policy: next } })).toBe('ok')
  expect(await codeOf({ shadow: { policy } })).toBe('config_invalid')
})

test('callers of each trusted domain are known by the keys of their own domain, and the policy judges them', async () => {
  const nowMs = (): number => Date.now()
  const ours = newAuthority(bank, nowMs)
  const theirs = newAuthority(domain('other.example'), nowMs)
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
  expect(await call(await tokenOf(newAuthority(bank, nowMs), 'spiffe://bank.example/storefront'))).toBe(401)
})
