import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join, resolve } from 'node:path'
import { afterAll, expect } from 'vitest'
import { validateDockerfile } from '../parts/dockerfile.ts'
import { needs } from '../parts/needs.ts'

const test = needs('dockerfile')

const text = readFileSync('deploy/Dockerfile', 'utf8')

/** Sources and target of each copy, by stage: from the checkout, or from the stage before. */
const [building, final] = text.split(/^FROM /m).slice(1)
const copiesIn = (stage: string) =>
  [...stage.matchAll(/^COPY (--from=build )?(.+) (\S+)$/gm)].map(([, from, sources, to]) => ({
    ...{ from: from !== undefined, to: to! },
    sources: sources!.split(' ').map((one) => one.replace(/^\/writ\//, '')),
  }))

const folder = mkdtempSync(join(tmpdir(), 'writ-image-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

test('the Dockerfile has no fault, and a faulty one is told from it', async () => {
  expect(await validateDockerfile(text)).toEqual([])
  expect(await validateDockerfile(text.replace('ENTRYPOINT', 'ENTRYPONT'))).toHaveLength(1)
})

test('the image never runs as root and starts the command without a shell', () => {
  expect(final).toMatch(/^USER node$/m)
  expect(final).toMatch(/^ENTRYPOINT \["node", "\/writ\/bin\/writ\.js"\]$/m)
})

test('what is copied is there and is sent to the builder, and the command is made of it and needs nothing else', () => {
  const sent = readFileSync('deploy/Dockerfile.dockerignore', 'utf8').split('\n')
  const [built, image] = [join(folder, 'built'), join(folder, 'image')]
  const copy = (stage: string, into: string): void => {
    for (const { from, sources, to } of copiesIn(stage)) {
      for (const path of sources) {
        if (!from) expect(sent, path).toContain(`!${path}`)
        const target = to.endsWith('/') ? join(into, to, basename(path)) : join(into, to)
        mkdirSync(dirname(target), { recursive: true })
        // Packages are linked in the stage before, since there they would be installed.
        cpSync(from ? realpathSync(join(built, path)) : path, target, { recursive: true })
      }
    }
  }
  copy(building!, built)
  symlinkSync(resolve('node_modules'), join(built, 'node_modules'))
  const node = (...args: readonly string[]): string => execFileSync(process.execPath, args, { encoding: 'utf8' })
  node(join(built, /^RUN node (\S+)$/m.exec(building!)![1]!))
  copy(final!, image)
  const writ = (...args: readonly string[]): string => node(join(image, 'bin/writ.js'), ...args)
  const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string }
  expect(writ('--version')).toBe(`${version}\n`)
  expect(writ('report', 'explain', 'M02')).toContain('M02') // By files that it reads.
})

test('the image has each library that stays out of the bundle, and each that stays out is native or has files of its own', () => {
  const inImage = copiesIn(final!).flatMap(({ to }) => (to.startsWith('node_modules/') ? [basename(to)] : []))
  expect(inImage.sort()).toEqual(['@electric-sql', '@koromix', 'koffi'])
  const script = `
    const [{ load }, { PGlite }] = [require('koffi'), require('@electric-sql/pglite')]
    new PGlite().query('select 7 as n').then(({ rows }) => console.log(typeof load, rows[0].n))`
  const cwd = join(folder, 'image')
  expect(execFileSync(process.execPath, ['-e', script], { cwd, encoding: 'utf8' })).toBe('function 7\n')
})
