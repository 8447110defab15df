import { mkdtemp, readdir, readFile, rename, rm, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { newEd25519Pem, readEd25519Pem } from '../../../audit/node/ed25519.ts'
import { openKept } from '../../../audit/report/node/kept.ts'

const keyOf = () => readEd25519Pem(newEd25519Pem())!

async function folder(): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'writ-kept-'))
  onTestFinished(() => rm(dir, { recursive: true, force: true }))
  return dir
}

test('what was kept is read as it was written, by the key that wrote it and under its own name', async () => {
  const [dir, key] = [await folder(), keyOf()]
  const kept = await openKept(dir, key)
  await kept.write('parts/p/0-0-ab', { count: 3 })
  expect(await kept.read('parts/p/0-0-ab')).toEqual({ count: 3 })
  expect(await kept.read('parts/p/0-1-ab')).toBeUndefined()
  expect(await (await openKept(dir, keyOf())).read('parts/p/0-0-ab')).toBeUndefined()
  const file = join(dir, 'parts/p/0-0-ab')
  const bytes = await readFile(file)
  for (let i = 0; i < bytes.length; i++) {
    bytes[i]! ^= 1
    await writeFile(file, bytes)
    expect(await kept.read('parts/p/0-0-ab'), `byte ${i}`).toBeUndefined()
    bytes[i]! ^= 1
  }
  await writeFile(file, bytes)
  await rename(file, join(dir, 'parts/p/0-1-ab'))
  expect(await kept.read('parts/p/0-1-ab')).toBeUndefined()
})

test('sums of eight ways of counting stay', async () => {
  const [dir, key] = [await folder(), keyOf()]
  for (let i = 0; i < 10; i++) {
    await (await openKept(dir, key)).write(`parts/p${i}/0-0-ab`, i)
    const at = new Date(1_000_000 * i)
    await utimes(join(dir, `parts/p${i}`), at, at)
  }
  expect((await readdir(join(dir, 'parts'))).sort()).toEqual(['p2', 'p3', 'p4', 'p5', 'p6', 'p7', 'p8', 'p9'])
})
