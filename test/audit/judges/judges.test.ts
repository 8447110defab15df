import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, expect } from 'vitest'
import { type MadeLog, makeLog } from '../../../bench/log/make.ts'
import { needs, pathOf } from '../../parts/needs.ts'
import { buildJudges, judgeLog } from './judge.ts'

/** `npm run audit:million` has a log of a million judged alike. */

const test = needs('go')
let dir: string
let log: MadeLog
let program: string

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'writ-judges-'))
  log = await makeLog({ dir, entries: 3000, everyEntries: 300 })
  program = await buildJudges(pathOf('go'))
}, 300_000)
afterAll(async () => {
  await rm(dir, { recursive: true, force: true })
  if (program) await rm(dirname(program), { recursive: true, force: true })
})

test('a log with its checkpoints, tiles and proofs is accepted by the programs of others', async () => {
  const { ok, lines } = await judgeLog(program, log)
  expect([ok, lines]).toEqual([
    true,
    [
      'golang.org/x/mod/sumdb/note: opens 10 checkpoints',
      'transparency-dev/formats: parses 10 checkpoints, and writes them alike',
      `golang.org/x/mod/sumdb/tlog: ${log.size} records are those of the signed tree by its tiles; 9 consistency and 1001 inclusion proofs hold`,
      'transparency-dev/merkle: 9 consistency and 1001 inclusion proofs hold',
      `transparency-dev/tessera/fsck: checked the whole log of ${log.size}`,
    ],
  ])
})

test('a signature and a tile that were changed are refused', async () => {
  const refusal = async (notes: readonly string[]) => (await judgeLog(program, { ...log, notes })).lines.at(-1)
  const [first, ...rest] = log.notes as [string, ...string[]]
  const at = first.length - 20
  const forged = `${first.slice(0, at)}${first[at] === 'A' ? 'B' : 'A'}${first.slice(at + 1)}`
  expect(await refusal([forged, ...rest])).toMatch(/^REFUSED {2}note: checkpoint 0/)
  const tile = join(log.dir, '0', 'tile', '0', '003')
  const bytes = await readFile(tile)
  await writeFile(
    tile,
    bytes.map((byte, i) => (i === 40 ? byte ^ 1 : byte)),
  )
  expect(await refusal(log.notes)).toMatch(/^REFUSED {2}tlog/)
  await writeFile(tile, bytes)
})
