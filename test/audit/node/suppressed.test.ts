import { chmodSync, cpSync, readdirSync, rmSync, statSync, truncateSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test, vi } from 'vitest'
import { openRecorder, type Recorder } from '../../../audit/node/recorder.ts'
import { diskFiles, type SpoolFiles } from '../../../audit/node/spool-files.ts'
import type { Notice } from '../../../audit/stream/notice.ts'
import type { Verdict } from '../../../core/decision.ts'
import type { RecordSink } from '../../../core/ports.ts'
import type { AuditEvent, HeadBody, StartBody, SuppressedBody } from '../../../core/record.ts'
import { decision, folder, id, identity, recorderOptions, settings, testStream } from './spool-kit.ts'

const accounting = settings({ onFull: 'allow-and-account', headEveryMs: 20 })

/** What a proxy does: keeps, and where that fails asks whether to go on. */
async function decide(sink: RecordSink, verdict: 'allow' | 'deny'): Promise<'kept' | 'passed' | 'refused'> {
  try {
    await sink.keep(decision(verdict))
    return 'kept'
  } catch (thrown) {
    return sink.account?.(verdict satisfies Verdict, thrown) === true && verdict === 'allow' ? 'passed' : 'refused'
  }
}

const ofKind = <Body>(stream: { events(): AuditEvent[] }, kind: string): AuditEvent<never>[] & Body[] =>
  stream.events().filter((event) => event.kind === kind) as never

async function untilTold(recorder: Recorder, stream: ReturnType<typeof testStream>): Promise<SuppressedBody[]> {
  await vi.waitFor(() => expect(ofKind<SuppressedBody>(stream, 'suppressed').length).toBeGreaterThan(0), 10_000)
  await recorder.close({ timeoutMs: 2000 })
  return ofKind<SuppressedBody>(stream, 'suppressed')
}

const lastHead = (stream: ReturnType<typeof testStream>): HeadBody => ofKind<HeadBody>(stream, 'head').at(-1)!

/** A disk that takes nothing while it is told so, as one that was mounted read-only, or filled by somebody else. */
function refusingDisk(code: string): { files: SpoolFiles; refuses: boolean } {
  const disk = {
    refuses: false,
    files: {
      ...diskFiles,
      create: (path: string) => (disk.refuses ? fail(code) : diskFiles.create(path)),
      write: (...args: Parameters<SpoolFiles['write']>) => (disk.refuses ? fail(code) : diskFiles.write(...args)),
    },
  }
  return disk
}

function fail(code: string): never {
  throw Object.assign(new Error(`${code}: no`), { code })
}

test('by default a full disk refuses: nothing passes and nothing is accounted for', async () => {
  const disk = refusingDisk('ENOSPC')
  const stream = testStream()
  const recorder = await openRecorder(recorderOptions({ stream, files: disk.files }))
  const orders = await recorder.producer({ id: id('orders'), ...identity('orders') })
  disk.refuses = true
  expect(await decide(orders, 'allow')).toBe('refused')
  disk.refuses = false
  expect(await decide(orders, 'allow')).toBe('kept')
  await recorder.close({ timeoutMs: 2000 })
  expect(ofKind(stream, 'suppressed')).toEqual([])
  expect(lastHead(stream).counts).toEqual({ allow: 1, deny: 0, fault: 0 })
})

test.each(['ENOSPC', 'EACCES', 'EROFS'])(
  'with allow-and-account a disk that says %s lets allows pass, counted by verdict and told in one record',
  async (code) => {
    const disk = refusingDisk(code)
    const stream = testStream()
    const recorder = await openRecorder(recorderOptions({ stream, files: disk.files, settings: accounting }))
    const orders = await recorder.producer({ id: id('orders'), ...identity('orders') })
    expect(await decide(orders, 'allow')).toBe('kept')
    disk.refuses = true
    expect(await decide(orders, 'allow')).toBe('passed')
    expect(await decide(orders, 'deny')).toBe('refused')
    expect(await decide(orders, 'allow')).toBe('passed')
    await new Promise((resolve) => setTimeout(resolve, 600)) // Attempts to tell of them fail meanwhile, and lose nothing.
    disk.refuses = false
    const told = await untilTold(recorder, stream)
    expect(told).toMatchObject([{ counts: { allow: 2, deny: 1, fault: 0 }, why: expect.stringContaining(code) }])
    expect(told[0]!.from <= told[0]!.until).toBe(true)
    expect(lastHead(stream).counts).toEqual({ allow: 1, deny: 0, fault: 0, suppressed: 3 })
  },
)

test('a spool at its limit counts what passes until segments are released', async () => {
  const stream = testStream()
  const small = settings({ ...accounting, spoolMaxBytes: 64 * 1024, segmentBytes: 16 * 1024 })
  let room = false
  const recorder = await openRecorder(
    recorderOptions({
      stream,
      settings: small,
      findReceipt: async () => (room ? ({ index: 0, path: [], note: '' } as never) : undefined),
      verifyReceipt: () => true,
      releaseEveryMs: 10,
      rollAfterMs: 10,
    }),
  )
  const orders = await recorder.producer({ id: id('orders'), ...identity('orders') })
  const seen = { kept: 0, passed: 0, refused: 0 }
  while (seen.passed < 20) seen[await decide(orders, 'allow')]++
  expect(seen.refused).toBe(0)
  room = true
  const told = await untilTold(recorder, stream)
  expect(told.reduce((sum, { counts }) => sum + counts.allow, 0)).toBe(seen.passed)
  expect(ofKind(stream, 'decision')).toHaveLength(seen.kept)
  expect(lastHead(stream).counts).toEqual({ allow: seen.kept, deny: 0, fault: 0, suppressed: seen.passed })
})

test('a folder deleted under a running recorder is noticed, accounted for, and made anew', async () => {
  const dir = folder()
  const stream = testStream()
  const notices: Notice[] = []
  const recorder = await openRecorder(recorderOptions({ dir, stream, settings: accounting, notices }))
  const orders = await recorder.producer({ id: id('orders'), ...identity('orders') })
  rmSync(dir, { recursive: true })
  let passed = 0
  await vi.waitFor(async () => {
    if ((await decide(orders, 'allow')) === 'passed') passed++
    expect(passed).toBeGreaterThan(0)
  }, 10_000)
  expect(notices.map(({ name }) => name)).toContain('spool_unavailable')
  const told = await untilTold(recorder, stream)
  expect(told.reduce((sum, { counts }) => sum + counts.allow, 0)).toBe(passed)
  expect(notices.map(({ name }) => name)).toContain('spool_available')
})

test.skipIf(process.getuid?.() === 0)('a folder that nobody may write to any more is the same', async () => {
  const dir = folder()
  const stream = testStream()
  const roll = settings({ ...accounting, segmentBytes: 4096 })
  const recorder = await openRecorder(recorderOptions({ dir, stream, settings: roll }))
  const orders = await recorder.producer({ id: id('orders'), ...identity('orders') })
  chmodSync(dir, 0o500)
  let passed = 0
  while (passed < 3) if ((await decide(orders, 'allow')) === 'passed') passed++
  chmodSync(dir, 0o700)
  const told = await untilTold(recorder, stream)
  expect(told[0]!.counts.allow).toBe(passed)
})

test('what the stream did not acknowledge in time is in the spool: it is refused and not counted twice', async () => {
  const stream = testStream()
  stream.fails = () => true
  const replicated = settings({ ...accounting, durability: 'replicated' })
  const recorder = await openRecorder(recorderOptions({ stream, settings: replicated, acknowledgeWithinMs: 20 }))
  const orders = await recorder.producer({ id: id('orders'), ...identity('orders') })
  expect(await decide(orders, 'allow')).toBe('refused')
  stream.fails = () => false
  await recorder.close({ timeoutMs: 5000 })
  expect(lastHead(stream).counts).toEqual({ allow: 1, deny: 0, fault: 0 })
})

test('a producer that ends before it could tell says so', async () => {
  const disk = refusingDisk('ENOSPC')
  const notices: Notice[] = []
  const recorder = await openRecorder(recorderOptions({ files: disk.files, settings: accounting, notices }))
  const orders = await recorder.producer({ id: id('orders'), ...identity('orders') })
  disk.refuses = true
  expect(await decide(orders, 'allow')).toBe('passed')
  await orders.close()
  disk.refuses = false
  await recorder.close({ timeoutMs: 2000 })
  expect(notices).toContainEqual(
    expect.objectContaining({ name: 'suppressed_untold', detail: expect.stringContaining('1 allow') }),
  )
})

test('a torn tail is told when the spool is opened, and the next start quotes the record before it as a crash', async () => {
  const dir = folder()
  const stream = testStream()
  stream.fails = () => true
  const first = await openRecorder(recorderOptions({ dir, stream }))
  const orders = await first.producer({ id: id('orders'), ...identity('orders') })
  for (let i = 0; i < 3; i++) await orders.keep(decision('deny')) // On the disk, each of them.
  const crashed = folder()
  cpSync(dir, crashed, { recursive: true, filter: (path) => !path.includes('lock') })
  await first.close({ timeoutMs: 10 })
  const segment = join(crashed, readdirSync(crashed).find((name) => name.endsWith('.seg'))!)
  truncateSync(segment, statSync(segment).size - 5)

  const notices: Notice[] = []
  const told = testStream()
  const next = await openRecorder(recorderOptions({ dir: crashed, stream: told, notices }))
  await next.producer({ id: id('orders'), ...identity('orders') })
  await next.close({ timeoutMs: 2000 })
  expect(notices.map(({ name }) => name)).toContain('spool_cut')
  const starts = ofKind<StartBody>(told, 'start')
  expect((starts.at(-1) as unknown as StartBody).previous).toMatchObject({ seq: 2, ended: 'crash' })
  expect(ofKind(told, 'decision')).toHaveLength(2)
})
