import fc from 'fast-check'
import { expect, test } from 'vitest'
import { StreamTable } from '../../../proxy/http2/stream-table.ts'

test('whatever comes and goes, it holds what a map would', () => {
  const step = fc.record({ act: fc.constantFrom('add', 'add', 'delete', 'get'), id: fc.nat(300) })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 600 }), (steps) => {
      const [table, map] = [new StreamTable<{ readonly id: number }>(), new Map<number, { readonly id: number }>()]
      for (const { act, id } of steps) {
        if (act === 'add') {
          const one = { id }
          table.add(one)
          map.set(id, one)
        } else if (act === 'delete') expect(table.delete(id)).toBe(map.delete(id))
        expect(table.get(id)).toBe(map.get(id))
        expect(table.size).toBe(map.size)
      }
      expect(new Set(table.all())).toEqual(new Set(map.values()))
      table.clear()
      expect([table.size, table.all()]).toEqual([0, []])
    }),
  )
})

test('numbers that rise for ever, some of them open for long, take no more room than those that are open', () => {
  const table = new StreamTable<{ readonly id: number }>()
  const open: number[] = [1]
  table.add({ id: 1 })
  for (let id = 3; id < 40_000; id += 2) {
    table.add({ id })
    open.push(id)
    if (open.length > 12) table.delete(open.splice(1, 1)[0]!)
  }
  expect(table.size).toBe(12)
  expect(
    table
      .all()
      .map(({ id }) => id)
      .sort((a, b) => a - b),
  ).toEqual(open)
  expect(open.every((id) => table.get(id)?.id === id)).toBe(true)
})
