import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, expect, test } from 'vitest'
import { manifestFile, readManifest } from '../../../audit/node/backup.ts'
import { WritError } from '../../../core/fault.ts'
import { sha256 } from '../verify/producer.ts'

const dir = await mkdtemp(join(tmpdir(), 'writ-manifest-'))
afterAll(() => rm(dir, { recursive: true }))

async function codeOf(text: string): Promise<string> {
  await writeFile(join(dir, manifestFile), text)
  try {
    await readManifest(dir, sha256)
    return 'read'
  } catch (thrown) {
    if (!(thrown instanceof WritError)) throw thrown
    return thrown.code
  }
}

test('whatever stands in the manifest of a backup, it is read or refused with a code', async () => {
  const files = fc.oneof(fc.dictionary(fc.string({ maxLength: 5 }), fc.string({ maxLength: 5 })), fc.jsonValue())
  const shard = fc.oneof(fc.record({ shard: fc.oneof(fc.nat(3), fc.jsonValue()), files }), fc.jsonValue())
  const manifest = fc.record({
    v: fc.oneof({ weight: 9, arbitrary: fc.constant(1) }, { weight: 1, arbitrary: fc.jsonValue() }),
    verifierKey: fc.oneof(fc.constant('key'), fc.jsonValue()),
    shards: fc.oneof({ weight: 9, arbitrary: fc.array(shard, { maxLength: 2 }) }, { weight: 1, arbitrary: files }),
  })
  await fc.assert(
    fc.asyncProperty(manifest, async (value) => {
      expect(['read', 'version', 'log_invalid']).toContain(await codeOf(JSON.stringify(value)))
    }),
    { numRuns: 200, examples: [[{ v: 1, verifierKey: 'key', shards: [null] }]] },
  )
  for (const text of ['', 'null', '[]', '{"v"']) expect(await codeOf(text)).toBe('not_found')
})

test('a file that is named above the folder, or is not there, is none of a backup', async () => {
  await writeFile(join(dir, 'outside'), '')
  const naming = (path: string) =>
    JSON.stringify({ v: 1, verifierKey: 'key', shards: [{ shard: 0, files: { [path]: digest } }] })
  const digest = Buffer.from(sha256(new Uint8Array())).toString('hex')
  expect(await codeOf(naming('../../outside'))).toBe('log_invalid')
  expect(await codeOf(naming('nothing'))).toBe('log_invalid')
  expect(await codeOf(JSON.stringify({ v: 1, verifierKey: 'key', shards: [{ shard: 0, files: {} }] }))).toBe('read')
})
