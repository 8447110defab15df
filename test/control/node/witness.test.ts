import { appendFile, mkdtemp, readdir, readFile, rm, stat, truncate } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type Cosignature, cosignaturesOf, parseCosignerKey, withLines } from '../../../audit/log/cosignature.ts'
import { consistencyProof, Frontier, leafHash } from '../../../audit/log/merkle.ts'
import { formatAddCheckpoint } from '../../../audit/log/witness.ts'
import { verifyEd25519 } from '../../../audit/node/ed25519.ts'
import { openWitness, type Witness, type WitnessEvent } from '../../../audit/node/witness.ts'
import { openWitnessDoor, type WitnessDoor } from '../../../control/node/witness-door.ts'
import { toBase64, toHex, utf8 } from '../../../core/bytes.ts'
import { sha256 } from '../../audit/log/naive.ts'
import { Signer } from '../../audit/verify/log.ts'
import { ask, buildWitnessing, removeWitnessing } from '../../audit/witness/go.ts'
import { needs, pathOf } from '../../parts/needs.ts'

/** A witness over HTTP, by the letter of c2sp.org/tlog-witness. */

const signer = new Signer()
const origin = 'bank.example/audit/0'
const name = 'witness.example/w1'
const rootOf = (size: number, salt = ''): Uint8Array => {
  const frontier = new Frontier(sha256)
  for (let i = 0; i < size; i++) frontier.append(leafHash(sha256, utf8(`${salt}${i}`)))
  return frontier.root()
}
const hashAt = (level: number, index: number) => {
  const part = new Frontier(sha256)
  for (let i = index * 2 ** level; i < (index + 1) * 2 ** level; i++) part.append(leafHash(sha256, utf8(String(i))))
  return part.root()
}
const proof = (old: number, size: number) => consistencyProof(sha256, old, size, hashAt)
const note = (size: number, salt = '') => signer.checkpoint(0, size, rootOf(size, salt))

let dir: string
let nowS: number
let witness: Witness
let door: WitnessDoor
let events: WitnessEvent[]
const open = async (): Promise<void> => {
  witness = await openWitness({
    ...{ dir, keyFile: join(dir, 'witness.key'), name, sha256 },
    logs: [{ origin, keys: [signer.key] }],
    nowMs: () => nowS * 1000,
    onEvent: (event) => events.push(event),
  })
  door = await openWitnessDoor(witness, { address: '127.0.0.1', port: 0 }, (thrown) => {
    throw thrown
  })
}
const close = async (): Promise<void> => {
  await door.close()
  await witness.close()
}
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'writ-witness-'))
  nowS = 1_800_000_000
  events = []
  await open()
})
afterEach(async () => {
  await close()
  await rm(dir, { recursive: true, force: true })
})

async function post(
  body: string,
): Promise<{ readonly status: number; readonly type: string | null; readonly text: string }> {
  const response = await fetch(`${door.url}/add-checkpoint`, { method: 'POST', body })
  return { status: response.status, type: response.headers.get('content-type'), text: await response.text() }
}
const add = async (old: number, size: number, given?: readonly Uint8Array[], signed?: string) =>
  post(
    formatAddCheckpoint({
      old,
      proof: given ?? (old === 0 ? [] : await proof(old, size)),
      note: signed ?? (await note(size)),
    }),
  )

async function cosignedBy(signed: string, lines: string): Promise<readonly Cosignature[]> {
  const key = parseCosignerKey(sha256, witness.verifierKey)!
  const read = await cosignaturesOf(withLines(signed, lines.trimEnd().split('\n')), [key], verifyEd25519)
  return read.ok ? read.cosignatures : []
}
const monitored = async () => {
  const response = await fetch(`${door.url}/${toHex(sha256(utf8(origin)))}/checkpoint`)
  return { status: response.status, text: await response.text() }
}

test('a first checkpoint is cosigned with the time, and so is each that extends the last', async () => {
  const first = await add(0, 5)
  expect(first).toMatchObject({ status: 200, type: expect.stringContaining('text/plain') })
  expect(await cosignedBy(await note(5), first.text)).toMatchObject([{ time: nowS }])
  nowS += 60
  const second = await add(5, 12)
  expect(await cosignedBy(await note(12), second.text)).toMatchObject([{ time: nowS }])
  expect((await add(12, 12)).status).toBe(200) // The same once more, from its own size.
})

test('the last one can be read with the signature of the log and the cosignature, and nothing is there before', async () => {
  expect((await monitored()).status).toBe(404)
  const stranger = new Signer()
  const extra = (await stranger.checkpoint(0, 5, rootOf(5))).split('\n').at(-2)!
  const { text } = await add(0, 5, [], withLines(await note(5), [extra.replace('bank.example/audit', 'someone')]))
  expect(await monitored()).toEqual({ status: 200, text: withLines(await note(5), [text]) })
  expect((await fetch(`${door.url}/${'0'.repeat(64)}/checkpoint`)).status).toBe(404)
})

test('an old size that is not the last one is 409 with the size that is', async () => {
  expect(await add(3, 5)).toEqual({ status: 409, type: 'text/x.tlog.size', text: '0\n' })
  await add(0, 5)
  expect(await add(0, 12)).toEqual({ status: 409, type: 'text/x.tlog.size', text: '5\n' })
  expect(await add(4, 12)).toMatchObject({ status: 409 })
  expect(await add(5, 12)).toMatchObject({ status: 200 })
  expect(await add(5, 9)).toEqual({ status: 409, type: 'text/x.tlog.size', text: '12\n' }) // Never back.
})

test('a log that is unknown is 404, a signature that is not the log’s is 403, a note that is none 400', async () => {
  const elsewhere = await signer.checkpoint(1, 5, rootOf(5))
  expect((await add(0, 5, [], elsewhere)).status).toBe(404)
  expect((await add(0, 5, [], await new Signer().checkpoint(0, 5, rootOf(5)))).status).toBe(403)
  const forged = (await note(5)).replace('\n5\n', '\n6\n')
  expect((await add(0, 6, [], forged)).status).toBe(403)
  const good = formatAddCheckpoint({ old: 0, proof: [], note: await note(5) })
  for (const body of [
    '',
    'old 0\n',
    good.replace('old 0', 'old 00'),
    good.replace('old 0', 'old -1'),
    good.slice(0, -1),
  ])
    expect((await post(body)).status, body).toBe(400)
  const hash = toBase64(rootOf(1))
  expect((await post(good.replace('old 0\n', `old 0\n${`${hash}\n`.repeat(64)}`))).status).toBe(400)
  expect((await post('x'.repeat(100_000))).status).toBe(413)
  expect((await add(0, 5)).status).toBe(200)
  expect((await add(9, 5, [])).status).toBe(400) // An old size above the new one.
})

test('no proof, a wrong proof, a proof from nothing and another tree are 422, and change nothing', async () => {
  expect((await add(0, 5, [rootOf(1)])).status).toBe(422)
  expect((await add(0, 0, [], await signer.checkpoint(0, 0, rootOf(1)))).status).toBe(422)
  await add(0, 5)
  const before = await monitored()
  expect((await add(5, 12, [])).status).toBe(422)
  expect((await add(5, 12, await proof(4, 12))).status).toBe(422)
  expect((await add(5, 12, undefined, await note(12, 'other'))).status).toBe(422)
  expect((await add(5, 5, [], await note(5, 'other'))).status).toBe(422)
  expect(await monitored()).toEqual(before)
  expect((await add(5, 12)).status).toBe(200)
})

test('two trees of one size, both signed by the log, are kept as proof; a stranger’s second tree is not', async () => {
  await add(0, 5)
  await add(5, 5, [], await new Signer().checkpoint(0, 5, rootOf(5, 'other')))
  expect(events).toEqual([])
  await add(5, 5, [], await note(5, 'other'))
  const [event] = events
  expect(event).toMatchObject({ kind: 'fork', origin, size: 5 })
  const kept = await readFile(event!.file!, 'utf8')
  expect(kept).toContain(await note(5))
  expect(kept).toContain(await note(5, 'other'))
  expect(await readdir(join(dir, 'forks'))).toHaveLength(1)
})

test('of many that come at once from the same size one is cosigned, and the last is never rolled back', async () => {
  await add(0, 5)
  const sizes = Array.from({ length: 20 }, (_, i) => 6 + i)
  const answers = await Promise.all(sizes.map((size) => add(5, size)))
  const won = answers.findIndex(({ status }) => status === 200)
  expect(answers.filter(({ status }) => status === 200)).toHaveLength(1)
  expect(new Set(answers.filter((_, i) => i !== won).map(({ status, text }) => `${status} ${text}`))).toEqual(
    new Set([`409 ${sizes[won]}\n`]),
  )
})

test('what was cosigned is remembered by the next run, by the same key', async () => {
  const key = witness.verifierKey
  await add(0, 12)
  const before = await monitored()
  await close()
  await open()
  expect(witness.verifierKey).toBe(key)
  expect(await monitored()).toEqual(before)
  expect(await add(0, 5)).toMatchObject({ status: 409, text: '12\n' })
  expect((await stat(join(dir, 'witness.key'))).mode & 0o777).toBe(0o600)
})

test('a memory that cannot be written answers nothing, one that cannot be read does not begin anew', async () => {
  await add(0, 5)
  const file = join(dir, 'last', toHex(sha256(utf8(origin))))
  await close()
  await appendFile(file, 'x')
  await expect(open()).rejects.toMatchObject({ code: 'fork', cure: expect.stringContaining('new key') })
  await truncate(file, (await stat(file)).size - 1)
  await open()
  expect(await add(5, 12)).toMatchObject({ status: 200 })
  nowS++
  await rm(join(dir, 'last'), { recursive: true })
  await expect(witness.add(utf8(formatAddCheckpoint({ old: 12, proof: [], note: await note(12) })))).rejects.toThrow()
})

test('who repeats a request within a second is told the same and makes the disk no work; a second later it is cosigned anew', async () => {
  await add(0, 5)
  const file = join(dir, 'last', toHex(sha256(utf8(origin))))
  const { ino } = await stat(file)
  const again = await add(5, 5)
  expect((await stat(file)).ino).toBe(ino)
  nowS++
  const later = await add(5, 5)
  expect(later.text).not.toBe(again.text)
  expect(await monitored()).toMatchObject({ text: expect.stringContaining(later.text) })
})

describe('the client of transparency-dev/witness', () => {
  const goTest = needs('go')
  let program: string
  beforeAll(async () => {
    program = await buildWitnessing(pathOf('go'))
  }, 300_000)
  afterAll(() => removeWitnessing(program))
  const submit = async (old: number, signed: string, given: readonly Uint8Array[]) =>
    ask(program, ['submit', door.url, String(old), ...given.map(toBase64)], signed)

  goTest('is understood, and understands each answer', async () => {
    const lines = await submit(0, await note(5), [])
    expect(await cosignedBy(await note(5), lines!)).toMatchObject([{ time: nowS }])
    expect(await ask(program, ['verify', witness.verifierKey], withLines(await note(5), [lines!]))).toBe(`${nowS}\n`)
    expect(await submit(0, await note(12), [])).toBe('stale 5\n')
    expect(await cosignedBy(await note(12), (await submit(5, await note(12), await proof(5, 12)))!)).toHaveLength(1)
    expect(await submit(12, await note(20), await proof(5, 20))).toContain('proof invalid')
    expect(await submit(12, await new Signer().checkpoint(0, 20, rootOf(20)), await proof(12, 20))).toContain(
      'no valid signatures',
    )
    expect(await submit(0, await signer.checkpoint(7, 5, rootOf(5)), [])).toContain('unknown log')
  })
})
