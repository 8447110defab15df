import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test, vi } from 'vitest'
import { embeddedStream } from '../../../audit/node/embedded.ts'
import { startPump } from '../../../audit/node/pump.ts'
import { openPosition } from '../../../audit/node/pump-position.ts'
import { openRecorder } from '../../../audit/node/recorder.ts'
import { Spool } from '../../../audit/node/spool.ts'
import { diskFiles, type SpoolFiles } from '../../../audit/node/spool-files.ts'
import type { Notice } from '../../../audit/stream/notice.ts'
import { fromUtf8 } from '../../../core/bytes.ts'
import type { StreamMessage } from '../../../core/ports.ts'
import type { Epoch } from '../../../core/record.ts'
import {
  byEpoch,
  decision,
  eventOf,
  folder,
  id,
  identity,
  random,
  recorderOptions,
  settings,
  sha256,
  testStream,
} from './spool-kit.ts'

const proof = { index: 0, path: [], note: '' }

test('a stream that fails at random gets every record of every epoch, in order, and only one batch at a time', async () => {
  const stream = testStream()
  const flying = new Map<Epoch, number>()
  let most = 0
  let overtaken = false
  const publish = stream.publish.bind(stream)
  stream.publish = async (batch) => {
    const now = (flying.get(batch.epoch) ?? 0) + 1
    overtaken ||= now > 1
    flying.set(batch.epoch, now)
    most = Math.max(most, [...flying.values()].filter((count) => count > 0).length)
    try {
      await publish(batch)
      // Stored, but the answer is lost: it is sent again.
      if (Math.random() < 0.2) throw new Error('the answer was lost')
    } finally {
      flying.set(batch.epoch, now - 1)
    }
  }
  stream.fails = () => Math.random() < 0.2
  const recorder = await openRecorder(recorderOptions({ stream, settings: settings({ segmentBytes: 8192 }) }))
  const names = ['orders', 'carts', 'users']
  const producers = await Promise.all(names.map((name) => recorder.producer({ id: id(name), ...identity(name) })))
  for (let round = 0; round < 20; round++) {
    await Promise.all(producers.map((producer) => producer.keep(decision())))
  }
  await recorder.close({ timeoutMs: 20_000 })

  expect(overtaken).toBe(false)
  expect(most).toBeGreaterThan(1)
  const epochs = byEpoch(stream.events())
  expect(epochs.size).toBe(3)
  for (const [epoch, events] of epochs) {
    expect(events.map(({ seq }) => seq)).toEqual(Array.from({ length: 22 }, (_, i) => i))
    const batches = stream.batches.filter((batch) => batch.epoch === epoch)
    expect(new Set(batches.map(({ partition }) => partition)).size).toBe(1)
    let next = 0
    for (const { firstSeq, records } of batches) {
      expect(firstSeq).toBeLessThanOrEqual(next) // Never past what was sent before: no hole, even for a moment.
      next = Math.max(next, firstSeq + records.length)
    }
  }
})

test('what a crash left is sent after the restart, before and beside the new epoch', async () => {
  const dir = folder()
  const away = testStream()
  away.fails = () => true
  const first = await openRecorder(recorderOptions({ dir, stream: away }))
  const orders = await first.producer({ id: id('orders'), ...identity('orders') })
  await orders.keep(decision('deny'))
  await first.close({ timeoutMs: 0 })
  expect(away.events()).toEqual([])

  const stream = testStream()
  const second = await openRecorder(recorderOptions({ dir, stream }))
  await second.producer({ id: id('orders'), ...identity('orders') })
  await second.flushed()
  expect([...byEpoch(stream.events()).values()].map((events) => events.map(({ kind }) => kind))).toEqual([
    ['start', 'decision', 'head'],
    ['start'],
  ])
  await second.close({ timeoutMs: 2000 })
})

test('the position spares what was acknowledged; without it, or with nonsense in it, everything is sent again', async () => {
  const dir = folder()
  const counts: number[] = []
  const acts = [
    () => {},
    () => {},
    () => rmSync(join(dir, 'position.json')),
    () => writeFileSync(join(dir, 'position.json'), '{"v":1,"segment":999,"at":77,"partitions":{}}'),
    () => writeFileSync(join(dir, 'position.json'), '{"v":1,"segment":1,"at":999999,"partitions":{}}'),
    () => writeFileSync(join(dir, 'position.json'), 'nonsense'),
  ]
  for (const act of acts) {
    act()
    const stream = testStream()
    const recorder = await openRecorder(recorderOptions({ dir, stream }))
    const orders = await recorder.producer({ id: id('orders'), ...identity('orders') })
    await orders.keep(decision())
    await recorder.close({ timeoutMs: 2000 })
    counts.push(stream.events().length)
  }
  expect(counts).toEqual([3, 3, 9, 12, 15, 18])
})

test('an epoch stays on its partition though the stream has more of them by now', async () => {
  const dir = folder()
  const few = testStream(1)
  const first = await openRecorder(recorderOptions({ dir, stream: few }))
  const orders = await first.producer({ id: id('orders'), ...identity('orders') })
  await first.flushed()
  few.fails = () => true
  await orders.keep(decision())
  await first.close({ timeoutMs: 0 })

  const many = testStream(1000)
  const second = await openRecorder(recorderOptions({ dir, stream: many }))
  await second.flushed()
  expect(many.batches.map(({ partition }) => partition)).toEqual([0])
  await second.close({ timeoutMs: 2000 })
})

test('an epoch that goes on stays on its partition though all it had in the spool was released meanwhile', async () => {
  const dir = folder()
  const stream = testStream(1)
  const recorder = await openRecorder({
    ...recorderOptions({ dir, stream, rollAfterMs: 0, releaseEveryMs: 5 }),
    findReceipt: async () => proof,
    verifyReceipt: async () => true,
  })
  const orders = await recorder.producer({ id: id('orders'), ...identity('orders') })
  await orders.keep(decision())
  await vi.waitFor(() => expect(existsSync(join(dir, '00000001.seg'))).toBe(false))
  stream.partitions = async () => 1000
  await orders.keep(decision())
  await recorder.close({ timeoutMs: 2000 })
  expect(new Set(stream.batches.map(({ partition }) => partition))).toEqual(new Set([0]))
})

test('a closed segment goes when every epoch in it is proven, and not one proof earlier', async () => {
  const dir = folder()
  const proven = new Set<string>()
  const asked: string[] = []
  const verified: string[] = []
  const recorder = await openRecorder({
    ...recorderOptions({ dir, rollAfterMs: 0, releaseEveryMs: 5 }),
    findReceipt: async ({ epoch, seq }) => {
      asked.push(`${epoch}-${seq}`)
      return proven.has(epoch) ? proof : undefined
    },
    verifyReceipt: async (_, record) => {
      const event = eventOf(record)
      verified.push(`${event.epoch}-${event.seq}`)
      return true
    },
  })
  const orders = await recorder.producer({ id: id('orders'), ...identity('orders') })
  const carts = await recorder.producer({ id: id('carts'), ...identity('carts') })
  const [a] = await Promise.all([orders.keep(decision()), carts.keep(decision())])
  const first = join(dir, '00000001.seg')
  await vi.waitFor(() => expect(asked.length).toBeGreaterThan(2))
  expect(existsSync(first)).toBe(true)
  proven.add(a.epoch)
  await vi.waitFor(() => expect(verified.length).toBeGreaterThan(0))
  expect(existsSync(first)).toBe(true)
  for (const { epoch } of recorder.status().perEpoch) proven.add(epoch)
  await vi.waitFor(() => expect(existsSync(first)).toBe(false))
  for (const name of verified) expect(asked).toContain(name)
  await recorder.close({ timeoutMs: 2000 })
})

test('a receipt that does not verify releases nothing, and neither does a stream that has not answered', async () => {
  for (const streamAnswers of [true, false]) {
    const dir = folder()
    const notices: Notice[] = []
    const stream = testStream()
    stream.fails = () => !streamAnswers
    const recorder = await openRecorder({
      ...recorderOptions({
        dir,
        notices,
        stream,
        rollAfterMs: 0,
        releaseEveryMs: 2,
        settings: settings({ segmentBytes: 1000 }),
      }),
      findReceipt: async () => proof,
      verifyReceipt: () => !streamAnswers,
    })
    const orders = await recorder.producer({ id: id('orders'), ...identity('orders') })
    for (let i = 0; i < 5; i++) await orders.keep(decision('deny'))
    const name = streamAnswers ? 'receipt_invalid' : 'stream_failed'
    await vi.waitFor(() => expect(notices.map((notice) => notice.name)).toContain(name))
    expect(existsSync(join(dir, '00000001.seg'))).toBe(true)
    await recorder.close({ timeoutMs: 0 })
  }
})

test('a closed segment whose file somebody deleted keeps back none of those after it', async () => {
  const dir = folder()
  const notices: Notice[] = []
  let open = false
  const recorder = await openRecorder({
    ...recorderOptions({ dir, notices, rollAfterMs: 0, releaseEveryMs: 5, settings: settings({ segmentBytes: 1000 }) }),
    findReceipt: async () => (open ? proof : undefined),
    verifyReceipt: () => true,
  })
  const orders = await recorder.producer({ id: id('orders'), ...identity('orders') })
  for (let i = 0; i < 5; i++) await orders.keep(decision('deny'))
  await recorder.flushed()
  await vi.waitFor(() => expect(existsSync(join(dir, '00000002.seg'))).toBe(true))
  rmSync(join(dir, '00000001.seg'))
  open = true
  await vi.waitFor(() => expect(existsSync(join(dir, '00000002.seg'))).toBe(false), 10_000)
  expect(notices.map(({ name }) => name)).not.toContain('receipt_invalid')
  await recorder.close({ timeoutMs: 2000 })
})

test('without receipts nothing is released', async () => {
  const dir = folder()
  const recorder = await openRecorder(
    recorderOptions({ dir, rollAfterMs: 0, releaseEveryMs: 1, settings: settings({ segmentBytes: 1000 }) }),
  )
  const orders = await recorder.producer({ id: id('orders'), ...identity('orders') })
  for (let i = 0; i < 5; i++) await orders.keep(decision('deny'))
  await recorder.flushed()
  await recorder.close({ timeoutMs: 2000 })
  expect(existsSync(join(dir, '00000001.seg'))).toBe(true)
})

test('what the stream accepted and no log holds is sent again', async () => {
  const notices: Notice[] = []
  const stream = testStream()
  let lost = true
  const recorder = await openRecorder({
    ...recorderOptions({ notices, stream, rollAfterMs: 0, releaseEveryMs: 5, resendAfterMs: 30 }),
    findReceipt: async () => (lost ? undefined : proof),
    verifyReceipt: () => true,
  })
  const orders = await recorder.producer({ id: id('orders'), ...identity('orders') })
  await orders.keep(decision())
  await vi.waitFor(() => expect(stream.events().filter(({ seq }) => seq === 0).length).toBeGreaterThan(1))
  expect(notices.map(({ name }) => name)).toContain('segment_resent')
  lost = false
  await recorder.close({ timeoutMs: 2000 })
})

test('bytes that rotted while the process was down are reported, and never sent', async () => {
  const dir = folder()
  const notices: Notice[] = []
  const stream = testStream()
  stream.fails = () => true
  const first = await openRecorder(recorderOptions({ dir, stream }))
  const orders = await first.producer({ id: id('orders'), ...identity('orders') })
  await orders.keep(decision('deny'))
  await first.close({ timeoutMs: 0 })
  const path = join(dir, '00000001.seg')
  const bytes = readFileSync(path)
  bytes[bytes.length - 20]! ^= 1
  writeFileSync(path, bytes)

  stream.fails = () => false
  const second = await openRecorder(recorderOptions({ dir, stream, notices }))
  await second.flushed()
  expect(stream.events().map(({ kind }) => kind)).toEqual(['start', 'decision'])
  expect(notices.map(({ name }) => name)).toContain('spool_damaged')
  await second.close({ timeoutMs: 2000 })
})

test('bytes that rot between the sync and the sending are reported and not sent, and what follows is', async () => {
  const notices: Notice[] = []
  const stream = testStream()
  let rot = false
  const files: SpoolFiles = {
    ...diskFiles,
    async read(fd, into, position) {
      const got = await diskFiles.read(fd, into, position)
      if (rot && got > 0) into[got - 20]! ^= 1
      return got
    },
  }
  const recorder = await openRecorder(recorderOptions({ stream, notices, files, tailBytes: 0 }))
  const orders = await recorder.producer({ id: id('orders'), ...identity('orders') })
  await recorder.flushed()
  rot = true
  await orders.keep(decision('deny'))
  await vi.waitFor(() => expect(notices.map(({ name }) => name)).toContain('spool_damaged'))
  rot = false
  await orders.keep(decision('deny'))
  await recorder.close({ timeoutMs: 2000 })
  expect(stream.events().map(({ seq }) => seq)).toEqual([0, 2, 3])
})

test('at the end of the spool the pump sends what was written without reading it back, and not before it is synced', async () => {
  let reads = 0
  let release = () => {}
  let held: Promise<void> | undefined
  const files: SpoolFiles = {
    ...diskFiles,
    read: (fd, into, position) => {
      reads++
      return diskFiles.read(fd, into, position)
    },
    sync: async (fd) => {
      await held
      return diskFiles.sync(fd)
    },
  }
  const stream = testStream()
  const publish = stream.publish.bind(stream)
  let answer: (() => void) | undefined
  stream.publish = async (batch) => {
    if (batch.firstSeq === 1) await new Promise<void>((resolve) => (answer = resolve))
    await publish(batch)
  }
  const recorder = await openRecorder(recorderOptions({ stream, files }))
  const orders = await recorder.producer({ id: id('orders'), ...identity('orders') })
  await recorder.flushed()
  await orders.keep(decision('deny'))
  await vi.waitFor(() => expect(answer).toBeDefined())
  held = new Promise((resolve) => {
    release = resolve
  })
  for (let i = 0; i < 9; i++) await orders.keep(decision())
  answer?.() // An answer makes the pump look for more.
  await vi.waitFor(() => expect(stream.events().length).toBe(2))
  await new Promise((resolve) => setTimeout(resolve, 20))
  expect(stream.events().map(({ seq }) => seq)).toEqual([0, 1])
  release()
  await recorder.close({ timeoutMs: 2000 })
  expect(stream.events().map(({ seq }) => seq)).toEqual(Array.from({ length: 12 }, (_, i) => i))
  expect(reads).toBe(0)
})

test('whatever of it memory holds, the stream gets every record once and as it is on the disk', async () => {
  for (const tailBytes of [0, 900, 3000, 6000, 100_000]) {
    let reads = 0
    let held: Promise<void> | undefined
    const files: SpoolFiles = {
      ...diskFiles,
      read: (fd, into, position) => {
        reads++
        return diskFiles.read(fd, into, position)
      },
      sync: async (fd) => {
        await held
        return diskFiles.sync(fd)
      },
    }
    const dir = folder()
    const stream = testStream()
    const recorder = await openRecorder(
      recorderOptions({ dir, stream, files, tailBytes, settings: settings({ segmentBytes: 20_000 }) }),
    )
    const names = ['orders', 'carts']
    const producers = await Promise.all(names.map((name) => recorder.producer({ id: id(name), ...identity(name) })))
    // Written before the pump may have any of it: of many writes the memory forgets the first.
    for (const writes of [1, 6, 1, 2, 9, 1]) {
      let release = () => {}
      held = new Promise((resolve) => {
        release = resolve
      })
      for (let i = 0; i < writes; i++) await Promise.all(producers.map((producer) => producer.keep(decision())))
      release()
      await recorder.flushed()
    }
    await recorder.close({ timeoutMs: 5000 })
    const sent = stream.batches.flatMap(({ epoch, firstSeq, records }) =>
      records.map((record, i) => ({ name: `${epoch}-${firstSeq + i}`, text: fromUtf8(record) })),
    )
    expect(new Set(sent.map(({ name }) => name)).size).toBe(sent.length)
    expect([...byEpoch(stream.events()).values()].map(({ length }) => length)).toEqual([22, 22])
    expect(sent).toHaveLength(44)
    for (const { name, text } of sent) expect(name).toBe(`${JSON.parse(text).epoch}-${JSON.parse(text).seq}`)
    const disk = readdirSync(dir)
      .filter((name) => name.endsWith('.seg'))
      .map((name) => readFileSync(join(dir, name), 'utf8'))
    for (const { text } of sent) expect(disk.some((segment) => segment.includes(text))).toBe(true)
    if (tailBytes < 10_000) expect(reads).toBeGreaterThan(0)
  }
})

test('the embedded stream is one partition with dense offsets; concurrent batches are ingested one after the other', async () => {
  const messages: StreamMessage[] = []
  let busy = false
  let fails = 0
  const stream = embeddedStream(
    async (partition, [message]) => {
      expect(partition).toBe(0)
      expect(busy).toBe(false)
      busy = true
      await new Promise((resolve) => setImmediate(resolve))
      busy = false
      if (fails-- > 0) throw new Error('the ledger is away')
      messages.push(message!)
    },
    async () => BigInt(messages.length),
  )
  const recorder = await openRecorder(recorderOptions({ stream }))
  const producers = await Promise.all(
    ['orders', 'carts'].map((name) => recorder.producer({ id: id(name), ...identity(name) })),
  )
  fails = 1
  await Promise.all(producers.map((producer) => producer.keep(decision('deny'))))
  await recorder.close({ timeoutMs: 5000 })
  expect(messages.map(({ offset }) => offset)).toEqual(messages.map((_, i) => String(i)))
  const events = messages.flatMap(({ key, value }) =>
    fromUtf8(value)
      .split('\n')
      .map((line) => {
        const event = eventOf(new TextEncoder().encode(line))
        expect(key).toBe(event.producer)
        return event
      }),
  )
  expect(events).toHaveLength(6)
  expect(await stream.partitions()).toBe(1)
})

test('however much a spool came to hold while the stream was away, little of it is in memory, then and while it catches up', async () => {
  const dir = folder()
  const away = testStream()
  away.fails = () => true
  const sizes = settings({ segmentBytes: 1024 ** 2, spoolMaxBytes: 64 * 1024 ** 2 })
  const first = await openRecorder(recorderOptions({ dir, stream: away, settings: sizes }))
  const orders = await first.producer({ id: id('orders'), ...identity('orders') })
  const long = 'r'.repeat(4000)
  for (let i = 0; i < 6000; i += 500)
    await Promise.all(Array.from({ length: 500 }, () => orders.keep(decision('allow', { reasons: [long] }))))
  await first.close({ timeoutMs: 0 })

  const notices: Notice[] = []
  const spool = new Spool({
    ...{ dir, maxBytes: sizes.spoolMaxBytes, segmentBytes: sizes.segmentBytes, syncEveryMs: 5, random, sha256 },
    ...{ now: () => BigInt(Date.now()) * 1_000_000n, files: diskFiles, onNotice: (notice) => notices.push(notice) },
  })
  expect(spool.bytes).toBeGreaterThan(24_000_000)
  const stream = testStream()
  stream.fails = () => isAway
  let isAway = true
  let most = 0
  const publish = stream.publish.bind(stream)
  stream.publish = async (batch) => {
    most = Math.max(most, pump.pending)
    await publish(batch)
    stream.batches.splice(0, stream.batches.length, { ...batch, records: [] }) // What arrived is no memory of the pump's.
  }
  const pump = startPump({
    ...{ spool, stream, position: openPosition(dir, Date.now), random, onNotice: () => {}, onAcknowledged: () => {} },
  })
  // Eight MiB of records of 4 KB, and what was read last.
  await vi.waitFor(() => expect(pump.pending).toBeGreaterThan(1500), 30_000)
  await vi.waitFor(() => expect(pump.failures).toBeGreaterThan(1), 30_000)
  const waiting = pump.pending
  isAway = false
  await pump.drained()
  expect(waiting).toBeLessThan(2200)
  expect(most).toBeLessThan(2200)
  expect(pump.published).toBeGreaterThanOrEqual(6002) // With a start and heads.
  await pump.stop()
  await spool.close()
})

test('what follows a burst is gathered, until somebody asks for all of it', async () => {
  const stream = testStream()
  const recorder = await openRecorder(recorderOptions({ stream, gatherMs: 60_000 }))
  const orders = await recorder.producer({ id: id('orders'), ...identity('orders') })
  await recorder.flushed()
  await orders.keep(decision())
  await vi.waitFor(() => expect(recorder.status().pending).toBe(0)) // A spool that is not busy is read at once.
  await Promise.all(Array.from({ length: 40 }, () => orders.keep(decision())))
  await vi.waitFor(() => expect(recorder.status().pending).toBe(0))
  for (let i = 0; i < 5; i++) await orders.keep(decision())
  await vi.waitFor(() => expect(recorder.status().unsynced).toBe(0))
  await new Promise((resolve) => setTimeout(resolve, 50))
  expect(recorder.status().pending).toBe(5)
  const before = stream.batches.length
  await recorder.flushed()
  expect(stream.batches.slice(before).map(({ records }) => records.length)).toEqual([5])
  await recorder.close({ timeoutMs: 5000 })
})
