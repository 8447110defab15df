import fc from 'fast-check'
import { expect, test } from 'vitest'
import { readForm } from '../../../../proxy/flow/body/form.ts'

const wrongOf = (text: string): string | undefined => {
  const read = readForm(text)
  return 'wrong' in read ? read.wrong : undefined
}

/** What another implementation makes of it. */
function other(text: string): Record<string, string[]> {
  const values: Record<string, string[]> = Object.create(null)
  for (const [name, value] of new URLSearchParams(`?${text}`)) (values[name] ??= []).push(value)
  return values
}

test('names and values are decoded once, in order, and a name may come again', () => {
  expect(readForm('a=1&b=x+y&a=%32%2541&&c')).toEqual({ values: { a: ['1', '2%41'], b: ['x y'], c: [''] } })
  expect(readForm('')).toEqual({ values: {} })
})

test.each([
  ['an escape that is none', 'a=%zz'],
  ['half an escape', 'a=%4'],
  ['an escape that is not UTF-8', 'a=%ff'],
  ['an overlong escape', 'a=%c0%af'],
  ['a semicolon', 'a=1;b=2'],
])('%s is refused', (_, text) => {
  expect(wrongOf(text)).toBeDefined()
})

test('whatever is read is what URLSearchParams reads', () => {
  const piece = fc.constantFrom(
    'a',
    'b',
    '=',
    '&',
    '+',
    '%41',
    '%25',
    '%26',
    '%e2%82%ac',
    '%',
    '%f',
    '€',
    ' ',
    ';',
    '#',
  )
  fc.assert(
    fc.property(
      fc.oneof(
        fc.array(piece).map((list) => list.join('')),
        fc.string({ unit: 'binary' }),
      ),
      (text) => {
        fc.pre(text.isWellFormed())
        const read = readForm(text)
        if ('values' in read) expect(read.values).toEqual(other(text))
      },
    ),
    { numRuns: 3000 },
  )
})

test('whatever URLSearchParams writes is read back', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.string(), fc.string())), (pairs) => {
      const text = new URLSearchParams(pairs).toString()
      expect(readForm(text)).toEqual({ values: other(text) })
    }),
  )
})
