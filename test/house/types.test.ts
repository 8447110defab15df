import { expect, test } from 'vitest'
import { findings } from './run.ts'

const timeoutMs = 120_000

test(
  'every file has the types it says',
  async () => {
    expect(await findings('tsc', ['--noEmit'])).toBe('')
  },
  timeoutMs,
)

test(
  'what must run anywhere has its types without Node',
  async () => {
    expect(await findings('tsc', ['--noEmit', '-p', 'tsconfig.portable.json'])).toBe('')
  },
  timeoutMs,
)
