import { execFile } from 'node:child_process'
import { chmod, copyFile, mkdir, readFile, writeFile } from 'node:fs/promises'
import { delimiter, dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { expect } from 'vitest'
import { ordersMesh } from '../cli/orders-mesh.ts'
import { temporary } from '../cli/recorded.ts'
import { repository, start } from '../cli/writ.ts'
import { commandFile } from '../parts/command.ts'
import { needs, pathOf } from '../parts/needs.ts'
import { freePort } from '../parts/ports.ts'
import { makeQuarter } from './quarter.ts'
import { blocksOf, filesOf, normalised, stepsOf } from './transcripts.ts'

/** docs/COMPLIANCE.md, followed word by word: the officer's commands, and the auditor's, on a quarter of the bank. */

const test = needs('go', 'opa')

/** Keys and samples differ from one log to the next. */
const told = (text: string): string =>
  normalised(text.replace(/\+[0-9a-f]{8}\+[\w+/=]{44}/g, '+KEY').replace(/(\d+) of \1 (records|files)/g, 'N of N $2'))

/** A folder with the page's files, and `writ` on the path of its commands. */
async function placeFor(page: string): Promise<{ readonly folder: string; readonly env: NodeJS.ProcessEnv }> {
  const folder = await temporary()
  for (const { name, text } of filesOf(page)) {
    await mkdir(dirname(join(folder, name)), { recursive: true })
    await writeFile(join(folder, name), text)
  }
  const bin = join(folder, 'bin')
  await mkdir(bin)
  await writeFile(join(bin, 'writ'), `#!/bin/sh\nexec "${process.execPath}" "${commandFile}" "$@"\n`)
  await chmod(join(bin, 'writ'), 0o755)
  const path = [bin, dirname(pathOf('go')), process.env['PATH']].join(delimiter)
  const env = { ...process.env, PATH: path, WRIT_OPA: pathOf('opa'), NO_COLOR: '1', FORCE_COLOR: undefined }
  return { folder, env }
}
const pageText = (): Promise<string> => readFile(join(repository, 'docs/COMPLIANCE.md'), 'utf8')

test('an officer and an auditor go through a quarter of the bank as the page says', { timeout: 300_000 }, async () => {
  const page = await pageText()
  const { folder, env } = await placeFor(page)
  await makeQuarter(join(folder, '.writ'))
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

/** What each command of the page that asks a process prints, where the process has just begun. */
const answers: readonly (readonly [beginning: string, said: RegExp])[] = [
  ['writ report attest 7.2.4', /^in the log as [0-9a-f]{24}-\d+\n$/],
  ['writ report declare declared.yaml', /^in the log as [0-9a-f]{24}-\d+\n$/],
  ['writ report schedule', /^pci-quarter .*pci-dss/m],
  ['writ report status', /\S/],
  ['writ report grant "Ada of Acme" --scope cde', /^Ada of Acme may look until .*\nwa_\S{43}\n$/],
]
/** By what else they are followed: a mesh with witnesses and time stamps, in test/cli/report-evidence.test.ts. */
const elsewhere = ['TSA_CA=authority.pem sh q3/evidence/report/check.sh']

test('what the page asks of a process that runs, it answers', { timeout: 120_000 }, async () => {
  const page = await pageText()
  const commands = blocksOf(page).filter((command) => !elsewhere.some((one) => command.startsWith(one)))
  const { folder, env } = await placeFor(page)
  const [, settings = ''] = /^```yaml\nspec:\n( {2}audit:\n.*?)^```$/ms.exec(page)!
  const ports = { inbound: await freePort(), outbound: await freePort(), app: await freePort() }
  await writeFile(join(folder, 'mesh.yaml'), ordersMesh({ ports, spec: settings.replace(/^ {2}/gm, '').trim() }))
  const declared = await readFile(join(folder, 'compliance.yaml'), 'utf8')
  await writeFile(join(folder, 'declared.yaml'), declared.replace(/^scopes:\n(?: .*\n)*/m, ''))
  await writeFile(join(folder, 'list.csv'), 'grant\n')

  const [begins, ...others] = commands.filter((command) => command.startsWith('writ up '))
  expect(others).toEqual([])
  const words = begins!.replace('0.0.0.0:7450', '127.0.0.1:0').replace(' --auditors-cert /etc/writ/web', '')
  const up = start([...words.split(' ').slice(1), '--policies', join(repository, 'policies')], { cwd: folder })
  await up.said(/^page /m)
  await up.said(/^auditors +https:/m)
  const asked = commands.filter((command) => command !== begins)
  for (const command of asked) {
    const [, said] = answers.find(([beginning]) => command.startsWith(beginning)) ?? []
    expect(said, `${command} is followed by nobody`).toBeDefined()
    const { stdout } = await promisify(execFile)('sh', ['-c', command], { cwd: folder, env })
    expect(stdout, command).toMatch(said!)
  }
  expect(asked.length).toBeGreaterThan(5)
  up.signal('SIGTERM')
  expect(await up.ended).toMatchObject({ code: 0 })
})
