import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { checkVersion, findCompiler, opaVersion } from '../../../engine/node/compiler.ts'

let root: string
let said: string[]
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'writ-compiler-'))
  said = []
})
afterEach(() => rm(root, { recursive: true, force: true }))

async function program(path: string, script = 'exit 0'): Promise<string> {
  const whole = join(root, path)
  await mkdir(join(whole, '..'), { recursive: true })
  await writeFile(whole, `#!/bin/sh\n${script}\n`)
  await chmod(whole, 0o755)
  return whole
}

const find = (env: Record<string, string> = {}) =>
  findCompiler({
    env: { PATH: join(root, 'bin'), XDG_CACHE_HOME: join(root, 'cache'), ...env },
    say: (line) => void said.push(line),
  })

test('WRIT_OPA comes before PATH, PATH before the cache', async () => {
  const cached = await program(`cache/writ/opa-${opaVersion}`)
  expect(await find()).toBe(cached)
  const onPath = await program('bin/opa')
  expect(await find()).toBe(onPath)
  const named = await program('elsewhere/my-opa')
  expect(await find({ WRIT_OPA: named })).toBe(named)
  expect(said).toEqual([])
})

test('a WRIT_OPA that is no program is an error, not passed over', async () => {
  await program('bin/opa')
  await expect(find({ WRIT_OPA: join(root, 'nothing') })).rejects.toMatchObject({ code: 'compiler_missing' })
})

test('without a cache folder of its own it lies in ~/.cache', async () => {
  const cached = await program(`.cache/writ/opa-${opaVersion}`)
  expect(await find({ XDG_CACHE_HOME: '', HOME: root })).toBe(cached)
})

test('with Go alone it is installed into the cache, with a word about it, and found there afterwards', async () => {
  const log = join(root, 'log')
  await program('bin/go', `echo "$@" >> ${log}; printf '#!/bin/sh\\n' > "$GOBIN/opa"; /bin/chmod +x "$GOBIN/opa"`)
  const installed = await find()
  expect(installed).toBe(join(root, `cache/writ/opa-${opaVersion}`))
  expect(said).toHaveLength(1)
  expect(await find()).toBe(installed)
  expect(await readFile(log, 'utf8')).toBe(`install github.com/open-policy-agent/opa@v${opaVersion}\n`)
})

test('a failed installation leaves nothing that looks like a compiler', async () => {
  await program('bin/go', 'exit 1')
  await expect(find()).rejects.toMatchObject({ code: 'compiler_missing' })
  await expect(readFile(join(root, `cache/writ/opa-${opaVersion}`))).rejects.toMatchObject({ code: 'ENOENT' })
})

test('without any of them the error says what to install', async () => {
  await expect(find()).rejects.toMatchObject({
    code: 'compiler_missing',
    cure: expect.stringContaining(`Install opa ${opaVersion}`),
  })
})

test('another version is used, and said', async () => {
  const say = (line: string) => void said.push(line)
  await checkVersion(await program('a/opa', `echo "Version: ${opaVersion}"`), { env: {}, say })
  expect(said).toEqual([])
  await checkVersion(await program('b/opa', 'echo "Version: 1.0.0"'), { env: {}, say })
  expect(said).toEqual([expect.stringContaining('version 1.0.0')])
})
