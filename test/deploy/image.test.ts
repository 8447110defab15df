import { execFileSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { afterAll, expect } from 'vitest'
import { validateDockerfile } from '../parts/dockerfile.ts'
import { needs } from '../parts/needs.ts'

const test = needs('dockerfile')

const text = readFileSync('deploy/Dockerfile', 'utf8')

/** What is copied from the checkout; `--from` copies from another stage. */
const copied = [...text.matchAll(/^COPY (?!--from)(.+) \S+$/gm)].flatMap((copy) => copy[1]!.split(' '))

const folder = mkdtempSync(join(tmpdir(), 'writ-image-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

test('the Dockerfile has no fault, and a faulty one is told from it', async () => {
  expect(await validateDockerfile(text)).toEqual([])
  expect(await validateDockerfile(text.replace('ENTRYPOINT', 'ENTRYPONT'))).toHaveLength(1)
})

test('the image never runs as root and starts the command without a shell', () => {
  const final = text.slice(text.lastIndexOf('\nFROM '))
  expect(final).toMatch(/^USER node$/m)
  expect(final).toMatch(/^ENTRYPOINT \["node", "\/writ\/cli\/main\.ts"\]$/m)
})

test('what is copied into the image is there, is sent to the builder, and is all that the command needs', () => {
  const sent = readFileSync('deploy/Dockerfile.dockerignore', 'utf8').split('\n')
  for (const path of copied) {
    expect(existsSync(path), path).toBe(true)
    expect(sent, path).toContain(`!${path}`)
    mkdirSync(dirname(join(folder, path)), { recursive: true })
    cpSync(path, join(folder, path), { recursive: true })
  }
  symlinkSync(resolve('node_modules'), join(folder, 'node_modules'))
  const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string }
  expect(execFileSync(process.execPath, [join(folder, 'cli/main.ts'), '--version'], { encoding: 'utf8' })).toBe(
    `${version}\n`,
  )
  const explained = [join(folder, 'cli/main.ts'), 'report', 'explain', 'M02']
  expect(execFileSync(process.execPath, explained, { encoding: 'utf8' })).toContain('M02') // By files that it reads.
})
