import fc from 'fast-check'
import { expect, test } from 'vitest'
import { readTrustNews, trustNewsJson } from '../../ca/wire.ts'
import type { Json } from '../../core/json.ts'
import { newAuthority } from './world.ts'

const json = (value: Json): Json => JSON.parse(JSON.stringify(value)) as Json

test('bundles and distrusted issuers come back as they were sent; a control plane of before names none', async () => {
  const bundles = [(await newAuthority()).bundle()]
  for (const distrusted of [[], ['0a'], ['0a', 'ff'.repeat(16)]]) {
    expect(readTrustNews(json(trustNewsJson({ bundles, distrusted })))).toEqual({ bundles, distrusted })
  }
  const whole = json(trustNewsJson({ bundles, distrusted: ['0a'] })) as { readonly [name: string]: Json }
  for (const distrusted of ['0a', ['0A'], [''], [1], Array(65).fill('0a'), [`${'0'.repeat(65)}`], { length: 1 }]) {
    expect(readTrustNews({ ...whole, distrusted })).toBeUndefined()
  }
})

test('whatever JSON comes: it is read whole or not at all, and nothing throws', async () => {
  const bundles = [(await newAuthority()).bundle()]
  const good = trustNewsJson({ bundles, distrusted: [] }) as { readonly trust: Json }
  fc.assert(
    fc.property(fc.jsonValue(), fc.boolean(), (value, beside) => {
      const news = readTrustNews(beside ? { ...good, distrusted: value } : value)
      if (news) expect(news.distrusted.every((serial) => /^[0-9a-f]+$/.test(serial))).toBe(true)
    }),
    { numRuns: 300 },
  )
})
