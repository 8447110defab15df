import { readdirSync, readFileSync, statSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { beforeAll, describe, expect, inject, test as plain } from 'vitest'
import { needs } from '../parts/needs.ts'
import { chanceOf } from './faults/chance.ts'
import { type FaultResult, runFaults } from './faults/faults.ts'
import { tryPower, whyNoPower } from './faults/power.ts'

/**
 * The short form of `npm run audit:faults`: parts of a mesh under load are killed at random moments, with and without
 * their power, and the log is judged by a caller's journal.
 */

const test = needs('kafka', 'postgres', 'nginx', 'opa')
const here = ['kafka', 'postgres', 'nginx', 'opa'].every((name) => 'path' in (inject('parts')[name as 'kafka'] ?? {}))
const without = await whyNoPower()
if (without) process.stderr.write(`faults: ${without}; left out: discarding unsynced writes\n`)

const minute = 60_000

describe.skipIf(without !== undefined)('a disk that loses what was not synced', () => {
  const script = `
    import * as fs from 'node:fs'
    import { join } from 'node:path'
    const at = (name) => join(process.argv[2], name)
    const sync = (name) => { const fd = fs.openSync(at(name), 'r'); fs.fsyncSync(fd); fs.closeSync(fd) }
    const log = fs.openSync(at('log'), 'wx+')
    fs.writeSync(log, 'synced')
    fs.fdatasyncSync(log)
    for (const name of ['removed', 'target']) { fs.writeFileSync(at(name), 'before'); sync(name) }
    sync('')
    fs.writeSync(log, ' and more')
    fs.writeSync(log, 'S', 0)
    await fs.promises.appendFile(at('log'), ' and more')
    fs.writeFileSync(at('new'), 'new'); sync('new')
    fs.mkdirSync(at('folder')); fs.writeFileSync(at('folder/file'), '')
    fs.unlinkSync(at('removed'))
    fs.writeFileSync(at('draft'), 'after'); sync('draft')
    fs.renameSync(at('draft'), at('target'))
    process.kill(process.pid, 'SIGKILL')
  `

  const left = (root: string): string =>
    readdirSync(root)
      .map((name) => (statSync(join(root, name)).isFile() ? `${name}=${readFileSync(join(root, name), 'utf8')}` : name))
      .join(' ')

  plain('may be as it was at the last sync, in part as it became, and never anything else', async () => {
    const seen = new Set<string>()
    for (let seed = 1; seed <= 12; seed++) {
      const { root } = await tryPower(script, chanceOf(seed))
      seen.add(left(root))
      const log = readFileSync(join(root, 'log'), 'utf8')
      expect(log).toMatch(/^[Ss]ynced[ andmore\0]*$/) // What was synced is there, but for the byte that was written over it.
      expect(readFileSync(join(root, 'target'), 'utf8')).toMatch(/^(before|after)$/)
      await rm(dirname(root), { recursive: true, force: true })
    }
    expect(seen).toContain('log=synced removed=before target=before')
    expect(seen.size).toBeGreaterThan(4)
  })

  plain('keeps a new identity, a new last good snapshot and a new spool, once they are said to be kept', async () => {
    const at = (path: string): string => JSON.stringify(join(import.meta.dirname, '../..', path))
    const keeping = `
      import { join } from 'node:path'
      import { privateFolder, replaceText } from ${at('ca/node/files.ts')}
      import { keepLastGood } from ${at('cli/wire/last-good.ts')}
      import { diskFiles } from ${at('audit/node/spool-files.ts')}
      const root = process.argv[2]
      privateFolder(join(root, 'identity'))
      replaceText(join(root, 'identity/identity.json'), 'me')
      await keepLastGood(join(root, 'last-good')).keepBundle('ab', new Uint8Array(3))
      const spool = join(root, 'state/spool')
      diskFiles.makeFolder(spool)
      diskFiles.syncNow(diskFiles.create(join(spool, '00000001.seg')))
      diskFiles.syncFolderNow(spool)
      process.kill(process.pid, 'SIGKILL')
    `
    for (let seed = 1; seed <= 4; seed++) {
      const { root } = await tryPower(keeping, chanceOf(seed))
      const found = readdirSync(root, { recursive: true, encoding: 'utf8' })
      expect(found).toEqual(
        expect.arrayContaining(['identity/identity.json', 'last-good/ab.tar.gz', 'state/spool/00000001.seg']),
      )
      await rm(dirname(root), { recursive: true, force: true })
    }
  })
})

describe('a mesh whose parts are killed at random', () => {
  let result: FaultResult

  beforeAll(async () => {
    if (!here) return
    result = await runFaults({
      kills: 4,
      seed: 2026,
      durability: 'strict',
      rate: 50,
      powerShare: without ? 0 : 0.6,
      wipes: new Map(),
      preload: without === undefined,
      say: () => undefined,
    })
  }, 6 * minute)

  test('what was answered is in the log, once; what is missing is none, or told; the log verifies', () => {
    expect(result.judgement.wrong).toEqual([])
    expect(result.judgement).toMatchObject({ doubles: 0, missing: 0 })
    expect(result.judgement.acknowledged.allow).toBeGreaterThan(100)
    expect(result.judgement.acknowledged.deny).toBeGreaterThan(10)
  })

  test('it was under fire', () => {
    const killed = Object.values(result.kills).reduce((sum, { killed }) => sum + killed, 0)
    expect(killed).toBeGreaterThanOrEqual(4) // Two may fall at once.
    if (!without) expect(result.undone.writes).toBeGreaterThan(0)
  })
})
