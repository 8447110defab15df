import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, afterEach, beforeAll, beforeEach, expect } from 'vitest'
import { tileReader } from '../../../audit/node/folder.ts'
import { readTimestamp, timestampFault, timestampRequest } from '../../../audit/node/timestamp.ts'
import { openTimestamps, type TimestampEvent, type Timestamps } from '../../../audit/node/timestamps.ts'
import { verifyLog } from '../../../audit/verify/verify.ts'
import { needs } from '../../parts/needs.ts'
import { type Authority, openAuthority, opensslVerifies } from '../../parts/openssl-tsa.ts'
import { sha256 } from '../log/naive.ts'
import { filesOf, Mesh, partsOf, Signer, told } from '../verify/log.ts'

/** Time stamps (RFC 3161) of checkpoints, by an authority that is openssl's own. */

const test = needs('openssl')
const signer = new Signer()
const { leaves } = new Mesh().calls(5).head()
let authority: Authority
let dir: string
let nowMs: number
let events: TimestampEvent[]
let timestamps: Timestamps
const random = (length: number) => crypto.getRandomValues(new Uint8Array(length))
const open = (everyMs = 3_600_000): Timestamps =>
  openTimestamps({
    ...{ url: authority.url, everyMs, logDir: dir, sha256, random },
    nowMs: () => nowMs,
    onEvent: (event) => events.push(event),
  })
const stamps = () =>
  readdir(join(dir, '0', 'timestamps')).then(
    (names) => names.sort(),
    () => [],
  )
const offer = async (): Promise<void> => {
  timestamps.offer(0, tileReader(join(dir, '0')))
  await timestamps.settled()
}
async function writeLog(size: number, more: Readonly<Record<string, string>> = {}): Promise<void> {
  for (const [path, bytes] of [...(await filesOf(leaves.slice(0, size), signer)), ...Object.entries(more)]) {
    await mkdir(join(dir, '0', path, '..'), { recursive: true })
    await writeFile(join(dir, '0', path), bytes)
  }
}
beforeAll(async () => {
  authority = await openAuthority()
})
afterAll(() => authority.close())
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'writ-stamps-'))
  nowMs = Date.now()
  events = []
  timestamps = open()
  await writeLog(5)
})
afterEach(async () => {
  await timestamps.close()
  await rm(dir, { recursive: true, force: true })
})
const verified = () =>
  verifyLog({
    ...partsOf([], signer),
    sources: [{ shard: 0, read: tileReader(join(dir, '0')) }],
    timestampFault: (token, note) => timestampFault(token, sha256(note)),
  })

test('the newest checkpoint is stamped at once and then each hour, and openssl verifies each stamp', async () => {
  await offer()
  expect(await stamps()).toEqual(['000001.note', '000001.tsr'])
  nowMs += 3_599_000
  await offer()
  expect(await stamps()).toHaveLength(2)
  await writeLog(leaves.length)
  nowMs += 1000
  await offer()
  expect(await stamps()).toEqual(['000001.note', '000001.tsr', '000002.note', '000002.tsr'])
  for (const name of ['000001', '000002']) {
    const path = join(dir, '0', 'timestamps', name)
    expect(await opensslVerifies(authority.ca, `${path}.note`, `${path}.tsr`)).toBe(true)
    expect(await opensslVerifies(authority.ca, join(dir, '0', 'tile/0/000'), `${path}.tsr`)).toBe(false)
  }
  const result = await verified()
  expect(result.shards[0]!.stamped).toBe(2)
  expect(told(result).filter((line) => line.startsWith('broken'))).toEqual([])
})

test('the process that comes after goes on with the numbers, and does not stamp before its hour', async () => {
  await offer()
  await timestamps.close()
  timestamps = open()
  await offer()
  expect(await stamps()).toHaveLength(2)
  nowMs += 3_700_000
  await offer()
  expect(await stamps()).toContain('000002.tsr')
})

test('a stamp of another checkpoint, a broken one and one that is missing are found', async () => {
  await offer()
  await writeLog(leaves.length)
  nowMs += 3_600_000
  await offer()
  const of = (name: string): string => join(dir, '0', 'timestamps', name)
  const [one, two] = [await readFile(of('000001.tsr')), await readFile(of('000002.tsr'))]
  const broken = async (): Promise<readonly string[]> => {
    const { findings } = await verified()
    return findings.filter(({ level }) => level === 'broken').map(({ code, what }) => `${code} ${what}`)
  }
  await writeFile(of('000001.tsr'), two)
  expect(await broken()).toEqual(['timestamp_invalid the time stamp timestamps/000001.tsr: it is of something else'])
  await writeFile(of('000001.tsr'), 'garbage')
  expect((await broken())[0]).toContain('not a time stamp response')
  await rm(of('000001.tsr'))
  expect((await broken())[0]).toContain('it is not there')
  await writeFile(of('000001.tsr'), one)
  expect(await broken()).toEqual([])
})

test('a log that does not extend what was stamped of it is found', async () => {
  await offer()
  const other = new Mesh().calls(9).head().leaves
  for (const [path, bytes] of await filesOf(other, signer)) await writeFile(join(dir, '0', path), bytes).catch(() => {})
  await rm(join(dir, '0', 'tile'), { recursive: true })
  for (const [path, bytes] of await filesOf(other, signer)) {
    await mkdir(join(dir, '0', path, '..'), { recursive: true })
    await writeFile(join(dir, '0', path), bytes)
  }
  expect(told(await verified())).toContain('broken checkpoint_forked 0/-')
})

test('an authority that fails keeps nothing, and is asked again after a minute', async () => {
  const failing = await openAuthority()
  try {
    timestamps = openTimestamps({
      ...{ url: failing.url, everyMs: 3_600_000, logDir: dir, sha256, random },
      nowMs: () => nowMs,
      onEvent: (event) => events.push(event),
    })
    const good = new Uint8Array(0)
    for (const [status, body, why] of [
      [500, good, 'answered 500'],
      [200, Uint8Array.of(0x30, 0), 'not a time stamp response'],
      [200, new Uint8Array(100_000), 'more than 65536 bytes'],
      [200, Uint8Array.from(Buffer.from('30053003020102', 'hex')), 'refused (status 2)'],
    ] as const) {
      failing.answer(status, body)
      nowMs += 60_000
      await offer()
      await offer() // Not within the minute.
      expect(events).toMatchObject([{ kind: 'stamp_failed', why: expect.stringContaining(why) }])
      events = []
    }
    expect(await stamps()).toEqual([])
  } finally {
    await failing.close()
  }
})

test('an answer to another request is refused though it is of the same checkpoint', async () => {
  await offer()
  const token = new Uint8Array(await readFile(join(dir, '0', 'timestamps', '000001.tsr')))
  const note = await readFile(join(dir, '0', 'timestamps', '000001.note'))
  expect(timestampFault(token, sha256(note))).toBeUndefined()
  expect(timestampFault(token, sha256(note), random(8))).toBe('it answers another request')
  const read = readTimestamp(token)
  expect(read).toMatchObject({ imprint: sha256(note), time: expect.stringMatching(/^20\d{12}Z$/) })
})

test('no bytes make it throw, and no changed imprint passes', async () => {
  await offer()
  const token = new Uint8Array(await readFile(join(dir, '0', 'timestamps', '000001.tsr')))
  fc.assert(fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => void readTimestamp(bytes)))
  fc.assert(
    fc.property(fc.nat(token.length - 1), fc.nat(255), (at, byte) => {
      expect(() => readTimestamp(token.with(at, byte))).not.toThrow()
      expect(() => readTimestamp(token.slice(0, at))).not.toThrow()
    }),
  )
  expect(timestampRequest(sha256(token), random(8))).toHaveLength(69)
})
