import { copyFile, cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { zstdCompressSync } from 'node:zlib'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type ArchiveHead, encodeArchive } from '../../../audit/archive/file.ts'
import { archiveBefore, digestOf, openArchive } from '../../../audit/node/archive.ts'
import { archivePlace, formatSums, parseSums, sumsFile } from '../../../audit/node/archive-place.ts'
import { verifyArchive } from '../../../audit/node/archive-verify.ts'
import { openLogFolder } from '../../../audit/node/folder.ts'
import { sourcesIn } from '../../../audit/node/logfolder.ts'
import type { Verification } from '../../../audit/verify/verify.ts'
import { type Change, changeCount, changes, missedOf, type Roll, type Target } from './changes.ts'
import { Mesh, rootOfLeaves, Signer } from './log.ts'
import { leafHashOf, sha256 } from './producer.ts'

/**
 * Random changes of an archive, each found and named by `writ audit verify --archive`: of the bytes of its files, of the
 * files as such, and of what is in a file, written anew by somebody who has this program, with the sum that fits.
 */

const count = changeCount(60)
let dir: string
let good: string
let bad: string
let verify: () => Promise<Verification>
const names = ['000000000000-000000000255.parquet', '000000000256-000000000511.parquet'] as const
const all = [...names, sumsFile] as const

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'writ-archive-changes-'))
  good = join(dir, 'good/0')
  bad = join(dir, 'bad/0')
  const signer = new Signer()
  const { leaves } = new Mesh().calls(450).head()
  const folder = await openLogFolder(join(dir, 'log/0'), sha256)
  await folder.append(leaves.map((bytes) => ({ bytes, hash: leafHashOf(bytes) })))
  await folder.seal()
  const checkpoint = { origin: 'bank.example/audit/0', size: leaves.length, root: rootOfLeaves(leaves) }
  await folder.publish({ note: await signer.checkpoint(0, leaves.length, checkpoint.root), checkpoint })
  const parts = { read: folder.read, shard: 0, out: archivePlace(join(dir, 'good')), sha256 }
  for (const before of [256, 512]) expect(await archiveBefore(before, parts)).toMatchObject({ files: 1 })
  await writeFile(join(dir, 'log/0/minimum'), '512\n')
  await cp(join(dir, 'good'), join(dir, 'bad'), { recursive: true })
  verify = async () => {
    const { findings } = await verifyArchive(archivePlace(join(dir, 'bad')), await sourcesIn(join(dir, 'log')), {
      ...{ sha256, keys: [signer.key] },
    })
    const found = findings.list
    return { ok: !found.some(({ level }) => level === 'broken'), findings: found } as unknown as Verification
  }
})
afterAll(() => rm(dir, { recursive: true, force: true }))

/** A finding speaks of the file, or of an entry that is in it; where sums are wrong, of the sums or of a file they are of. */
const isNamed = ({ findings }: Verification, name: string): boolean =>
  findings.some(({ level, what, index }) => {
    if (level !== 'broken') return false
    if (name === sumsFile) return what.includes(sumsFile) || /\.parquet/.test(what)
    return (
      what.includes(name) ||
      (index !== undefined && index >= Number(name.slice(0, 12)) && index <= Number(name.slice(13, 25)))
    )
  })

const undo = async (): Promise<void> => {
  await rm(bad, { recursive: true })
  await cp(good, bad, { recursive: true })
}

async function ofBytes(roll: Roll): Promise<Change | undefined> {
  const name = all[roll(all.length)]!
  const how = Object.keys(changes)[roll(5)]!
  const before = await readFile(join(good, name))
  const after = changes[how]!(Buffer.from(before), roll)
  if (after.equals(before)) return undefined
  await writeFile(join(bad, name), after)
  return { what: `${how} ${name}`, isNamed: (result) => isNamed(result, name), undo }
}

/** A file of entries that is gone, in the place of another, or there twice. */
async function ofFiles(roll: Roll): Promise<Change | undefined> {
  const name = names[roll(2)]!
  const other = names.find((one) => one !== name)!
  const how = ['delete', 'reorder', 'insert', 'truncate'][roll(4)]!
  if (how === 'truncate' && name === names[0]) return undefined // A warning, as where there was no archive yet.
  if (how === 'delete' || how === 'truncate') await rm(join(bad, name))
  if (how === 'truncate') await withSums((sums) => void sums.delete(name))
  if (how === 'reorder') await copyFile(join(good, name), join(bad, other))
  const copy = name === names[0] ? '000000000256-000000000767.parquet' : '000000000512-000000000767.parquet'
  if (how === 'insert') await copyFile(join(good, name), join(bad, copy))
  const named = how === 'reorder' ? other : name
  const isSaid = (result: Verification): boolean => isNamed(result, named) || isNamed(result, copy)
  return { what: `${how} file ${name}`, isNamed: isSaid, undo }
}

/** As somebody who has this program would: leaves or head are others, and the sum is that of the new file. */
async function ofContent(roll: Roll): Promise<Change | undefined> {
  const name = names[roll(2)]!
  const archive = await openArchive(await readFile(join(good, name)))
  if ('wrong' in archive) throw new Error(archive.wrong)
  const leaves = archive.leaves.map(({ bytes }) => bytes.slice())
  const [at, to] = [roll(leaves.length), roll(leaves.length)]
  let head: ArchiveHead = archive.head
  const ways: Readonly<Record<string, () => void>> = {
    flip: () => void (leaves[at]![roll(leaves[at]!.length)]! ^= 1 << roll(8)),
    delete: () => void leaves.splice(at, 1),
    insert: () => void leaves.splice(at, 0, leaves[to]!),
    reorder: () => void ([leaves[at], leaves[to]] = [leaves[to]!, leaves[at]!]),
    truncate: () => void leaves.splice(at + 1),
    node: () => {
      head = { ...head, nodes: roll(2) === 0 ? [] : [head.nodes[0]!.replace(/^./, (c) => (c === '0' ? '1' : '0'))] }
    },
    checkpoint: () => {
      const { checkpoint } = head
      const place = roll(checkpoint.length - 1)
      head = {
        ...head,
        checkpoint: `${checkpoint.slice(0, place)}${checkpoint[place] === '7' ? '8' : '7'}${checkpoint.slice(place + 1)}`,
      }
    },
  }
  const how = Object.keys(ways)[roll(7)]!
  ways[how]!()
  const same = leaves.every((leaf, i) => leaf === archive.leaves[i]?.bytes) && leaves.length === archive.leaves.length
  if (how === 'reorder' && (same || at === to)) return undefined
  const last = leaves.length < 256 && roll(2) === 0 ? head.first + leaves.length - 1 : head.last
  const bytes = encodeArchive({ ...head, last }, leaves, (page) => zstdCompressSync(page))
  await writeFile(join(bad, name), bytes)
  await withSums((sums) => void sums.set(name, digestOf(bytes)))
  return { what: `${how} ${at} inside ${name}`, isNamed: (result) => isNamed(result, name), undo }
}

async function withSums(change: (sums: Map<string, string>) => void): Promise<void> {
  const sums = parseSums(await readFile(join(good, sumsFile)))
  change(sums)
  await writeFile(join(bad, sumsFile), formatSums(sums))
}

test(
  `${count} random changes of an archive are each found and named`,
  async () => {
    const kinds = [ofBytes, ofBytes, ofFiles, ofContent, ofContent]
    const archive: Target = { verify: () => verify(), change: (roll) => kinds[roll(kinds.length)]!(roll) }
    expect(await missedOf(archive, count)).toEqual([])
    expect((await verify()).findings).toEqual([])
  },
  30 * 60_000,
)

test('the oldest files taken away with their sums look like an archive that began later: that is a warning', async () => {
  await rm(join(bad, names[0]))
  await withSums((sums) => void sums.delete(names[0]))
  const { ok, findings } = await verify()
  expect([ok, findings]).toMatchObject([true, [{ level: 'warning', code: 'archive_missing', index: 0 }]])
  await undo()
})

test('sums that say more than their files, twice or in another order are named, also where each line fits', async () => {
  const sums = await readFile(join(good, sumsFile), 'latin1')
  const [one, two] = sums.split(/(?<=\n)/) as [string, string]
  for (const other of [`${sums}\n`, `${sums}another line\n`, `${two}${one}`, `${one}${sums}`, sums.slice(0, -1)]) {
    await writeFile(join(bad, sumsFile), other)
    expect((await verify()).findings).toMatchObject([{ level: 'broken', code: 'archive_invalid' }])
  }
  await undo()
})
