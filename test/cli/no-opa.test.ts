import { cp, mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, expect } from 'vitest'
import { opaVersion } from '../../engine/node/compiler.ts'
import { needs, pathOf } from '../parts/needs.ts'
import { start, temporaryForAll } from './writ.ts'

const test = needs('opaWasm')

/** A machine with neither opa nor Go, where the module lies in the user's cache. */
const folder = temporaryForAll()
const env: NodeJS.ProcessEnv = { PATH: folder, HOME: folder, XDG_CACHE_HOME: join(folder, 'cache'), NO_COLOR: '1' }
const bank = join(folder, 'bank')

beforeAll(async () => {
  await cp('policies/bank', bank, { recursive: true })
  await mkdir(join(folder, 'cache/writ'), { recursive: true })
  await cp(pathOf('opaWasm'), join(folder, `cache/writ/opa-${opaVersion}.wasm.br`))
  await start(['policy', 'build', bank], { env }).ended // Unpacks it.
})

test('a policy is built where there is neither opa nor Go, to the bytes that are committed', async () => {
  const built = await start(['policy', 'build', bank, '--check'], { env }).ended
  expect(built).toMatchObject({ code: 0, err: '' })
  expect(built.out).toMatch(/^bank {2}revision [0-9a-f]{16} {2}\d+ bytes {2}unchanged\n$/)
  expect(await readFile(join(bank, 'bundle.tar.gz'))).toEqual(await readFile('policies/bank/bundle.tar.gz'))
})

test('and its tests run there', async () => {
  const ran = await start(['policy', 'test', bank], { env }).ended
  expect(ran).toEqual({ code: 0, out: 'PASS: 15/15\n', err: '' })
})

test('with the module hidden too, it says what would help', async () => {
  const { code, err } = await start(['policy', 'test', bank], { env: { ...env, WRIT_OPA: 'none' } }).ended
  expect(code).not.toBe(0)
  expect(err).toContain('no Rego compiler')
})
