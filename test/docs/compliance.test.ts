import { execFile } from 'node:child_process'
import { chmod, copyFile, mkdir, readFile, writeFile } from 'node:fs/promises'
import { delimiter, dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { expect } from 'vitest'
import { temporary } from '../cli/recorded.ts'
import { repository } from '../cli/writ.ts'
import { needs, pathOf } from '../parts/needs.ts'
import { makeQuarter } from './quarter.ts'
import { filesOf, normalised, stepsOf } from './transcripts.ts'

/** docs/COMPLIANCE.md, followed word by word: the officer's commands, and the auditor's, on a quarter of the bank. */

const test = needs('go', 'opa')

/** Keys and samples differ from one log to the next. */
const told = (text: string): string =>
  normalised(text.replace(/\+[0-9a-f]{8}\+[\w+/=]{44}/g, '+KEY').replace(/(\d+) of \1 (records|files)/g, 'N of N $2'))

test('an officer and an auditor go through a quarter of the bank as the page says', { timeout: 300_000 }, async () => {
  const page = await readFile(join(repository, 'docs/COMPLIANCE.md'), 'utf8')
  const folder = await temporary()
  await makeQuarter(join(folder, '.writ'))
  for (const { name, text } of filesOf(page)) {
    await mkdir(dirname(join(folder, name)), { recursive: true })
    await writeFile(join(folder, name), text)
  }
  const bin = join(folder, 'bin')
  await mkdir(bin)
  await writeFile(
    join(bin, 'writ'),
    `#!/bin/sh\nexec "${process.execPath}" "${join(repository, 'cli/main.ts')}" "$@"\n`,
  )
  await chmod(join(bin, 'writ'), 0o755)
  const path = [bin, dirname(pathOf('go')), process.env['PATH']].join(delimiter)
  const env = { ...process.env, PATH: path, WRIT_OPA: pathOf('opa'), NO_COLOR: '1', FORCE_COLOR: undefined }
  const steps = stepsOf(page)
  expect(steps.length).toBeGreaterThan(6)
  for (const { command, shown } of steps) {
    const { stdout } = await promisify(execFile)('sh', ['-c', command], { cwd: folder, env })
    expect(told(stdout), command).toBe(told(shown))
    if (command.includes('--out q3')) {
      await copyFile(join(folder, 'q3/report.pub'), join(folder, 'report.pub'))
      await copyFile(join(folder, '.writ/signer/log.pub'), join(folder, 'log.pub'))
    }
  }

  // A byte of a record, or of the report, and the auditor's programs say so.
  const report = join(folder, 'q3/report.json')
  await writeFile(report, (await readFile(report, 'utf8')).replace('"fail"', '"pass"'))
  const check = promisify(execFile)('sh', ['-c', 'sh q3/evidence/report/check.sh "$(cat report.pub)"'], {
    cwd: folder,
    env,
  })
  await expect(check).rejects.toMatchObject({ stdout: expect.stringContaining('WRONG  report.json') })
})
