import { readFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { expect, test } from 'vitest'
import { buildPolicy, policyFoldersIn } from '../../engine/node/build.ts'
import { loadBundle } from '../../engine/node/open.ts'
import { testPolicy } from '../engine/tested.ts'

const folders = await policyFoldersIn('policies')

test('there is at least one policy', () => {
  expect(folders.map((folder) => basename(folder))).toContain('bank')
})

test.each(folders)('the committed bundle of %s is what its sources give, byte for byte', async (folder) => {
  const committed = new Uint8Array(await readFile(join(folder, 'bundle.tar.gz')))
  const built = await buildPolicy(folder)
  expect(Buffer.compare(built, committed), 'run `writ policy build` and commit what it writes').toBe(0)
})

test.each(folders)('the Rego tests of %s pass, and there are some', async (folder) => {
  const { code, report } = await testPolicy(folder)
  expect([code, report]).toEqual([0, expect.stringContaining('"name"')])
})

test.each(folders)('the committed bundle of %s can be loaded', async (folder) => {
  const bytes = new Uint8Array(await readFile(join(folder, 'bundle.tar.gz')))
  expect((await loadBundle(bytes, basename(folder), { now: () => 0n })).entrypoints.length).toBeGreaterThan(0)
})
