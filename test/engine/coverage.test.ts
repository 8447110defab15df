import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Json } from '../../core/json.ts'
import { rangesText, readCoverage } from '../../engine/coverage.ts'

const rows = (...rows: readonly number[]): Json => rows.map((row) => ({ start: { row, col: 1 }, end: { row, col: 9 } }))

test('a row of which a part was reached is covered; tests themselves do not count', () => {
  const report = {
    files: {
      'a.rego': { covered: rows(3, 3, 5), not_covered: rows(5, 7, 8) },
      'a_test.rego': { covered: rows(1, 2, 3, 4), not_covered: [] },
    },
  }
  expect(readCoverage(report)).toEqual({ percent: 50, files: [{ file: 'a.rego', percent: 50, uncovered: [7, 8] }] })
})

test('rows that follow one another are one range', () => {
  expect(rangesText([3, 7, 8, 9, 11])).toBe('3, 7-9, 11')
  expect(rangesText([])).toBe('')
})

test('nothing to cover is covered, and no report makes it throw', () => {
  expect(readCoverage({ files: {} })).toEqual({ percent: 100, files: [] })
  fc.assert(fc.property(fc.json(), (text) => readCoverage(JSON.parse(text) as Json).percent >= 0))
})
