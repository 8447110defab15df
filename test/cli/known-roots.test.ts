import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { openKnownRoots } from '../../cli/wire/known-roots.ts'
import { bank, domain, noonMs, tempFolder } from '../ca/world.ts'

const hour = 3_600_000
const [a, b] = [new Uint8Array([1]), new Uint8Array([2])]
const bundle = (sequence: number, ...roots: Uint8Array[]) => ({ trustDomain: bank, sequence, roots })

test('what was signed under a root holds for the time in which it was in the bundle, also over a restart', () => {
  const dir = tempFolder()
  let nowMs = noonMs
  const open = () => openKnownRoots(dir, () => nowMs)
  const roots = open()
  roots.update(bundle(1, a))
  nowMs += 10 * hour
  roots.update(bundle(2, a, b))
  nowMs += 10 * hour
  roots.update(bundle(3, b))
  for (const known of [roots, open()]) {
    expect(known.at(bank, 0)).toEqual([a])
    expect(known.at(bank, noonMs + 9 * hour - 1)).toEqual([a])
    expect(known.at(bank, noonMs + 9 * hour)).toEqual([a, b])
    expect(known.at(bank, noonMs + 21 * hour)).toEqual([a, b])
    expect(known.at(bank, noonMs + 21 * hour + 1)).toEqual([b])
    expect(known.at(domain('other.example'), noonMs)).toEqual([])
  }
})

test('a root that comes back holds again, and a damaged file is named', () => {
  const dir = tempFolder()
  const roots = openKnownRoots(dir, () => noonMs)
  roots.update(bundle(1, a))
  roots.update(bundle(2, b))
  expect(roots.at(bank, noonMs + 2 * hour)).toEqual([b])
  roots.update(bundle(3, a, b))
  expect(roots.at(bank, noonMs + 2 * hour)).toEqual([a, b])
  writeFileSync(join(dir, 'known-roots.json'), '[{"root":1}]')
  expect(() => openKnownRoots(dir, () => noonMs)).toThrow('is damaged')
})
