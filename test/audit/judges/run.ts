/**
 * `npm run audit:million [ENTRIES]`: a log of a million entries with a checkpoint every 10,000, judged by programs of
 * others and verified by ours. Exits with 1 where any of them refuses.
 */

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { parseVerifierKey } from '../../../audit/log/note.ts'
import { verifyPlace } from '../../../audit/node/examine.ts'
import { makeLog } from '../../../bench/log/make.ts'
import { verifyHead } from '../../../ca/node/heads.ts'
import { sha256 } from '../../../cli/wire/machine.ts'
import { go } from '../../parts/plain.ts'
import { buildJudges, judgeLog } from './judge.ts'

const entries = Number(process.argv[2] ?? 1_000_000)
const say = (line: string): void => void process.stderr.write(line)
const dir = await mkdtemp(join(tmpdir(), 'writ-million-'))
let program: string | undefined
try {
  program = await buildJudges(await go.prepare((line) => say(`${line}\n`)))
  const log = await makeLog({ dir, entries, onProgress: (size) => say(`\r${size} entries`) })
  say('\n')
  const { ok, lines } = await judgeLog(program, log)
  for (const line of lines) process.stdout.write(`${line}\n`)
  const key = parseVerifierKey(sha256, log.verifierKey)!
  const { verification } = await verifyPlace({ dir: log.dir, key, verifyHead, sha256 })
  process.stdout.write(`writ audit verify: ${log.size} records, ${verification.ok ? 'whole' : 'BROKEN'}\n`)
  if (!ok || !verification.ok) process.exitCode = 1
} finally {
  await rm(dir, { recursive: true, force: true })
  if (program) await rm(dirname(program), { recursive: true, force: true })
}
