import { expect, test, vi } from 'vitest'
import { counted, countShown } from '../../cli/wire/progress.ts'

async function* pages(): AsyncGenerator<readonly number[]> {
  yield [1, 2, 3]
  yield [4]
}

async function through(isTTY: boolean): Promise<{ readonly items: readonly number[]; readonly said: string }> {
  let said = ''
  const items: number[] = []
  for await (const page of counted(pages(), 'read', { isTTY, write: (text) => (said += text) })) items.push(...page)
  return { items, said }
}

test('all pages pass, on a terminal with a line that is gone in the end, elsewhere in silence', async () => {
  const times = [0, 300, 600]
  const clock = vi.spyOn(performance, 'now').mockImplementation(() => times.shift() ?? 1000)
  const shown = await through(true)
  clock.mockRestore()
  expect(shown).toEqual({ items: [1, 2, 3, 4], said: '\r3 read\r4 read\r\x1b[K' })
  expect(await through(false)).toEqual({ items: [1, 2, 3, 4], said: '' })
})

test('a count that is told is a line on a terminal, gone in the end, and nothing elsewhere', () => {
  const times = [0, 100, 300, 400]
  const clock = vi.spyOn(performance, 'now').mockImplementation(() => times.shift() ?? 1000)
  let said = ''
  const shown = countShown('leaves', { isTTY: true, write: (text) => (said += text) })
  for (const count of [256, 65_536, 65_792]) shown.say(count)
  shown.end()
  const quiet = countShown('leaves', { isTTY: false, write: (text) => (said += text) })
  quiet.say(1)
  quiet.end()
  clock.mockRestore()
  expect(said).toBe('\r65,536 leaves\r\x1b[K')
})
