import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type CosignerKey, cosign, withLines } from '../../../audit/log/cosignature.ts'
import { parseNote } from '../../../audit/log/note.ts'
import { type LogPolicy, quorumOf } from '../../../audit/log/policy.ts'
import { formatVerification } from '../../../audit/verify/format.ts'
import { type VerifyParts, verifyLog } from '../../../audit/verify/verify.ts'
import { fromUtf8, utf8 } from '../../../core/bytes.ts'
import { type TestWitness, testWitness } from '../witness/go.ts'
import { type Files, filesOf, Mesh, partsOf, rootOfLeaves, Signer, told } from './log.ts'

/** What a reader who asks for witnesses is told: by whom the log was seen, how far, and where it was not. */

const time = 1_800_000_000
const signer = new Signer()
const [one, two, three] = ['w1', 'w2', 'w3'].map((name) => testWitness(`witness.example/${name}`)) as [
  TestWitness,
  TestWitness,
  TestWitness,
]
const policyOf = (least: number, ...witnesses: readonly TestWitness[]): LogPolicy =>
  quorumOf(
    undefined,
    witnesses.map(({ key }: { readonly key: CosignerKey }) => ({ key })),
    least,
  )
async function cosigned(note: string, ...by: readonly TestWitness[]): Promise<string> {
  const { text } = parseNote(note)!
  return withLines(note, await Promise.all(by.map(({ key, sign }) => cosign(text, key, time, sign))))
}
const mesh = new Mesh().calls(20).head()
const { leaves } = mesh
const noteOver = (size: number, of: readonly Uint8Array[] = leaves): Promise<string> =>
  signer.checkpoint(0, size, rootOfLeaves(of.slice(0, size)))
const verify = (files: Files, more: Partial<VerifyParts>) => verifyLog({ ...partsOf([files], signer), ...more })
async function logWith(checkpoint: string, witnessed?: string): Promise<Files> {
  const files = await filesOf(leaves, signer)
  files.set('checkpoint', utf8(checkpoint))
  if (witnessed !== undefined) files.set('checkpoint.witnessed', utf8(witnessed))
  return files
}

test('a log that the quorum cosigned is whole, and says by whom, when and how far', async () => {
  const note = await cosigned(await noteOver(leaves.length), one, two)
  const result = await verify(await logWith(note, note), { policy: policyOf(2, one, two, three) })
  expect(result.ok).toBe(true)
  expect(told(result).filter((line) => line.includes('witness'))).toEqual([])
  expect(result.shards[0]!.witnessed).toEqual({
    newest: {
      size: leaves.length,
      by: [
        { witness: 'witness.example/w1', time },
        { witness: 'witness.example/w2', time },
      ],
    },
    count: 1,
    sizes: [leaves.length],
    looked: 1,
    checkpoints: [{ size: leaves.length, met: true, by: ['witness.example/w1', 'witness.example/w2'] }],
  })
  expect(formatVerification(result)).toContain(
    `witnessed: bank.example/audit/0 up to ${leaves.length} leaves, by witness.example/w1 at 2027-01-15T08:00:00Z`,
  )
})

test('one cosignature less than the quorum is broken', async () => {
  const note = await cosigned(await noteOver(leaves.length), one, three)
  const few = await verify(await logWith(note), { policy: policyOf(2, one, two) })
  expect(told(few)).toContain('broken quorum_missing 0/-')
  expect(few.ok).toBe(false)
  expect((await verify(await logWith(note), { policy: policyOf(1, one, two) })).ok).toBe(true)
})

test('where the newest checkpoint has no quorum an older one counts, and what is not under it is said', async () => {
  const files = await logWith(await noteOver(leaves.length), await cosigned(await noteOver(20), one, two))
  const result = await verify(files, { policy: policyOf(2, one, two) })
  expect(result.ok).toBe(true)
  expect(result.shards[0]!.witnessed!.newest!.size).toBe(20)
  expect(result.findings.find(({ code }) => code === 'unwitnessed')).toMatchObject({
    level: 'note',
    what: `the last ${leaves.length - 20} leaves are under no checkpoint with a quorum yet`,
  })
  const kept = [await cosigned(await noteOver(21), one, two), await noteOver(22)]
  const more = await verify(files, { policy: policyOf(2, one, two), kept: () => kept })
  expect(more.shards[0]!.witnessed).toMatchObject({ newest: { size: 21 }, count: 2, sizes: [21, 20] })
})

test('of each checkpoint it is said whether it met the quorum, and by whom', async () => {
  const files = await logWith(await noteOver(leaves.length), await cosigned(await noteOver(20), one, two))
  const kept = [await cosigned(await noteOver(22), one), await noteOver(22), await noteOver(20)]
  const policy = policyOf(2, one, two)
  const result = await verify(files, { policy, kept: () => kept })
  expect(result.shards[0]!.witnessed).toMatchObject({
    looked: 3,
    count: 1,
    checkpoints: [
      { size: leaves.length, met: false, by: [] },
      { size: 22, met: false, by: ['witness.example/w1'] },
      { size: 20, met: true, by: ['witness.example/w1', 'witness.example/w2'] },
    ],
  })
})

test('a cosignature that does not hold is broken, also where others make the quorum', async () => {
  const note = await cosigned(await noteOver(leaves.length), one, two)
  const moved = (await cosigned(await noteOver(20), three)).split('\n').at(-2)!
  const result = await verify(await logWith(withLines(note, [moved])), { policy: policyOf(2, one, two, three) })
  expect(told(result)).toContain('broken cosignature_invalid 0/-')
  // Who does not ask for the third is not told of it.
  expect((await verify(await logWith(withLines(note, [moved])), { policy: policyOf(2, one, two) })).ok).toBe(true)
})

test('a second log that the key holder shows to somebody else is found by the witness’s checkpoint of the first', async () => {
  const seen = await cosigned(await noteOver(leaves.length), one)
  const other = new Mesh().calls(30).head()
  const second = await filesOf(other.leaves, signer) // Signed by the same key, whole in itself.
  expect((await verify(second, {})).ok).toBe(true)
  expect(told(await verify(second, { policy: policyOf(1, one) }))).toContain('broken quorum_missing 0/-')
  expect(told(await verify(second, { kept: () => [seen] }))).toContain('broken checkpoint_forked 0/-')
  second.set('checkpoint.witnessed', utf8(seen))
  expect(told(await verify(second, { policy: policyOf(1, one) }))).toContain('broken checkpoint_forked 0/-')
})

test('a log that was rolled back to before its witnessed checkpoint is broken, with and without a policy', async () => {
  const files = await filesOf(leaves.slice(0, 15), signer)
  files.set('checkpoint.witnessed', utf8(await cosigned(await noteOver(20), one)))
  expect(told(await verify(files, {}))).toContain('broken checkpoint_forked 0/-')
})

test('who asks for no witness is told what that means', async () => {
  const result = await verify(await filesOf(leaves, signer), {})
  expect(result.shards[0]!.witnessed).toBeUndefined()
  expect(formatVerification(result)).toContain('no witness asked for')
})

test('witnessed checkpoints of any content are judged, never thrown at', async () => {
  const note = await cosigned(await noteOver(20), one)
  const policy = policyOf(1, one)
  await fc.assert(
    fc.asyncProperty(fc.nat(note.length - 1), fc.string({ unit: 'binary', maxLength: 5 }), async (at, by) => {
      const files = await logWith(await noteOver(leaves.length), note.slice(0, at) + by + note.slice(at + 1))
      const result = await verify(files, { policy })
      expect(result.ok && fromUtf8(files.get('checkpoint.witnessed')!) !== note).toBe(false)
    }),
    { numRuns: 30 },
  )
})
