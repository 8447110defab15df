/**
 * How many leaves a second of CPU verifies of the log that `run.ts` made in FOLDER, by THREADS (one by default), and the least that it could take:
 * to inflate each bundle and to hash each leaf once. One leaf in a hundred is a head: as many as a hundred producers make
 * that share 10,000 records a second.
 */

import { hash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { decodeBundle } from '../../audit/log/tiles.ts'
import { verifyPlace } from '../../audit/node/examine.ts'
import { readVerifierKey } from '../../audit/node/logfolder.ts'
import { unpackAtOnce } from '../../audit/node/packed.ts'
import { verifyHead } from '../../ca/node/heads.ts'
import { sha256 } from '../../cli/wire/machine.ts'

/** Microseconds of CPU for each of `leaves`. */
interface Cost {
  readonly leaves: number
  readonly us: number
}

async function measured(work: () => Promise<number>): Promise<Cost> {
  const began = process.cpuUsage()
  const leaves = await work()
  const { user, system } = process.cpuUsage(began)
  return { leaves, us: (user + system) / leaves }
}

async function least(dir: string): Promise<number> {
  const entries = join(dir, 'log', '0', 'tile', 'entries')
  let leaves = 0
  for (const name of await readdir(entries, { recursive: true })) {
    if (!name.endsWith('.gz')) continue
    for (const leaf of decodeBundle(unpackAtOnce(readFileSync(join(entries, name)))) ?? []) {
      hash('sha256', leaf, 'hex')
      leaves++
    }
  }
  return leaves
}

async function verified(dir: string, threads: number): Promise<number> {
  const key = await readVerifierKey(join(dir, 'signer', 'log.pub'), sha256)
  const { verification } = await verifyPlace({ dir: join(dir, 'log'), key, verifyHead, sha256, threads })
  if (!verification.ok) throw new Error(`the log is broken: ${verification.findings[0]?.what}`)
  return verification.shards.reduce((sum, { size }) => sum + size, 0)
}

const [dir = '.cache/million', threads = '1'] = process.argv.slice(2)
const line = (what: string, { leaves, us }: Cost): string =>
  `${what}: ${leaves} leaves, ${us.toFixed(1)} us of CPU each, ${Math.round(1e6 / us)}/s of CPU\n`
const began = performance.now()
process.stdout.write(line('verified', await measured(() => verified(dir, Number(threads)))))
process.stdout.write(`in ${((performance.now() - began) / 1000).toFixed(1)} s\n`)
process.stdout.write(line('inflated and hashed', await measured(() => least(dir))))
