import fc from 'fast-check'
import { expect, test } from 'vitest'
import { covers, meet } from '../../../control/mesh/hostnames.ts'
import { passedOn, sitesOf } from '../../../proxy/flow/gateway.ts'
import type { FindService } from '../../../proxy/flow/route.ts'
import { patternsOf, underHost } from '../../../proxy/flow/wildcard.ts'

const label = fc.constantFrom('a', 'b', 'shop', 'example')
const host = fc.array(label, { minLength: 1, maxLength: 4 }).map((labels) => labels.join('.'))
const pattern = fc.tuple(fc.boolean(), host).map(([wild, name]) => (wild ? `*.${name}` : name))
const holds = (one: string, name: string): boolean => [...patternsOf(name)].includes(one)

test('a wildcard holds what is below it, not the name itself', () => {
  expect([...patternsOf('x.a.b.c')]).toEqual(['x.a.b.c', '*.a.b.c', '*.b.c', '*.c'])
  expect(holds('*.b.c', 'b.c')).toBe(false)
  expect(
    underHost(
      new Map([
        ['*.c', 1],
        ['*.b.c', 2],
        ['b.c', 3],
      ]),
      'a.b.c',
    ),
  ).toBe(2)
  expect(underHost(new Map([['*.c', 1]]), 'c')).toBeUndefined()
})

test('two patterns meet in exactly the hosts that both hold, and the narrower one covers no other', () => {
  fc.assert(
    fc.property(pattern, pattern, host, (one, other, name) => {
      const both = meet(one, other)
      expect(both !== undefined && holds(both, name)).toBe(holds(one, name) && holds(other, name))
      expect(meet(other, one)).toBe(both)
      if (covers(one, other)) expect(both).toBe(other)
    }),
    { numRuns: 2000 },
  )
})

test('TLS that ends at the gateway is not passed on by a wildcard over its name', () => {
  const to = { route: 'vault', backends: [{ service: 'vault', weight: 1 }] }
  const sites = [
    { host: '*.shop.example', serves: 'tls', ...to },
    { host: 'pay.shop.example', serves: 'https', certificates: ['pay'] },
  ] as const
  const endpoint = { address: '::1', port: 1, identity: undefined }
  const ofService: FindService = (service) => () => ({ route: service, service, endpoint, timeoutMs: 0 })
  const find = passedOn({ sites } as never, ofService, sitesOf({ sites }), () => 0)!
  expect(find('a.shop.example')!()).toMatchObject({ service: 'vault' })
  expect(find('pay.shop.example')).toBeUndefined()
  expect(find('shop.example')).toBeUndefined()
})
