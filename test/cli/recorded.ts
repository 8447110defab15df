/** A state folder that holds the log of some traffic of the bank, and commands that are run on it. */

import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Command } from 'commander'
import { onTestFinished, vi } from 'vitest'
import { openStore } from '../../audit/node/store.ts'
import { fill } from '../audit/query/store.ts'
import type { Traffic } from '../audit/replay/traffic.ts'
import { Signer } from '../audit/verify/log.ts'

/** A folder that is gone when the test is over, or when `after` says so. */
export async function temporary(after: (remove: () => Promise<void>) => void = onTestFinished): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'writ-recorded-'))
  after(() => rm(folder, { recursive: true, force: true }))
  return folder
}

export async function keepLog(state: string, { leaves }: Traffic, covered: number = leaves.length): Promise<void> {
  const store = await openStore({ kind: 'pglite', dir: join(state, 'store') })
  try {
    await fill(store.db, leaves, new Signer(), { covered })
  } finally {
    await store.close()
  }
}

interface Edges {
  readonly bank: { readonly edges: readonly { readonly from: string; readonly path: readonly string[] }[] }
}

/** The bank's sources in a folder of the same name, with other edges. */
export async function bankIn(
  folder: string,
  edit: (edges: Edges['bank']['edges']) => Edges['bank']['edges'],
): Promise<string> {
  const dir = join(folder, 'bank')
  await cp('policies/bank', dir, { recursive: true })
  const data = JSON.parse(await readFile(join(dir, 'data.json'), 'utf8')) as Edges
  await writeFile(join(dir, 'data.json'), JSON.stringify({ bank: { ...data.bank, edges: edit(data.bank.edges) } }))
  return dir
}

export interface Printed {
  readonly out: string
  readonly err: string
  readonly code: number
}

/** Runs one command in this process. What it throws is thrown. */
export async function printed(command: Command, ...words: readonly string[]): Promise<Printed> {
  let [out, err] = ['', '']
  const spies = [
    vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
      out += String(text)
      return true
    }),
    vi.spyOn(process.stderr, 'write').mockImplementation((text) => {
      err += String(text)
      return true
    }),
  ]
  process.exitCode = 0
  try {
    await command.exitOverride().parseAsync([...words], { from: 'user' })
    return { out, err, code: Number(process.exitCode ?? 0) }
  } finally {
    for (const spy of spies) spy.mockRestore()
    process.exitCode = 0
  }
}
