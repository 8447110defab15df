/** Which lines of a policy its tests went through, from OPA's report. */

import { isObject, type Json } from '../core/json.ts'

export interface Coverage {
  /** Of all files, 0 to 100; 100 where there is nothing to cover. */
  readonly percent: number
  readonly files: readonly FileCoverage[]
}

export interface FileCoverage {
  readonly file: string
  readonly percent: number
  /** Rows, from 1, in order. */
  readonly uncovered: readonly number[]
}

/** Tests are left out: that they ran says nothing of the rules. So are files that are not the author's own. */
export function readCoverage(report: Json, isOwn: (file: string) => boolean = () => true): Coverage {
  const files = isObject(report) ? report['files'] : undefined
  const counted = Object.entries(isObject(files) ? files : {})
    .filter(([file]) => !file.endsWith('_test.rego') && isOwn(file))
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([file, found]) => ({ file, ...rowsOf(found) }))
  const covered = counted.reduce((sum, one) => sum + one.covered.size, 0)
  const all = counted.reduce((sum, one) => sum + one.covered.size + one.uncovered.length, 0)
  return {
    percent: percentOf(covered, all),
    files: counted.map(({ file, covered, uncovered }) => ({
      file,
      percent: percentOf(covered.size, covered.size + uncovered.length),
      uncovered,
    })),
  }
}

/** A row of which some part was reached counts as covered, as OPA counts. */
function rowsOf(found: Json | undefined): {
  readonly covered: ReadonlySet<number>
  readonly uncovered: readonly number[]
} {
  const covered = startRows(isObject(found) ? found['covered'] : undefined)
  const not = startRows(isObject(found) ? found['not_covered'] : undefined)
  return { covered, uncovered: [...not].filter((row) => !covered.has(row)).toSorted((a, b) => a - b) }
}

function startRows(ranges: Json | undefined): ReadonlySet<number> {
  const rows = (Array.isArray(ranges) ? (ranges as readonly Json[]) : []).flatMap((range) => {
    const start = isObject(range) ? range['start'] : undefined
    const row = isObject(start) ? start['row'] : undefined
    return typeof row === 'number' ? [row] : []
  })
  return new Set(rows)
}

const percentOf = (part: number, all: number): number => (all === 0 ? 100 : (100 * part) / all)

/** `3, 7-9`. */
export function rangesText(rows: readonly number[]): string {
  const ranges: [number, number][] = []
  for (const row of rows) {
    const last = ranges.at(-1)
    if (last && row === last[1] + 1) last[1] = row
    else ranges.push([row, row])
  }
  return ranges.map(([from, to]) => (from === to ? `${from}` : `${from}-${to}`)).join(', ')
}
