import { expect, test, vi } from 'vitest'
import { openRecorder } from '../../../audit/node/recorder.ts'
import { diskFiles } from '../../../audit/node/spool-files.ts'
import type { AuditEvent, DroppedBody, HeadBody } from '../../../core/record.ts'
import { decision, folder, id, identity, recorderOptions, settings, testStream } from './spool-kit.ts'

test('dropped decisions are told in a record before the head that counts them, and no number is missing', async () => {
  const stream = testStream()
  const recorder = await openRecorder(
    recorderOptions({ dir: folder(), stream, settings: settings({ headEveryMs: 1_000_000 }) }),
  )
  const orders = await recorder.producer({ id: id('orders'), ...identity('orders') })
  await orders.keep(decision('allow'))
  expect([orders.dropped!('allow'), orders.dropped!('deny'), orders.dropped!('allow')]).toEqual([true, true, true])
  await recorder.close({ timeoutMs: 2000 })
  const events = stream.events()
  expect(events.map(({ kind }) => kind)).toEqual(['start', 'decision', 'dropped', 'head'])
  expect(events.map(({ seq }) => seq)).toEqual([0, 1, 2, 3])
  expect((events[2] as AuditEvent<DroppedBody>).counts).toEqual({ allow: 2, deny: 1, fault: 0 })
  expect((events[3] as AuditEvent<HeadBody>).counts).toEqual({ allow: 1, deny: 0, fault: 0, dropped: 3 })
})

test('while nothing can be told of them, none is dropped; what was counted before is told once it can', async () => {
  let refuses = false
  const files = {
    ...diskFiles,
    write: (...args: Parameters<typeof diskFiles.write>) => {
      if (refuses) throw Object.assign(new Error('ENOSPC: no'), { code: 'ENOSPC' })
      return diskFiles.write(...args)
    },
  }
  const stream = testStream()
  const recorder = await openRecorder(
    recorderOptions({ dir: folder(), stream, files, settings: settings({ headEveryMs: 20 }) }),
  )
  const orders = await recorder.producer({ id: id('orders'), ...identity('orders') })
  refuses = true
  let dropped = 0
  await vi.waitFor(() => {
    const counts = orders.dropped!('allow')
    if (counts) dropped++
    expect(counts).toBe(false)
  }, 10_000)
  refuses = false
  await vi.waitFor(() => expect(orders.dropped!('deny')).toBe(true), 10_000)
  await recorder.close({ timeoutMs: 2000 })
  const told = stream.events().filter(({ kind }) => kind === 'dropped') as AuditEvent<DroppedBody>[]
  expect(told.reduce((sum, { counts }) => sum + counts.allow, 0)).toBe(dropped)
  const head = stream.events().findLast(({ kind }) => kind === 'head') as AuditEvent<HeadBody>
  expect(head.counts).toEqual({ allow: 0, deny: 0, fault: 0, dropped: dropped + 1 })
})
