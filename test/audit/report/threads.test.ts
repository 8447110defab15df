import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { expect, onTestFinished, test } from 'vitest'
import { sourcesIn } from '../../../audit/node/logfolder.ts'
import { openPartThreads, type PartThreads } from '../../../audit/node/part-readers.ts'
import { quickSha256 } from '../../../audit/node/quick.ts'
import { reportFiles } from '../../../audit/report/formats/files.ts'
import { gatheringThread } from '../../../audit/report/node/place.ts'
import { type SavedVerification, type VerifyParts, verifyLog } from '../../../audit/verify/verify.ts'
import type { Json } from '../../../core/json.ts'
import { type Files, filesOf, partsOf, Signer } from '../verify/log.ts'
import { sha256 } from '../verify/producer.ts'
import { fromMs, policyOf, remade, toMs, World } from './world.ts'

/** Threads that read a log in parts of a bundle each: what comes of it is what comes of it in one thread. */

const leaves = 256

function world(): readonly Uint8Array[] {
  const made = new World()
  for (let i = 0; i < 800; i++) {
    made.decide({ path: `/orders/${i % 7}` })
    if (i % 40 === 39) made.leaves.push(made.orders.head())
  }
  return made.end()
}

async function placed(files: Files): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'writ-threads-'))
  onTestFinished(() => rm(dir, { recursive: true, force: true }))
  for (const [path, bytes] of files) {
    const file = join(dir, '0', path)
    await mkdir(dirname(file), { recursive: true })
    await writeFile(file, bytes)
  }
  return dir
}

async function verified(parts: VerifyParts, readers?: PartThreads): Promise<string> {
  let saved: SavedVerification | undefined
  const told: number[] = []
  const more = { ...(readers && { readers }), onProgress: (count: number) => void told.push(count) }
  const verification = await verifyLog({ ...parts, ...more, save: (one) => (saved = one) }).finally(() =>
    readers?.close(),
  )
  return JSON.stringify({ verification, saved, read: told.at(-1) })
}

test('a verification by one, two and three threads is the same, of a log that holds and of one that does not', async () => {
  const signer = new Signer()
  const files = await filesOf(world(), signer)
  const bad = new Map(files)
  bad.set(
    'tile/entries/002',
    Uint8Array.from(files.get('tile/entries/002')!, (byte, i) => (i === 9000 ? byte ^ 1 : byte)),
  )
  bad.delete('tile/0/003')
  for (const one of [files, bad]) {
    const dir = await placed(one)
    const parts = { ...partsOf([], signer), sources: await sourcesIn(dir), quick: quickSha256 }
    const alone = await verified(parts)
    expect(JSON.parse(alone).verification.ok).toBe(one === files)
    for (const threads of [2, 3]) expect(await verified(parts, openPartThreads({ dir, threads, leaves }))).toBe(alone)
  }
})

test('a report by one, two and three threads is the same to the byte, and so is what is kept for the next', async () => {
  const signer = new Signer()
  const files = await filesOf(world(), signer)
  const policy = await policyOf(files)
  const dir = await placed(files)
  const sources = await sourcesIn(dir)
  const period = { fromMs: fromMs + 100_000, toMs: toMs - 3_000_000 }
  const made = async (threads: number, kept: Map<string, string>, more: { fromMs: number; toMs: number }) => {
    const sums = {
      read: async (name: string) => (kept.has(name) ? (JSON.parse(kept.get(name)!) as Json) : undefined),
      write: async (name: string, value: Json) => void kept.set(name, JSON.stringify(value)),
    }
    const readersFor = (gather: unknown) =>
      threads === 1 ? undefined : openPartThreads({ dir, threads, leaves, gather, file: gatheringThread })
    const { report, work } = await remade(files, signer, policy, more, undefined, undefined, {
      ...{ sources, sums, partLeaves: leaves, quick: quickSha256, readersFor },
    })
    return {
      work,
      files: [...reportFiles(report, sha256)].map(([path, bytes]) => [path, Buffer.from(bytes).toString()]),
    }
  }
  const all = { fromMs, toMs }
  const [keptAlone, kept] = [new Map<string, string>(), new Map<string, string>()]
  const alone = [await made(1, keptAlone, all), await made(1, keptAlone, period)]
  expect([await made(3, kept, all), await made(3, kept, period)]).toEqual(alone)
  expect([...kept]).toEqual([...keptAlone])
  expect(await made(2, new Map(), period)).toMatchObject({ files: alone[1]!.files })
})

test('a thread that dies ends the verification with a fault, and so does one that answers of something else', async () => {
  const signer = new Signer()
  const dir = await placed(await filesOf(world(), signer))
  const parts = { ...partsOf([], signer), sources: await sourcesIn(dir) }
  const programs = {
    'process.exit(3)': 'a thread that reads the log ended: code 3',
    'throw new Error("no more memory")': 'a thread that reads the log ended: no more memory',
    'parentPort.on("message", ({ id, range }) => parentPort.postMessage({ id, read: { range, steps: [], bytes: new Uint8Array() } }))':
      'a thread that reads the log ended: its answer is not of the part',
  }
  for (const [program, said] of Object.entries(programs)) {
    const file = join(dir, 'thread.mjs')
    await writeFile(file, `import { parentPort } from 'node:worker_threads'\n${program}\n`)
    const readers = openPartThreads({ dir, threads: 2, leaves, file: pathToFileURL(file) })
    await expect(verified(parts, readers)).rejects.toThrow(said)
  }
})
