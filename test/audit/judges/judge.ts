/** Has a log, with all its checkpoints and with our proofs, judged by programs of others (test/audit/judges/go). */

import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { parseCheckpoint } from '../../../audit/log/checkpoint.ts'
import { consistencyProof, inclusionProof } from '../../../audit/log/merkle.ts'
import { parseNote } from '../../../audit/log/note.ts'
import { entryAt } from '../../../audit/log/prove.ts'
import { hashesFromTiles } from '../../../audit/log/tiles.ts'
import { tileReader } from '../../../audit/node/folder.ts'
import { sourcesIn } from '../../../audit/node/logfolder.ts'
import type { MadeLog } from '../../../bench/log/make.ts'
import { openFilesDoor } from '../../../control/node/log-files.ts'
import { toBase64 } from '../../../core/bytes.ts'
import { buildGoSource } from '../../parts/go-source.ts'
import { sha256 } from '../log/naive.ts'

/** Leaves whose inclusion is proven, spread over the log, its first and its last among them. */
const proofs = 1000

/** Whoever asked removes the folder that the program is in. */
export const buildJudges = (go: string): Promise<string> => buildGoSource(go, join(import.meta.dirname, 'go'), 'judges')

export interface Judgement {
  readonly ok: boolean
  /** A line of each judge, or the line of the one that refused. */
  readonly lines: readonly string[]
}

/** Shard 0 of a log, served as `writ audit serve` does. */
export async function judgeLog(program: string, log: MadeLog): Promise<Judgement> {
  const claims = await claimsOf(log)
  const door = await openFilesDoor(tileReader(log.dir), { address: '127.0.0.1', port: 0 }, () => undefined)
  try {
    const child = spawn(program, [`${door.url}/0/`], { stdio: ['pipe', 'pipe', 'inherit'] })
    child.stdin.on('error', () => undefined).end(JSON.stringify(claims))
    let printed = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      printed += text
    })
    const code = await new Promise((resolve) => child.once('close', resolve))
    return { ok: code === 0, lines: printed.trim().split('\n') }
  } finally {
    await door.close()
  }
}

/** What the log says of itself: keys, checkpoints, and proofs by our own code. */
async function claimsOf({ dir, verifierKey, notes }: MadeLog): Promise<object> {
  const checkpoints = notes.map((note) => parseCheckpoint(parseNote(note)!.text)!)
  const newest = checkpoints.at(-1)!
  const { read } = (await sourcesIn(dir))[0]!
  const hashes = hashesFromTiles(sha256, read, newest.size)
  const consistency: string[][] = []
  for (const [i, { size }] of checkpoints.entries()) {
    const next = checkpoints[i + 1]
    if (next) consistency.push((await consistencyProof(sha256, size, next.size, hashes)).map(toBase64))
  }
  const step = Math.max(1, Math.floor(newest.size / proofs))
  const inclusion: object[] = []
  for (let at = 0; at < newest.size; at = Math.min(at + step, at < newest.size - 1 ? newest.size - 1 : newest.size)) {
    const path = (await inclusionProof(sha256, at, newest.size, hashes)).map(toBase64)
    inclusion.push({ Index: at, Leaf: toBase64(await entryAt(read, at, newest.size)), Path: path })
  }
  return { Key: verifierKey, Origin: newest.origin, Notes: notes, Inclusion: inclusion, Consistency: consistency }
}
