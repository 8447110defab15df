import { generateKeyPairSync, sign } from 'node:crypto'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import fc from 'fast-check'
import { expect, onTestFinished, test } from 'vitest'
import { parseCheckpoint } from '../../../audit/log/checkpoint.ts'
import { noteKey, parseNote, signNote } from '../../../audit/log/note.ts'
import { verifyEd25519 } from '../../../audit/node/ed25519.ts'
import { evidenceSums, manifestText, sumsText } from '../../../audit/report/formats/files.ts'
import { witnessedPins } from '../../../audit/report/node/place.ts'
import { checkSigned } from '../../../audit/report/signed.ts'
import { fromUtf8, utf8 } from '../../../core/bytes.ts'
import { filesOf, Mesh, Signer } from '../verify/log.ts'
import { sha256, verifyTestHead } from '../verify/producer.ts'

const pair = generateKeyPairSync('ed25519')
const raw = new Uint8Array(pair.publicKey.export({ format: 'der', type: 'spki' })).slice(-32)
const key = noteKey(sha256, 'bank.example/reports', raw)!
const noteOf = (text: string) => signNote(text, key, (message) => new Uint8Array(sign(null, message, pair.privateKey)))
const check = (note: string, files: ReadonlyMap<string, Uint8Array>) =>
  checkSigned(note, key, async (path) => files.get(path), { sha256, verifyNote: verifyEd25519 })

const evidence = new Map([
  ['records/a.json', utf8('{"a":1}')],
  ['rows/M01.json', utf8('{}')],
])
const sums = utf8(sumsText(evidence, sha256))
const report = new Map([
  ['report.json', utf8('{}')],
  ['csv/M01.csv', utf8('a,b\n')],
  [evidenceSums, sums],
])
const all = new Map([...report, ...[...evidence].map(([path, bytes]) => [`evidence/${path}`, bytes] as const)])

test('a report is as it was signed, down to each byte of each file of its evidence', async () => {
  const note = await noteOf(manifestText(report, sha256))
  const whole = await check(note, all)
  expect(whole.ok && whole.files.map(({ path, fault }) => `${path} ${fault}`).sort()).toEqual(
    [...all.keys()].map((path) => `${path} `).sort(),
  )
  const places = [...all].flatMap(([path, bytes]) => [...bytes].map((_, at) => [path, at] as const))
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...places), fc.integer({ min: 1, max: 255 }), async ([path, at], by) => {
      const bytes = all.get(path)!
      const found = await check(note, new Map([...all, [path, bytes.with(at, bytes[at]! ^ by)]]))
      expect(found.ok && found.files.find((one) => one.path === path)?.fault).toBe('it is not what was signed')
    }),
    { numRuns: 200 },
  )
  const gone = await check(note, new Map([...all].filter(([path]) => path !== 'evidence/rows/M01.json')))
  expect(gone.ok && gone.files.find(({ fault }) => fault !== '')).toEqual({
    path: 'evidence/rows/M01.json',
    fault: 'it is not there',
  })
})

test('a note that leads out of its folder is none, whoever signed it', async () => {
  const sum = 'ab'.repeat(32)
  for (const path of ['../secret', '/etc/passwd', 'csv/../../secret', 'a..b', '']) {
    const note = await noteOf(`writ compliance report v1\n${sum}  ${path}\n`)
    expect(await check(note, all), path).toMatchObject({ ok: false })
    const list = utf8(`${sum}  ${path}\n`)
    const within = new Map([...report, [evidenceSums, list]])
    expect(await check(await noteOf(manifestText(within, sha256)), within), path).toMatchObject({ ok: false })
  }
  const binary = new Map([...report, [evidenceSums, Uint8Array.of(255, 254)]])
  expect(await check(await noteOf(manifestText(binary, sha256)), binary)).toMatchObject({ ok: false })
  expect(await check(await noteOf('something else\n'), all)).toMatchObject({ ok: false })
  const note = await noteOf(manifestText(report, sha256))
  const other = noteKey(sha256, 'bank.example/reports', raw.with(3, raw[3]! ^ 1))!
  const read = async () => undefined
  expect(await checkSigned(note, other, read, { sha256, verifyNote: verifyEd25519 })).toMatchObject({ ok: false })
})

test('whatever a note or a list of files holds, it is read or refused', async () => {
  const words = fc.oneof(
    fc.string(),
    fc.constantFrom('writ compliance report v1', `${'ab'.repeat(32)}  a`, '\n', '\n\n'),
  )
  await fc.assert(
    fc.asyncProperty(fc.array(words), async (parts) => {
      const text = parts.join('\n')
      expect(typeof (await check(text, all)).ok).toBe('boolean')
      const within = new Map([...report, [evidenceSums, utf8(text)]])
      expect(typeof (await check(await noteOf(manifestText(within, sha256)), within)).ok).toBe('boolean')
    }),
  )
})

test('where a log has witnesses, evidence waits for their word on what there is, and not for long', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'writ-pins-'))
  onTestFinished(() => rm(dir, { recursive: true, force: true }))
  const signer = new Signer()
  const { leaves } = new Mesh().calls(5).head()
  const put = async (path: string, bytes: Uint8Array | string): Promise<void> => {
    await mkdir(dirname(join(dir, path)), { recursive: true })
    await writeFile(join(dir, path), bytes)
  }
  for (const [path, bytes] of await filesOf(leaves, signer)) await put(`0/${path}`, bytes)
  const earlier = fromUtf8((await filesOf(leaves.slice(0, 3), signer)).get('checkpoint')!)
  const newest = fromUtf8((await filesOf(leaves, signer)).get('checkpoint')!)
  const place = { dir, key: signer.key, verifyHead: verifyTestHead, sha256 }
  expect(await witnessedPins(place, 0)).toBeUndefined() // Nobody is asked.
  await put('witness.policy', 'quorum none\n')
  await put('0/checkpoint.witnessed', earlier)
  expect(await witnessedPins(place, 0)).toBeUndefined() // They are behind.
  const waiting = witnessedPins(place, 60_000)
  await put('0/checkpoint.witnessed', newest)
  const [pin] = (await waiting)!
  expect(parseCheckpoint(parseNote(pin!.note)!.text)?.size).toBe(leaves.length)
  expect(pin).toMatchObject({ shard: 0, witnessed: pin!.note, stamps: 0 })
})
