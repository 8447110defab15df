import { mkdir, mkdtemp, readdir, readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { editedPolicy, line, prepared } from '../../cli/tour/edit.ts'
import { buildPolicy } from '../../engine/node/build.ts'
import { needs } from '../parts/needs.ts'
import { type Ended, start, temporaryForAll } from './writ.ts'

/** `npm run tour`: it shows what it says, without a compiler too, and the edit that was compiled beforehand is the edit. */

const withOpa = needs('opa')

const folder = temporaryForAll()

/** A machine on which nobody ever compiled a policy: nothing on the PATH, no cache. */
const bare: NodeJS.ProcessEnv = { PATH: '', HOME: '/nonexistent', XDG_CACHE_HOME: '/nonexistent' }

describe('the tour', () => {
  let run: Ended
  let left: string[]
  beforeAll(async () => {
    const TMPDIR = join(folder, 'tmp')
    await mkdir(TMPDIR)
    run = await start(['tour', '--no-wait'], { env: { ...bare, TMPDIR, NO_COLOR: '1' } }).ended
    left = await readdir(TMPDIR)
  })

  test('exits 0 on a machine without a compiler, and says that the edit was compiled beforehand', () => {
    expect(run).toMatchObject({ code: 0, err: '' })
    expect(run.out).toContain('No Rego compiler is at hand, so this is the same edit compiled beforehand.')
  })

  test('shows the refusal with its reason, the edited line, and the same call passing', () => {
    const [, , refused, edited, passed] = run.out.split(/^\d\. /m)
    expect(refused).toMatch(/DELETE \/orders\/1 at orders: 403/)
    expect(refused).toMatch(/deny +storefront may not DELETE \/orders\/\{id\} at orders: no edge allows it$/m)
    expect(refused).toMatch(/Record [0-9a-f]{24}-\d+ is entry \d+ of the log/)
    expect(edited).toContain(`\n  + ${line}\n`)
    expect(passed).toMatch(/DELETE \/orders\/1 at orders: 200/)
    expect(passed).toMatch(/DELETE \/orders\/1 +allow$/m)
  })

  test('names the entry that was tampered with: the one of the refusal', () => {
    const { 1: entry } = /is entry (\d+) of the log/.exec(run.out)!
    const tampered = run.out.split(/^\d\. /m)[5]!
    expect(tampered).toContain('Before: the log verifies')
    expect(tampered).toMatch(/After: {2}the log does not verify\n +leaf \d+ /)
    expect(tampered).toContain(`(entry ${entry})`)
    expect(tampered).toContain('The byte is back: the log verifies')
  })

  test('ends with a report, which lies in the one folder that it leaves', async () => {
    expect(left).toHaveLength(1)
    const { 1: report } = /file:\/\/(\S+report\.html)/.exec(run.out)!
    const home = join(folder, 'tmp', left[0]!)
    expect(dirname(report!)).toBe(join(home, 'report'))
    expect(await readFile(report!, 'utf8')).toContain('The log was not changed')
    expect(run.out).toContain(`Everything of this tour lies in ${home}; remove it when you like.`)
  })
})

withOpa('the edit that was compiled beforehand is, byte for byte, what the edited policy compiles to', async () => {
  const policies = await mkdtemp(join(folder, 'policies-'))
  const built = await buildPolicy(await editedPolicy(policies))
  expect(Buffer.compare(built, await readFile(prepared))).toBe(0)
})
