import { expect, test } from 'vitest'
import { findings } from './run.ts'

test('every file is formatted and linted as biome.json says', async () => {
  expect(await findings('biome', ['check', '--max-diagnostics=50', '.'])).toBe('')
}, 60_000)
