import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { openLogFolder } from '../../../audit/node/folder.ts'
import { sourcesIn } from '../../../audit/node/logfolder.ts'
import { pack, unpack } from '../../../audit/node/packed.ts'
import { openPartThreads } from '../../../audit/node/part-readers.ts'
import { quickSha256 } from '../../../audit/node/quick.ts'
import { type Verification, verifyLog } from '../../../audit/verify/verify.ts'
import { changeCount, changes, missedOf, type Target } from './changes.ts'
import { Mesh, partsOf, rootOfLeaves, Signer } from './log.ts'
import { readersHere } from './parts.ts'
import { leafHashOf, sha256 } from './producer.ts'

/**
 * Random changes of a log's files, each found and named, and the same is found where the log is read in parts: `npm run
 * audit:changes` makes a thousand; with THREADS=2 the parts are read by so many threads.
 */

const count = changeCount(40)

const dir = await mkdtemp(join(tmpdir(), 'writ-changes-'))
afterAll(() => rm(dir, { recursive: true }))
const good = join(dir, 'good')
const bad = join(dir, 'bad')
const signer = new Signer()
const { leaves } = new Mesh().calls(700).head()
const folder = await openLogFolder(join(good, '0'), sha256)
await folder.append(leaves.map((bytes) => ({ bytes, hash: leafHashOf(bytes) })))
await folder.seal()
const checkpoint = { origin: 'bank.example/audit/0', size: leaves.length, root: rootOfLeaves(leaves) }
await folder.publish({ note: await signer.checkpoint(0, leaves.length, checkpoint.root), checkpoint })
await cp(good, bad, { recursive: true })

/** Whether a finding names what was changed: the file, or a leaf that lies in it. */
function isNamed({ findings }: Verification, path: string): boolean {
  const name = path.replace(/\.gz$/, '')
  const bundle = /^tile\/(?:0|entries)\/(\d{3})/.exec(name)
  return findings.some(({ level, what, index }) => {
    if (level !== 'broken') return false
    if (what.includes(name) || (name === 'checkpoint' && what.startsWith('checkpoint'))) return true
    return bundle !== null && index !== undefined && Math.floor(index / 256) === Number(bundle[1])
  })
}

test(
  `${count} random changes of files are each found and named`,
  async () => {
    const names = (await readdir(join(good, '0'), { recursive: true, withFileTypes: true }))
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name).slice(join(good, '0').length + 1))
      .sort()
    expect(names).toContain('tile/entries/001.gz')
    const files: Target = {
      verify: async () => {
        const parts = { ...partsOf([], signer), sources: await sourcesIn(bad), quick: quickSha256 }
        const alone = await verifyLog(parts)
        const count = Number(process.env['THREADS'] ?? 1)
        const threads = count > 1 ? openPartThreads({ dir: bad, threads: count, leaves: 256 }) : undefined
        const readers = threads ?? readersHere(parts, 256)
        const inParts = await verifyLog({ ...parts, readers }).finally(() => threads?.close())
        expect(inParts).toEqual(alone)
        return alone
      },
      change: async (roll) => {
        const path = names[roll(names.length)]!
        const how = Object.keys(changes)[roll(5)]!
        const inside = path.endsWith('.gz') && roll(2) === 0 // What is packed is changed, or the packed file.
        const before = await readFile(join(good, '0', path))
        const plain = inside ? Buffer.from(await unpack(before)) : before
        const changed = changes[how]!(Buffer.from(plain), roll)
        const after = inside ? Buffer.from(await pack(changed)) : changed
        // No change: nothing moved, or only spare bits of the packing, behind which the bundle is the same.
        if (after.equals(before)) return undefined
        if (path.endsWith('.gz') && Buffer.from(await unpack(after)).equals(Buffer.from(await unpack(before)))) {
          return undefined
        }
        const file = join(bad, '0', path)
        await writeFile(file, after)
        return {
          what: `${how}${inside ? ' inside' : ''} ${path}`,
          isNamed: (result) => isNamed(result, path),
          undo: () => writeFile(file, before),
        }
      },
    }
    expect(await missedOf(files, count)).toEqual([])
    expect((await files.verify()).ok).toBe(true)
  },
  30 * 60_000,
)

test('any file of the log taken away is named', async () => {
  for (const path of ['checkpoint', 'tile/0/001', 'tile/entries/002.gz', 'tile/1/000.p/3']) {
    const before = await readFile(join(good, '0', path))
    await rm(join(bad, '0', path))
    const result = await verifyLog({ ...partsOf([], signer), sources: await sourcesIn(bad), quick: quickSha256 })
    expect([path, result.ok, isNamed(result, path) || path === 'checkpoint']).toEqual([path, false, true])
    await cp(dirname(join(good, '0', path)), dirname(join(bad, '0', path)), { recursive: true })
    expect(before.length).toBeGreaterThan(0)
  }
})
