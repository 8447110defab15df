import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { findings } from './run.ts'

/** The check behind tsconfig.portable.json, tried on files of its own: it has to be able to say no. */

const folder = mkdtempSync(join(tmpdir(), 'writ-portable-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

function project(name: string, text: string): string {
  const config = join(folder, `${name}.json`)
  writeFileSync(join(folder, `${name}.ts`), text)
  writeFileSync(
    config,
    JSON.stringify({
      extends: resolve('tsconfig.portable.json'),
      compilerOptions: { rootDir: folder },
      include: [`${name}.ts`],
      exclude: [],
    }),
  )
  return config
}

const check = (name: string, text: string): Promise<string> => findings('tsc', ['-p', project(name, text)])

test('a file that uses what every runtime has passes, one that uses Node does not', async () => {
  const [anywhere, builtin, global, buffer] = await Promise.all([
    check(
      'anywhere',
      `export const digest = (b: Uint8Array<ArrayBuffer>) : Promise<ArrayBuffer> => crypto.subtle.digest('SHA-256', b)`,
    ),
    check('builtin', `import { readFileSync } from 'node:fs'\nexport const a: unknown = readFileSync`),
    check('global', `export const a: unknown = process.env`),
    check('buffer', `export const a: unknown = Buffer.from('a')`),
  ])
  expect(anywhere).toBe('')
  expect(builtin).toContain("'node:fs'")
  expect(global).toContain("'process'")
  expect(buffer).toContain("'Buffer'")
}, 60_000)

test('no import brings the types of Node into the portable program, which would turn the check off', () => {
  const files = execFileSync('node_modules/.bin/tsc', ['-p', 'tsconfig.portable.json', '--listFilesOnly'], {
    encoding: 'utf8',
    maxBuffer: 64 * 1024 ** 2,
  })
  expect(files).toContain('/core/bytes.ts')
  expect(files.split('\n').filter((file) => file.includes('/@types/node/'))).toEqual([])
}, 60_000)
