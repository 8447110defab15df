import { spawnSync } from 'node:child_process'
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { assert, asyncProperty, integer, property } from 'fast-check'
import { expect, test } from 'vitest'
import { crc32c } from '../../../audit/node/crc32c.ts'
import { type Channel, Spool, type SpoolOptions } from '../../../audit/node/spool.ts'
import { diskFiles, type SpoolFiles } from '../../../audit/node/spool-files.ts'
import { frameBytes, headerBytes, readFrame } from '../../../audit/node/spool-frame.ts'
import type { Notice } from '../../../audit/stream/notice.ts'
import { newProducer, type Producer, seal, sealHead, sealStart } from '../../../audit/stream/producer.ts'
import { utf8 } from '../../../core/bytes.ts'
import { WritError } from '../../../core/fault.ts'
import { newEpoch } from '../../../core/record.ts'
import { decision, eventOf, folder, id, identity, random, sha256, td } from './spool-kit.ts'

interface Opened {
  readonly spool: Spool
  readonly notices: Notice[]
  /** Pushes the clock. */
  pass(ms: number): void
}

function open(dir: string, changes: Partial<SpoolOptions> = {}): Opened {
  const notices: Notice[] = []
  let nowMs = 1_000_000
  const spool = new Spool({
    dir,
    maxBytes: 1024 ** 2,
    segmentBytes: 64 * 1024,
    syncEveryMs: 5,
    now: () => BigInt(nowMs) * 1_000_000n,
    random,
    sha256,
    files: diskFiles,
    onNotice: (notice) => notices.push(notice),
    ...changes,
  })
  return {
    spool,
    notices,
    pass: (ms) => {
      nowMs += ms
    },
  }
}

interface Epoch {
  readonly channel: Channel
  producer: Producer
}

function begin(spool: Spool, name = 'orders'): Epoch {
  const epoch = newEpoch(random)
  return {
    channel: spool.channel(id(name), epoch),
    producer: newProducer({ td, cluster: 'lab', id: id(name), epoch }, 1n),
  }
}

/** Writes `count` records in one write; the producer moves on only when it held. */
function write(spool: Spool, epoch: Epoch, count = 1): number {
  const records = []
  let { producer } = epoch
  for (let i = 0; i < count; i++) {
    const sealed =
      producer.next === 0
        ? sealStart(producer, { software: 'test', previous: spool.previous(producer.id), chain: [] }, 1n, sha256)
        : seal(producer, decision(), 1n, sha256)
    producer = sealed.producer
    for (const record of sealed.records) records.push({ channel: epoch.channel, record })
  }
  const point = spool.append(records)
  epoch.producer = producer
  return point
}

/** Every record that a spool still has, by `epoch-seq`. */
async function recordsOf(spool: Spool): Promise<string[]> {
  const found: string[] = []
  for (const segment of spool.segments) {
    const bytes = new Uint8Array(segment.end)
    const got = await spool.read(segment, bytes, 0)
    for (let at = headerBytes; at < got; ) {
      const result = readFrame(bytes, at, got, 0)
      if (!('frame' in result)) throw new Error(`unreadable at ${at}`)
      if (result.frame.kind === 'record') {
        const event = eventOf(result.frame.leaf.subarray(1))
        found.push(`${event.epoch}-${event.seq}`)
      }
      at = result.next
    }
    spool.rest(segment)
  }
  return found
}

const namesOf = (epoch: Epoch, count = epoch.producer.next): string[] =>
  Array.from({ length: count }, (_, i) => `${epoch.producer.epoch}-${i}`)

/** For thousands of spools in one test. */
const noSync: SpoolFiles = {
  ...diskFiles,
  sync: async () => {},
  syncNow: () => {},
  syncFolder: async () => {},
  syncFolderNow: () => {},
}

const segmentsIn = (dir: string) =>
  readdirSync(dir)
    .filter((name) => name.endsWith('.seg'))
    .sort()

test('crc32c is the Castagnoli CRC at every length and offset', () => {
  expect(crc32c(utf8('123456789'), 0, 9)).toBe(0xe3069283)
  expect(crc32c(new Uint8Array(32), 0, 32)).toBe(0x8a9136aa) // RFC 3720 appendix B.4
  expect(crc32c(new Uint8Array(32).fill(255), 0, 32)).toBe(0x62a8ab43)
  const bytes = random(64)
  for (let from = 0; from < 20; from++) {
    for (let to = from; to < 64; to++) {
      let crc = 0xffffffff
      for (let i = from; i < to; i++) {
        crc ^= bytes[i]!
        for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1
      }
      expect(crc32c(bytes, from, to)).toBe(~crc >>> 0)
    }
  }
})

test("the folder is its owner's alone, and so is every file", async () => {
  const dir = join(folder(), 'spool')
  mkdirSync(dir, { mode: 0o755 })
  const { spool } = open(dir)
  write(spool, begin(spool))
  await spool.close()
  expect(statSync(dir).mode & 0o777).toBe(0o700)
  for (const name of readdirSync(dir)) expect(statSync(join(dir, name)).mode & 0o777).toBe(0o600)
})

const step = process.env['CI'] ? 5 : 1

test('cut at any byte, a spool opens with a prefix of what was kept, and the next epoch quotes its last', async () => {
  const dir = folder()
  const first = open(dir)
  const orders = begin(first.spool)
  const carts = begin(first.spool, 'carts')
  const order: string[] = []
  for (const epoch of [orders, carts, orders, orders, carts]) {
    write(first.spool, epoch)
    order.push(`${epoch.producer.epoch}-${epoch.producer.next - 1}`)
  }
  await first.spool.close()
  const [name] = segmentsIn(dir)
  const whole = readFileSync(join(dir, name!))

  // In CI every fifth byte, the last among them.
  for (let length = whole.length % step; length <= whole.length; length += step) {
    rmSync(dir, { recursive: true })
    mkdirSync(dir)
    writeFileSync(join(dir, name!), whole.subarray(0, length))
    const { spool, notices } = open(dir, { files: noSync })
    const kept = await recordsOf(spool)
    expect(kept).toEqual(order.slice(0, kept.length))
    for (const epoch of [orders, carts]) {
      const mine = kept.filter((record) => record.startsWith(epoch.producer.epoch))
      const previous = spool.previous(epoch.producer.id)
      if (mine.length === 0) expect(previous).toBeUndefined()
      else expect(previous).toMatchObject({ epoch: epoch.producer.epoch, seq: mine.length - 1, ended: 'crash' })
    }
    if (length === whole.length) expect({ kept, notices }).toEqual({ kept: order, notices: [] })
    await spool.close()
  }
})

test('with any byte changed, a spool opens with a prefix of what was kept, never with garbage', async () => {
  const dir = folder()
  const first = open(dir)
  const orders = begin(first.spool)
  for (let i = 0; i < 6; i++) write(first.spool, orders)
  await first.spool.close()
  const [name] = segmentsIn(dir)
  const whole = readFileSync(join(dir, name!))
  const names = namesOf(orders)
  await assert(
    asyncProperty(integer({ min: 0, max: whole.length - 1 }), integer({ min: 1, max: 255 }), async (at, flip) => {
      rmSync(dir, { recursive: true })
      mkdirSync(dir)
      const bytes = Buffer.from(whole)
      bytes[at]! ^= flip
      writeFileSync(join(dir, name!), bytes)
      let spool: Spool
      try {
        spool = open(dir, { files: noSync }).spool
      } catch (thrown) {
        return thrown instanceof WritError && thrown.code === 'version'
      }
      const previous = spool.previous(orders.producer.id)
      const kept = [...(spool.segments[0]?.last.values() ?? [])].map(({ seq }) => seq + 1)[0] ?? 0
      await spool.close()
      return kept < names.length && (kept === 0 ? previous === undefined : previous?.seq === kept - 1)
    }),
    { numRuns: 300 },
  )
})

test('damage in the middle is reported as damage, a torn end as cut', async () => {
  const dir = folder()
  const first = open(dir)
  const orders = begin(first.spool)
  write(first.spool, orders, 3)
  await first.spool.close()
  const path = join(dir, segmentsIn(dir)[0]!)
  const whole = readFileSync(path)

  writeFileSync(path, whole.subarray(0, whole.length - 1))
  const torn = open(dir)
  expect(torn.notices).toMatchObject([{ name: 'spool_cut' }])
  await torn.spool.close()
  // The segment after it says where it ends, so the same end is not reported twice.
  const again = open(dir)
  expect(again.notices).toEqual([])
  expect(await recordsOf(again.spool)).toEqual(namesOf(orders, 2))
  await again.spool.close()

  const rotten = Buffer.from(whole)
  rotten[300]! ^= 1
  writeFileSync(path, rotten)
  const damaged = open(dir)
  expect(damaged.notices).toMatchObject([{ name: 'spool_damaged' }])
  await damaged.spool.close()
})

test('the end of a producer is remembered after its segments are gone', async () => {
  const dir = folder()
  const me = identity('orders')
  const first = open(dir)
  const orders = begin(first.spool)
  write(first.spool, orders, 2)
  const { chain } = me.source.current().svid
  const sealed = sealHead(orders.producer, { final: true, chain, sign: me.signHead }, 1n, sha256)
  first.spool.append(sealed.records.map((record) => ({ channel: orders.channel, record })))
  first.spool.end(orders.channel, 'clean')
  const ended = {
    epoch: orders.producer.epoch,
    seq: sealed.producer.next - 1,
    hash: sealed.producer.prev,
    ended: 'clean',
  }
  await first.spool.close()
  for (let run = 0; run < 3; run++) {
    const { spool } = open(dir)
    expect(spool.previous(id('orders'))).toEqual(ended)
    for (const segment of [...spool.segments]) if (segment.closed) spool.release(segment)
    expect(segmentsIn(dir)).toHaveLength(1)
    await spool.close()
  }
})

test('segments roll, each readable alone, and what is released is off the disk and off the count', async () => {
  const dir = folder()
  const { spool } = open(dir, { segmentBytes: 4096 })
  const orders = begin(spool)
  for (let i = 0; i < 40; i++) write(spool, orders)
  expect(spool.segments.length).toBeGreaterThan(3)
  expect(await recordsOf(spool)).toEqual(namesOf(orders))
  await spool.syncedAll()
  const { bytes } = spool
  const first = spool.segments[0]!
  spool.release(first)
  expect(spool.bytes).toBe(bytes - first.end)
  expect(existsSync(first.path)).toBe(false)
  await spool.close()
  const again = open(dir)
  expect(again.notices).toEqual([])
  expect(again.spool.previous(id('orders'))).toMatchObject({ seq: 39, hash: orders.producer.prev })
  await again.spool.close()
})

test('a failed write leaves nothing behind, and the number it had is taken by the next', async () => {
  const dir = folder()
  let fail: 'no' | 'half' | 'kept' = 'no'
  const files: SpoolFiles = {
    ...diskFiles,
    write(fd, bytes, from, to, position) {
      if (fail === 'no') return diskFiles.write(fd, bytes, from, to, position)
      // "Failed and was not kept" and "failed, but was kept".
      diskFiles.write(fd, bytes, from, fail === 'half' ? from + ((to - from) >> 1) : to, position)
      throw Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' })
    },
  }
  const { spool } = open(dir, { files })
  const orders = begin(spool)
  write(spool, orders, 2)
  for (const how of ['half', 'kept'] as const) {
    fail = how
    expect(() => write(spool, orders)).toThrow(expect.objectContaining({ code: 'audit_unavailable' }))
    fail = 'no'
    write(spool, orders)
  }
  await spool.close()
  const again = open(dir)
  expect(again.notices).toEqual([])
  expect(await recordsOf(again.spool)).toEqual(namesOf(orders, 4))
  await again.spool.close()
})

test('where not even the cut succeeds, a new segment says where the old one ends', async () => {
  const dir = folder()
  let broken = false
  const fail = () => {
    throw new Error('EIO: i/o error')
  }
  const files: SpoolFiles = {
    ...diskFiles,
    write(fd, bytes, from, to, position) {
      const wrote = diskFiles.write(fd, bytes, from, to, position)
      return broken ? fail() : wrote
    },
    truncate: (fd, length) => (broken ? fail() : diskFiles.truncate(fd, length)),
  }
  const { spool, pass } = open(dir, { files })
  const orders = begin(spool)
  write(spool, orders, 2)
  broken = true
  expect(() => write(spool, orders)).toThrow('EIO')
  broken = false
  expect(() => write(spool, orders)).toThrow('EIO') // Not before the time to try again has come.
  pass(2000)
  write(spool, orders)
  expect(segmentsIn(dir)).toHaveLength(2)
  await spool.close()
  const again = open(dir)
  expect(await recordsOf(again.spool)).toEqual(namesOf(orders, 3))
  await again.spool.close()
})

test('a sync answers those who wrote before it began; who wrote meanwhile waits for the next', async () => {
  const held: (() => void)[] = []
  const files: SpoolFiles = { ...diskFiles, sync: () => new Promise((resolve) => held.push(resolve)) }
  const { spool } = open(folder(), { files, syncEveryMs: 60_000 })
  const orders = begin(spool)
  const answered: string[] = []
  const early = spool.synced(write(spool, orders), true).then(() => answered.push('early'))
  await expect.poll(() => held.length).toBe(1)
  const late = spool.synced(write(spool, orders), true).then(() => answered.push('late'))
  held[0]!()
  await early
  await expect.poll(() => held.length).toBe(2)
  expect(answered).toEqual(['early'])
  held[1]!()
  await late
  await spool.close()
})

test('a failed sync refuses those who waited and everybody after, until a new segment is on the disk', async () => {
  const dir = folder()
  let broken = false
  const files: SpoolFiles = {
    ...diskFiles,
    sync: (fd) => (broken ? Promise.reject(new Error('EIO: i/o error')) : diskFiles.sync(fd)),
    syncNow: (fd) => {
      if (broken) throw new Error('EIO: i/o error')
      diskFiles.syncNow(fd)
    },
  }
  const { spool, pass } = open(dir, { files })
  const orders = begin(spool)
  await spool.synced(write(spool, orders), true)
  broken = true
  await expect(spool.synced(write(spool, orders), true)).rejects.toMatchObject({ code: 'audit_unavailable' })
  expect(() => write(spool, orders)).toThrow('EIO')
  pass(2000)
  expect(() => write(spool, orders)).toThrow('EIO')
  broken = false
  pass(2000)
  await spool.synced(write(spool, orders), true)
  expect(await recordsOf(spool)).toEqual(namesOf(orders, 3))
  await spool.close()
})

for (const [how, act] of [
  ['deleted', (path: string) => unlinkSync(path)],
  [
    'replaced',
    (path: string) => {
      copyFileSync(path, `${path}.copy`)
      renameSync(`${path}.copy`, path)
    },
  ],
] as const) {
  test(`a segment ${how} under the process is noticed at the next sync, and what it held is still read`, async () => {
    const dir = folder()
    const { spool, pass } = open(dir)
    const orders = begin(spool)
    await spool.synced(write(spool, orders), true)
    act(spool.segments.at(-1)!.path)
    await expect(spool.synced(write(spool, orders), true)).rejects.toThrow('deleted or replaced')
    expect(() => write(spool, orders)).toThrow(expect.objectContaining({ code: 'audit_unavailable' }))
    pass(2000)
    await spool.synced(write(spool, orders), true)
    expect(await recordsOf(spool)).toEqual(namesOf(orders, 3))
    await spool.close()
  })
}

test('a folder that cannot be one is refused with its cause', () => {
  const path = join(folder(), 'spool')
  writeFileSync(path, 'a file')
  expect(() => open(path)).toThrow(expect.objectContaining({ code: 'audit_unavailable' }))
  const create = () => {
    throw Object.assign(new Error('EROFS: read-only file system'), { code: 'EROFS' })
  }
  expect(() => open(folder(), { files: { ...diskFiles, create } })).toThrow('EROFS')
})

test('a folder has one owner: a living one is respected, a dead one replaced', async () => {
  const dir = folder()
  const first = open(dir)
  expect(() => open(dir)).toThrow(expect.objectContaining({ code: 'in_use' }))
  await first.spool.close()
  expect(existsSync(join(dir, 'lock'))).toBe(false)

  const dead = spawnSync(process.execPath, ['-e', '0']).pid
  writeFileSync(join(dir, 'lock'), JSON.stringify({ pid: dead, started: 'long ago', nonce: '' }))
  const second = open(dir)
  expect(second.notices).toMatchObject([{ name: 'spool_lock_taken' }])
  await second.spool.close()

  // The pid lives again as another process: this one.
  writeFileSync(join(dir, 'lock'), JSON.stringify({ pid: process.pid, started: 'long ago', nonce: '' }))
  const third = open(dir)
  await third.spool.close()
  expect(readdirSync(dir).filter((name) => name.startsWith('lock'))).toEqual([])
})

test('a segment of a version to come is refused, never misread', async () => {
  const dir = folder()
  const { spool } = open(dir)
  write(spool, begin(spool))
  await spool.close()
  const path = join(dir, segmentsIn(dir)[0]!)
  const bytes = readFileSync(path)
  bytes[8] = 2
  bytes.writeUInt32LE(crc32c(bytes, 0, 36), 36)
  chmodSync(path, 0o600)
  writeFileSync(path, bytes)
  expect(() => open(dir)).toThrow(expect.objectContaining({ code: 'version' }))
})

test('frames of random bytes are never taken for records', () => {
  assert(
    property(integer({ min: 0, max: 200 }), (length) => {
      const result = readFrame(random(length), 0, length, 0)
      return !('frame' in result) && (length >= frameBytes || 'short' in result)
    }),
  )
})

test('a file that is being read is closed only afterwards, so that its number stands for no other file meanwhile', async () => {
  const gate = Promise.withResolvers<void>()
  const closed: number[] = []
  const files: SpoolFiles = {
    ...diskFiles,
    close: (fd) => {
      closed.push(fd)
      diskFiles.close(fd)
    },
    read: async (fd, into, position) => {
      await gate.promise // As where the thread pool is busy with syncs.
      return diskFiles.read(fd, into, position)
    },
  }
  const { spool } = open(folder(), { files })
  const epoch = begin(spool)
  write(spool, epoch, 3)
  spool.roll()
  await spool.syncedAll()
  const [segment] = spool.segments as [(typeof spool.segments)[number]]
  const last = segment.last.get(epoch.channel.epoch)!
  const [one, two] = [new Uint8Array(last.length), new Uint8Array(last.length)]
  const { fd } = segment
  const reads = [one, two].map((into) => spool.read(segment, into, last.at + frameBytes - 1))
  spool.rest(segment) // The pump has come past it.
  expect(closed).not.toContain(fd)
  expect(segment.fd).toBeUndefined()
  writeFileSync(join(folder(), 'other'), new Uint8Array(100_000).fill(9)) // What takes the number, if it is free.
  gate.resolve()
  expect(await Promise.all(reads)).toEqual([last.length, last.length])
  for (const bytes of [one, two]) expect(eventOf(bytes.subarray(1)).seq).toBe(last.seq)
  expect(closed.filter((one) => one === fd)).toHaveLength(1)
  await spool.close()
  await expect(spool.read(segment, one, 0)).rejects.toMatchObject({ code: 'audit_unavailable' })
})
