import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { mkdir, readdir, symlink } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { repository, start, temporary } from './writ.ts'

/** bin/writ.js, as npm links it into a PATH: under a Node that runs the command, and under one that has to fetch it. */

const bin = join(repository, 'bin/writ.js')

const { version } = JSON.parse(readFileSync(join(repository, 'package.json'), 'utf8')) as { version: string }

/** A Node of this machine that is too old for the command, where there is one. */
const old = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/local/bin', '/usr/bin']
  .filter((folder) => !folder.includes('node_modules'))
  .map((folder) => join(folder, 'node'))
  .find((node) => major(node) < 24)

function major(node: string): number {
  try {
    return Number(/^v(\d+)\./.exec(execFileSync(node, ['--version'], { encoding: 'utf8', stdio: 'pipe' }))?.[1])
  } catch {
    return Number.NaN
  }
}

describe.each([
  ['this Node', process.execPath],
  ['an older Node', old],
] as const)('under %s', (_, node) => {
  const here = test.skipIf(node === undefined)
  const by = (script: string): readonly [string, string] => [node!, script]

  here('the command runs, through a link as npm makes it', async () => {
    const link = join(await temporary(), 'writ')
    await symlink(bin, link)
    const ended = await start(['--version'], { by: by(link) }).ended
    expect(ended).toEqual({ code: 0, out: `${version}\n`, err: '' })
  })

  here('its exit code is that of the command', async () => {
    expect((await start(['token', 'a', '--state', 'nowhere'], { by: by(bin) }).ended).code).toBe(3)
  })
})

test('a signal reaches the command, and the end waits for its end', async () => {
  const TMPDIR = join(await temporary(), 'tour')
  await mkdir(TMPDIR)
  const tour = start(['tour', '--no-wait'], { by: [old ?? process.execPath, bin], env: { ...process.env, TMPDIR } })
  await tour.said(/1\. A bank starts/)
  tour.signal('SIGTERM')
  expect(await tour.ended).toMatchObject({ code: 130, err: '' }) // Left early, as a shell counts it.
  expect(await readdir(TMPDIR)).toEqual([])
})
