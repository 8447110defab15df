import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Answer, DecisionRow, SealedField } from '../../audit/query/answer.ts'
import { type FieldSearch, findByField, wantedFields } from '../../cli/audit-fields.ts'

const row = (
  number: number,
  path: string | undefined,
  state: SealedField['state'] = 'withheld',
): DecisionRow & { clear?: string } =>
  ({
    id: `e-${number}`,
    ...(path !== undefined && { clear: path, sealed: [{ field: 'path', state }] }),
  }) as unknown as DecisionRow

/** A log of these rows, whose cursor is the number of the next; what was opened is noted. */
function search(log: readonly DecisionRow[], more: Partial<FieldSearch> = {}) {
  const opened: string[] = []
  const limit = more.limit ?? 2
  const answer = findByField({
    ask: async (cursor): Promise<Answer> => {
      const from = Number(cursor ?? 0)
      const next = from + limit < log.length ? String(from + limit) : null
      return { rows: log.slice(from, from + limit), next }
    },
    open: async (rows) => {
      opened.push(...rows.map(({ id }) => id))
      return rows.map((one) => {
        const { clear } = one as { clear?: string }
        const [sealed] = one.sealed!
        return sealed!.state === 'withheld' && clear !== ''
          ? { ...one, sealed: [{ field: 'path', state: 'disclosed' as const, value: clear! }] }
          : one
      })
    },
    ...{ wanted: wantedFields(['path=/a']), cursor: undefined, limit },
    ...more,
  })
  return { answer, opened }
}
const ids = ({ rows }: Answer): readonly string[] => rows.map(({ id }) => id)

test('records are found by the clear value of a field; only those that have it are opened, and what cannot be is told', async () => {
  const log = [row(0, '/b'), row(1, undefined), row(2, '/a'), row(3, ''), row(4, '/a', 'erased'), row(5, '/a')]
  const { answer, opened } = search(log)
  expect(ids(await answer)).toEqual(['e-2', 'e-5'])
  expect(await answer).toMatchObject({ next: null, unreadable: 2 })
  expect(opened).toEqual(['e-0', 'e-2', 'e-3', 'e-4', 'e-5'])
})

test('an answer that went through enough says how far, and goes on from there', async () => {
  const log = Array.from({ length: 9 }, (_, i) => row(i, '/b'))
  expect(await search(log, { most: 4 }).answer).toMatchObject({ rows: [], next: '4', looked: 4 })
  expect(await search(log, { most: 4, cursor: '4' }).answer).toMatchObject({ rows: [], next: '8', looked: 4 })
})

test('page by page it finds each record once, whatever the pages and wherever they are', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.constantFrom('/a', '/b', undefined), { maxLength: 40 }),
      fc.integer({ min: 1, max: 7 }),
      fc.integer({ min: 1, max: 20 }),
      async (paths, limit, most) => {
        const log = paths.map((path, i) => row(i, path))
        const found: string[] = []
        for (let cursor: string | undefined; ; ) {
          const page = await search(log, { limit, most, cursor }).answer
          expect(page.rows.length).toBeLessThanOrEqual(limit)
          found.push(...ids(page))
          if (page.next === null) break
          expect(Number(page.next)).toBeGreaterThan(Number(cursor ?? -1))
          cursor = page.next
        }
        expect(found).toEqual(paths.flatMap((path, i) => (path === '/a' ? [`e-${i}`] : [])))
      },
    ),
  )
})

test('what is no name and value is refused', () => {
  expect([...wantedFields(['header x-user=a=b', 'query='])]).toEqual([
    ['header x-user', 'a=b'],
    ['query', ''],
  ])
  for (const wrong of ['path', '=x']) expect(() => wantedFields([wrong])).toThrow('name=value')
})
