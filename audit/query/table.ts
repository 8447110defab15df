/** Lays cells out in aligned columns that fit a terminal. */

/** Columns of a terminal that a table fits into. */
const tableWidth = 120

export interface Column {
  readonly title: string
  /** Narrowest it is cut to when the table is too wide; whole where it is not given. */
  readonly shrinksTo?: number
  readonly right?: boolean
}

/**
 * At most `width` wide where columns may shrink that far. Control characters, which came from strangers, are shown as
 * what they are.
 */
export function layTable(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  paint: (text: string, row: number, column: number) => string = (text) => text,
  width: number = tableWidth,
): readonly string[] {
  const cells = rows.map((row) => row.map(visible))
  const widths = shrink(
    columns,
    columns.map((column, i) => cells.reduce((most, line) => Math.max(most, line[i]!.length), column.title.length)),
    width,
  )
  const line = (texts: readonly string[], around: (text: string, i: number) => string): string =>
    texts
      .map((text, i) => around(pad(cut(text, widths[i]!), widths[i]!, columns[i]!.right === true), i))
      .join('  ')
      .trimEnd()
  const head = line(
    columns.map(({ title }) => title),
    (text) => text,
  )
  return [head, ...cells.map((texts, at) => line(texts, (text, i) => paint(text, at, i)))]
}

export const visible = (text: string): string =>
  text.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g, '\ufffd')

export function cut(text: string, width: number): string {
  return text.length <= width ? text : `${text.slice(0, width - 1)}\u2026`
}

/** The path of an id says enough where all ids are of one trust domain. */
export const shortId = (id: string | null): string | null => id?.replace(/^spiffe:\/\/[^/]+\//, '') ?? null

const pad = (text: string, width: number, right: boolean): string => (right ? text.padStart(width) : text.padEnd(width))

/** Takes from the widest column that may shrink, until the line fits. */
function shrink(columns: readonly Column[], widths: readonly number[], width: number): readonly number[] {
  const fitted = [...widths]
  const total = (): number => fitted.reduce((sum, width) => sum + width, 0) + 2 * (fitted.length - 1)
  while (total() > width) {
    let widest = -1
    columns.forEach(({ shrinksTo }, i) => {
      const spare = shrinksTo !== undefined && fitted[i]! > shrinksTo
      if (spare && (widest < 0 || fitted[i]! > fitted[widest]!)) widest = i
    })
    if (widest < 0) break
    fitted[widest]!--
  }
  return fitted
}
