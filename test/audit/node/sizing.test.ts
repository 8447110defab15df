import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { openRecorder } from '../../../audit/node/recorder.ts'
import { neededBytes, openSizing } from '../../../audit/node/sizing.ts'
import type { Notice } from '../../../audit/stream/notice.ts'
import { folder, recorderOptions, settings } from './spool-kit.ts'

const size = (rate: number | undefined, spoolMaxBytes: number, free: number | undefined, held = 0) => {
  const notices: Notice[] = []
  const dir = folder()
  const expected = rate === undefined ? {} : { expectedRate: rate }
  const options = { dir, onNotice: (notice: Notice) => notices.push(notice), freeBytes: () => free, held }
  const sizing = openSizing({ ...options, settings: { spoolMaxBytes, ...expected } })
  return { dir, sizing, options, names: notices.map(({ name }) => name), notices }
}

test('a spool that holds less than four hours at the expected rate is warned of, one that just holds them is not', () => {
  const needed = neededBytes(100)
  expect(needed).toBe(100 * 2000 * 4 * 3600)
  expect(size(100, needed, undefined).names).toEqual([])
  expect(size(100, needed - 1, undefined).names).toEqual(['spool_small'])
  expect(size(undefined, 1, undefined).names).toEqual([]) // Nobody knows a rate yet.
})

test('a disk with less room than the spool may still come to need is warned of', () => {
  expect(size(undefined, 1000, 1000).names).toEqual([])
  expect(size(undefined, 1000, 999).names).toEqual(['disk_small'])
  expect(size(undefined, 1000, 999, 1).names).toEqual([])
})

test('where no rate is expected the busiest minute of the last run is taken', async () => {
  const { sizing, options, notices } = size(undefined, 1024 ** 3, undefined)
  sizing.measure(0, 0)
  sizing.measure(60 * 2000 * 200, 60_000) // 200 requests a second
  sizing.measure(60 * 2000 * 201, 120_000) // one
  await sizing.save()
  openSizing({ ...options, settings: { spoolMaxBytes: 1024 ** 3 } })
  expect(notices).toMatchObject([{ name: 'spool_small', detail: expect.stringContaining('200 requests a second') }])
  writeFileSync(join(options.dir, 'rate.json'), 'nonsense')
  openSizing({ ...options, settings: { spoolMaxBytes: 1024 ** 3 } })
  expect(notices).toHaveLength(1)
})

test('a recorder says so when it starts, and its folder may hold the measure', async () => {
  const dir = folder()
  writeFileSync(join(dir, 'rate.json'), '{"requests_per_second":1000}')
  const notices: Notice[] = []
  const recorder = await openRecorder(recorderOptions({ dir, notices, settings: settings() }))
  await recorder.close({ timeoutMs: 1000 })
  expect(notices.map(({ name }) => name)).toContain('spool_small')
})

test('a spool that is three quarters full is told once, with when it is full, and again after it was below a half', () => {
  const { sizing, notices } = size(undefined, 1000, undefined)
  const told = (): number => notices.filter(({ name }) => name === 'spool_filling').length
  sizing.filled(149, 0)
  sizing.filled(749, 60_000) // 10 bytes a second
  expect(told()).toBe(0)
  sizing.filled(750, 60_100)
  expect(notices.at(-1)).toMatchObject({ level: 'warn', detail: expect.stringContaining('in 1 min at') })
  sizing.filled(990, 60_200)
  sizing.filled(500, 60_300)
  sizing.filled(800, 60_400)
  expect(told()).toBe(1)
  sizing.filled(499, 60_500)
  sizing.filled(800, 60_600)
  expect(told()).toBe(2)
})
