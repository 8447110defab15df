import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { HeaderChanges } from '../../../core/filters.ts'
import { after } from '../../../proxy/flow/filters/merged.ts'

type Fields = Readonly<Record<string, string | undefined>>

/** What a proxy makes of one field after the other: removed, set, added to. */
function applied(fields: Fields, { set, add, remove }: HeaderChanges): Fields {
  const next: Record<string, string | undefined> = { ...fields }
  for (const name of remove ?? []) delete next[name]
  Object.assign(next, set)
  for (const [name, value] of Object.entries(add ?? {}))
    next[name] = next[name] === undefined ? value : `${next[name]}, ${value}`
  return next
}

const name = fc.constantFrom('a', 'b', 'c')
const fields = fc.dictionary(name, fc.constantFrom('1', '2'), { noNullPrototype: true })
/** A filter names each field once. */
const changes = fc.record({ set: fields, add: fields, remove: fc.uniqueArray(name) }).map(({ set, add, remove }) => {
  const left = Object.fromEntries(Object.entries(add).filter(([one]) => !(one in set)))
  return { set, add: left, remove: remove.filter((one) => !(one in set) && !(one in left)) }
})

test('the changes of a rule and then of a backend are those of both, one after the other', () => {
  fc.assert(
    fc.property(fields, changes, changes, (sent, first, second) => {
      expect(applied(sent, after(first, second))).toEqual(applied(applied(sent, first), second))
    }),
    { numRuns: 2000 },
  )
})
