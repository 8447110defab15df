import fc from 'fast-check'
import { expect, test } from 'vitest'
import { bundleJson, readBundle, refreshHintOf } from '../../ca/bundle.ts'
import { isNews } from '../../ca/node/federation.ts'
import { bank, domain, newAuthority, newSvid } from './world.ts'

const other = domain('other.example')

test('a bundle is a JWK set with one certificate to a root, a name to a token key, a sequence and a hint', async () => {
  const bundle = (await newAuthority()).bundle()
  const json = bundleJson(bundle) as { keys: Record<string, unknown>[]; [name: string]: unknown }
  expect(json).toMatchObject({ spiffe_sequence: 1, spiffe_refresh_hint: 300 })
  const [root, token] = json.keys
  expect(root).toMatchObject({ use: 'x509-svid', kty: 'EC', crv: 'P-256', x5c: [expect.any(String)] })
  expect(root).not.toHaveProperty('kid')
  expect(token).toMatchObject({ use: 'jwt-svid', kty: 'EC', kid: bundle.jwtKeys![0]!.kid })
  expect(json.keys).toHaveLength(2)
})

test('what is read is what was published, under the name that was asked for', async () => {
  const bundle = { ...(await newAuthority()).bundle(), refreshHintS: 60 }
  expect(readBundle(JSON.stringify(bundleJson(bundle)), bank)).toEqual({ bundle })
  const under = readBundle(JSON.stringify(bundleJson(bundle)), other)
  expect('bundle' in under && under.bundle.trustDomain).toBe(other)
})

test('elements that are not understood are passed over, and a bundle may be empty', async () => {
  const json = bundleJson((await newAuthority()).bundle()) as { keys: Record<string, unknown>[] }
  const [root, token] = json.keys
  const count = (keys: unknown[]): readonly number[] => {
    const read = readBundle(JSON.stringify({ keys, spiffe_sequence: 5 }), bank)
    return 'bundle' in read ? [read.bundle.roots.length, read.bundle.jwtKeys?.length ?? 0] : []
  }
  expect(count([root, token])).toEqual([1, 1])
  expect(count([])).toEqual([0, 0])
  expect(
    count([
      { ...root, use: undefined },
      { ...token, use: 'JWT-SVID' },
    ]),
  ).toEqual([0, 0])
  expect(
    count([
      { ...root, kty: undefined },
      { ...token, kid: undefined },
    ]),
  ).toEqual([0, 0])
  expect(count([{ ...root, use: 'wit-svid' }, 1, null, 'x'])).toEqual([0, 0])
  expect(count([{ ...root, x5c: undefined }])).toEqual([0, 0])
  // Of several certificates the first counts, and one that is no CA is none.
  const leaf = Buffer.from(newSvid(await newAuthority()).chain[0]!).toString('base64')
  expect(count([{ ...root, x5c: [...(root!['x5c'] as string[]), leaf] }])).toEqual([1, 0])
  expect(count([{ ...root, x5c: [leaf] }])).toEqual([0, 0])
})

test('a document without keys, with a bad sequence or hint, or that is too long is no bundle', async () => {
  for (const text of [
    ...['', '[]', '{}', '{"keys":{}}', '{"keys":[],"spiffe_sequence":-1}', '{"keys":[],"spiffe_sequence":1.5}'],
    ...['{"keys":[],"spiffe_sequence":9007199254740993}', '{"keys":[],"spiffe_sequence":"1"}'],
    ...[
      '{"keys":[],"spiffe_refresh_hint":-5}',
      `{"keys":[${'1,'.repeat(300)}1]}`,
      `{"keys":[]${' '.repeat(1024 ** 2)}}`,
    ],
  ]) {
    expect(readBundle(text, bank)).toHaveProperty('wrong')
  }
})

test('whatever an endpoint answers is read or refused', async () => {
  fc.assert(fc.property(fc.oneof(fc.string(), fc.json()), (text) => void readBundle(text, bank)))
})

test('a bundle of an earlier sequence is a replay, one of the same content no news', async () => {
  const bundle = { ...(await newAuthority()).bundle(), sequence: 5 }
  expect(isNews(undefined, bundle)).toBe(true)
  expect(isNews(bundle, { ...bundle })).toBe(false)
  expect(isNews(bundle, { ...(await newAuthority()).bundle(), sequence: 4 })).toBe(false)
  expect(isNews(bundle, { ...(await newAuthority()).bundle(), sequence: 6 })).toBe(true)
})

test('whoever polls asks three times while a new root does not sign yet, and every five minutes at least', () => {
  expect([15 * 60_000, 45_000, 3000, 0, 86_400_000].map(refreshHintOf)).toEqual([300, 15, 1, 1, 300])
})
