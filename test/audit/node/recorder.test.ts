import { expect, test, vi } from 'vitest'
import { openRecorder } from '../../../audit/node/recorder.ts'
import { diskFiles, type SpoolFiles } from '../../../audit/node/spool-files.ts'
import type { Notice } from '../../../audit/stream/notice.ts'
import { fromBase64Url, toHex } from '../../../core/bytes.ts'
import { type AuditEvent, encodeEvent, type HeadBody, headPayload, noHash } from '../../../core/record.ts'
import { byEpoch, decision, folder, id, identity, recorderOptions, settings, sha256, testStream } from './spool-kit.ts'

const leafHash = (event: AuditEvent) => toHex(sha256(new Uint8Array([0, ...encodeEvent(event)])))
const outcome = {
  code: 'completed',
  status: 200,
  requestBytes: 1,
  responseBytes: 2,
  durationUs: 3,
  upstream: '',
} as const

/** A disk whose syncs are let through one by one. */
function heldDisk(): { files: SpoolFiles; let: () => void; hold: () => void; synced: () => number } {
  let held = false
  let waiting: (() => void)[] = []
  let synced = 0
  return {
    files: {
      ...diskFiles,
      async sync(fd) {
        if (held) await new Promise<void>((resolve) => waiting.push(resolve))
        await diskFiles.sync(fd)
        synced++
      },
    },
    hold: () => {
      held = true
    },
    let: () => {
      held = false
      for (const go of waiting.splice(0)) go()
      waiting = []
    },
    synced: () => synced,
  }
}

const settled = async (promise: Promise<unknown>, turns = 20): Promise<boolean> => {
  let done = false
  promise.then(
    () => (done = true),
    () => (done = true),
  )
  for (let i = 0; i < turns && !done; i++) await new Promise((resolve) => setTimeout(resolve, 2))
  return done
}

test('an epoch is a chain from its start to its final head, and the stream has all of it', async () => {
  const stream = testStream()
  const recorder = await openRecorder(recorderOptions({ stream }))
  const orders = await recorder.producer({ id: id('orders'), ...identity('orders') })
  const ids = await Promise.all([1, 2, 3].map(() => orders.keep(decision())))
  orders.outcome(ids[0]!, outcome)
  await orders.close()
  await recorder.close({ timeoutMs: 2000 })

  const events = stream.events()
  expect(events.map(({ kind }) => kind)).toEqual(['start', 'decision', 'decision', 'decision', 'outcomes', 'head'])
  expect(events.map(({ seq }) => seq)).toEqual([0, 1, 2, 3, 4, 5])
  expect(events[0]!.prev).toBe(noHash)
  for (let i = 1; i < events.length; i++) expect(events[i]!.prev).toBe(leafHash(events[i - 1]!))
  expect(ids.map(({ seq }) => seq)).toEqual([1, 2, 3])
  expect(events[5]).toMatchObject({ final: true, counts: { allow: 3, deny: 0, fault: 0 } })
})

test('the next epoch quotes how the last one ended: clean after a final head, crash without one', async () => {
  const dir = folder()
  const stream = testStream()
  const me = identity('orders')
  for (let run = 0; run < 2; run++) {
    const recorder = await openRecorder(recorderOptions({ dir, stream }))
    const orders = await recorder.producer({ id: id('orders'), ...me })
    await orders.keep(decision())
    await recorder.close({ timeoutMs: 2000 })
  }
  const [first, second] = [...byEpoch(stream.events()).values()]
  const last = first!.at(-1)!
  expect(second![0]).toMatchObject({
    previous: { epoch: last.epoch, seq: last.seq, hash: leafHash(last), ended: 'clean' },
  })
  expect(first![0]).not.toHaveProperty('previous')
})

test('a head is signed over itself without its signature, and a renewed certificate is announced before it', async () => {
  const stream = testStream()
  const me = identity('orders')
  const recorder = await openRecorder(recorderOptions({ stream, settings: settings({ headEveryMs: 20 }) }))
  const orders = await recorder.producer({ id: id('orders'), ...me })
  await vi.waitFor(() => expect(stream.events().map(({ kind }) => kind)).toEqual(['start', 'head']))
  me.renew()
  await orders.keep(decision('deny'))
  await vi.waitFor(() =>
    expect(
      stream
        .events()
        .map(({ kind }) => kind)
        .slice(2),
    ).toEqual(['decision', 'svid', 'head']),
  )
  await recorder.close({ timeoutMs: 2000 })

  const heads = stream.events().filter((event): event is AuditEvent<HeadBody> => event.kind === 'head')
  expect(heads.at(1)).toMatchObject({ counts: { allow: 0, deny: 1, fault: 0 }, final: false })
  for (const head of heads) {
    expect(fromBase64Url(head.sig)).toHaveLength(64)
    expect(new TextDecoder().decode(headPayload(head))).not.toContain('"sig"')
  }
  expect(heads[0]!.signer).not.toBe(heads[1]!.signer)
})

test('an idle producer signs at the idle pace', async () => {
  const stream = testStream()
  const pace = settings({ headEveryMs: 20, idleHeadEveryMs: 60 })
  const recorder = await openRecorder(recorderOptions({ stream, settings: pace }))
  await recorder.producer({ id: id('orders'), ...identity('orders') })
  await vi.waitFor(() => expect(stream.events().filter(({ kind }) => kind === 'head').length).toBeGreaterThan(2))
  await recorder.close({ timeoutMs: 2000 })
})

test('bounded keeps an allow before its sync; a denial of a named caller waits for it', async () => {
  const disk = heldDisk()
  const recorder = await openRecorder(recorderOptions({ files: disk.files }))
  const orders = await recorder.producer({ id: id('orders'), ...identity('orders') })
  disk.hold()
  await orders.keep(decision('allow'))
  const denial = Promise.resolve(orders.keep(decision('deny')))
  expect(await settled(denial)).toBe(false)
  disk.let()
  expect(await denial).toMatchObject({ seq: 2 })
  await recorder.close({ timeoutMs: 2000 })
})

test('strict waits for the sync that began after the write; a stranger waits too, but hurries no disk', async () => {
  const disk = heldDisk()
  const slow = settings({ durability: 'strict', syncEveryMs: 60_000 })
  const recorder = await openRecorder(recorderOptions({ files: disk.files, settings: slow }))
  const orders = await recorder.producer({ id: id('orders'), ...identity('orders') })
  const before = disk.synced()
  const { peer: _, ...nameless } = decision('deny')
  const stranger = Promise.resolve(orders.keep(nameless))
  expect(await settled(stranger)).toBe(false)
  expect(disk.synced()).toBe(before)

  disk.hold()
  const named = Promise.resolve(orders.keep(decision('allow')))
  expect(await settled(named)).toBe(false)
  disk.let()
  await Promise.all([named, stranger])
  expect(disk.synced()).toBe(before + 1)
  await recorder.close({ timeoutMs: 2000 })
})

test('replicated waits for the stream, and gives up in time when it does not answer', async () => {
  const stream = testStream()
  const replicated = settings({ durability: 'replicated', headEveryMs: 20 })
  const recorder = await openRecorder(recorderOptions({ stream, settings: replicated, acknowledgeWithinMs: 50 }))
  const orders = await recorder.producer({ id: id('orders'), ...identity('orders') })
  await orders.keep(decision())
  expect(stream.events().map(({ kind }) => kind)).toContain('decision')
  stream.fails = () => true
  await expect(orders.keep(decision())).rejects.toMatchObject({ code: 'audit_unavailable' })
  stream.fails = () => false
  await recorder.close({ timeoutMs: 2000 })
})

test('a full spool refuses and says so once, still ends its epoch, and keeps again when space returns', async () => {
  const notices: Notice[] = []
  const small = settings({ spoolMaxBytes: 16_384, segmentBytes: 4096 })
  let proven = false
  const options = recorderOptions({ notices, settings: small, releaseEveryMs: 5, rollAfterMs: 0 })
  const recorder = await openRecorder({
    ...options,
    findReceipt: async () => (proven ? { index: 0, path: [], note: '' } : undefined),
    verifyReceipt: () => true,
  })
  const orders = await recorder.producer({ id: id('orders'), ...identity('orders') })
  let kept = 0
  const fill = async () => {
    for (;;) {
      await orders.keep(decision())
      kept++
    }
  }
  await expect(fill()).rejects.toMatchObject({
    code: 'audit_unavailable',
    message: expect.stringContaining('spoolMaxBytes'),
  })
  await expect(orders.keep(decision())).rejects.toMatchObject({ code: 'audit_unavailable' })
  expect(kept).toBeGreaterThan(10)
  expect(recorder.status()).toMatchObject({ refused: 2 })
  expect(recorder.status().bytes).toBeLessThanOrEqual(16_384)
  expect(notices.filter(({ name }) => name === 'spool_unavailable')).toHaveLength(1)

  proven = true
  await vi.waitFor(() => orders.keep(decision()))
  expect(notices.filter(({ name }) => name === 'spool_available')).toHaveLength(1)
  await recorder.close({ timeoutMs: 2000 })
  expect(notices.filter(({ name }) => name === 'epoch_unclean')).toEqual([])
})

test('one producer at a time for a workload, and a next one after it is closed', async () => {
  const recorder = await openRecorder(recorderOptions())
  const orders = await recorder.producer({ id: id('orders'), ...identity('orders') })
  await expect(recorder.producer({ id: id('orders'), ...identity('orders') })).rejects.toMatchObject({ code: 'in_use' })
  await orders.close()
  await expect(orders.keep(decision())).rejects.toMatchObject({ code: 'audit_unavailable' })
  await recorder.producer({ id: id('orders'), ...identity('orders') })
  await recorder.close({ timeoutMs: 2000 })
})

test('refusals of strangers become one counted record per listener and second', async () => {
  const stream = testStream()
  const recorder = await openRecorder(recorderOptions({ stream }))
  const orders = await recorder.producer({ id: id('orders'), ...identity('orders') })
  for (let i = 0; i < 300; i++) {
    orders.refused({ listener: 'orders/in', source: `10.0.${i >> 8}.${i & 255}`, code: 'tls', detail: 'x'.repeat(500) })
    orders.refused({ listener: 'orders/in', source: '10.0.0.0', code: 'tls', detail: 'again' })
  }
  await recorder.close({ timeoutMs: 2000 })
  const bodies = stream.events().filter((event) => event.kind === 'refusals')
  const refusals = bodies.flatMap(
    (body) => (body as unknown as { refusals: { count: number; detail: string }[] }).refusals,
  )
  expect(refusals).toHaveLength(256)
  expect(refusals[0]).toMatchObject({ count: 301, detail: 'x'.repeat(200) })
  expect(bodies.reduce((sum, body) => sum + (body as unknown as { others: number }).others, 0)).toBe(44)
})

test('a head nobody can sign is reported once, and records go on', async () => {
  const notices: Notice[] = []
  const options = recorderOptions({ notices, settings: settings({ headEveryMs: 20 }) })
  const recorder = await openRecorder(options)
  const { source } = identity('orders')
  const signHead = () => {
    throw new Error('no key')
  }
  const orders = await recorder.producer({ id: id('orders'), source, signHead })
  await vi.waitFor(() => expect(notices.map(({ name }) => name)).toContain('head_unsigned'))
  await orders.keep(decision())
  await recorder.close({ timeoutMs: 2000 })
  expect(notices.map(({ name }) => name)).toEqual(['head_unsigned', 'epoch_unclean'])
})

test('a record that JSON cannot hold is refused alone; its neighbours of the same turn are kept without a gap', async () => {
  const stream = testStream()
  const recorder = await openRecorder(recorderOptions({ stream }))
  const orders = await recorder.producer({ id: id('orders'), ...identity('orders') })
  const [a, b, c] = await Promise.allSettled([
    orders.keep(decision()),
    orders.keep(decision('allow', { request_id: '\ud800' })),
    orders.keep(decision()),
  ])
  expect(a).toMatchObject({ status: 'fulfilled', value: { seq: 1 } })
  expect(b).toMatchObject({ status: 'rejected', reason: { code: 'record_invalid' } })
  expect(c).toMatchObject({ status: 'fulfilled', value: { seq: 2 } })
  await recorder.close({ timeoutMs: 2000 })
})

test('an input too large for a leaf is kept as its digest', async () => {
  const stream = testStream()
  const recorder = await openRecorder(recorderOptions({ stream }))
  const orders = await recorder.producer({ id: id('orders'), ...identity('orders') })
  await orders.keep(decision('allow', { input: 'x'.repeat(70_000) }))
  await recorder.close({ timeoutMs: 2000 })
  const kept = stream.events()[1] as AuditEvent
  expect(kept).toMatchObject({ input: { bytes: 70_002, sha256: expect.stringMatching(/^[0-9a-f]{64}$/) } })
})

test('flushed resolves when the stream has what was kept, and not while it refuses', async () => {
  const stream = testStream()
  stream.fails = () => true
  const recorder = await openRecorder(recorderOptions({ stream }))
  const orders = await recorder.producer({ id: id('orders'), ...identity('orders') })
  await orders.keep(decision())
  const flushed = recorder.flushed()
  expect(await settled(flushed)).toBe(false)
  expect(recorder.status().failures).toBeGreaterThan(0)
  stream.fails = () => false
  await flushed
  expect(stream.events()).toHaveLength(2)
  expect(recorder.status()).toMatchObject({ pending: 0, published: 2 })
  await recorder.close({ timeoutMs: 2000 })
})
