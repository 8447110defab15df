import fc from 'fast-check'
import { expect, test } from 'vitest'
import { bundleLayer, parseChallenge, parseReference } from '../../engine/oci.ts'

const digest = `sha256:${'a'.repeat(64)}`
const layer = { mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip', digest, size: 7 }
const manifest = (...layers: readonly object[]): string => JSON.stringify({ schemaVersion: 2, layers })

test('a reference is a repository with a tag or a digest; without one it is the latest', () => {
  expect(parseReference('org/bank')).toEqual({ repository: 'org/bank', reference: 'latest' })
  expect(parseReference('org/bank:1.2')).toEqual({ repository: 'org/bank', reference: '1.2' })
  expect(parseReference(`org/bank@${digest}`)).toEqual({ repository: 'org/bank', reference: digest })
  for (const text of ['', 'Org/bank', 'org//bank', '/bank', 'org/bank:', 'org/bank:.1', 'org/../bank', 'a:b:c'])
    expect(parseReference(text), text).toBeUndefined()
  for (const text of [
    `org/bank@${digest}0`,
    'org/bank@sha1:aa',
    `org/bank:1@${digest}`,
    'org/bank?x=1',
    'org/bank:1/2',
  ])
    expect(parseReference(text), text).toBeUndefined()
})

test('whatever is taken for a reference stays below its registry', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.stringMatching(/^[a-z./:@_-]{0,20}$/)), (text) => {
      const found = parseReference(text)
      if (!found) return
      const path = `/v2/${found.repository}/manifests/${found.reference}`
      expect(new URL(path, 'https://registry.example').href).toBe(`https://registry.example${path}`)
    }),
  )
})

test('the one layer of the type that OPA pushes is the bundle', () => {
  expect(bundleLayer(manifest({ mediaType: 'text/plain', digest, size: 1 }, layer))).toEqual({ digest, size: 7 })
  expect(() => bundleLayer(manifest())).toThrow('0 layers')
  expect(() => bundleLayer(manifest(layer, layer))).toThrow('2 layers')
  expect(() => bundleLayer(manifest({ ...layer, digest: 'sha512:00' }))).toThrow('no SHA-256 digest')
  expect(() => bundleLayer(manifest({ ...layer, size: -1 }))).toThrow('no size')
  expect(() => bundleLayer('{"manifests":[]}')).toThrow('index of images')
  for (const text of ['', '[]', '{"layers":{}}', '{"layers":[null,1]}'])
    expect(() => bundleLayer(text)).toThrow('manifest')
})

test('a challenge names whom to ask for a token', () => {
  const field = 'Bearer realm="https://auth.example/token",service="registry.example",scope="repository:org/bank:pull"'
  expect(parseChallenge(field)).toEqual({
    scheme: 'bearer',
    realm: 'https://auth.example/token',
    service: 'registry.example',
    scope: 'repository:org/bank:pull',
  })
  expect(parseChallenge('Basic realm="registry"')).toEqual({ scheme: 'basic' })
  for (const other of ['', 'Bearer', 'Bearer scope="a"', 'Negotiate', 'Digest realm="a"']) {
    expect(parseChallenge(other), other).toBeUndefined()
  }
})
