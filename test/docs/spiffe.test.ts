import { existsSync, readFileSync } from 'node:fs'
import { expect, test } from 'vitest'

/** docs/SPIFFE.md has a line for each duty, and each line names tests that are there or says what is missing. */

const page = readFileSync('docs/SPIFFE.md', 'utf8')

const numbered = (letter: string, count: number): readonly string[] =>
  Array.from({ length: count }, (_, i) => `${letter}-${i + 1}`)
const duties = [
  ...[...numbered('ID', 7), ...numbered('X', 9), ...numbered('J', 6)],
  ...[...numbered('B', 7), ...numbered('F', 12), ...numbered('W', 13)],
]

const linesOf = (text: string): readonly string[] => text.split('\n').filter((line) => /^\| [A-Z]+-\d+ \|/.test(line))

/** What a line names that is not there; empty where all of it is. */
function wrongWith(line: string): readonly string[] {
  const [, duty, , held = ''] = line.split(' | ').map((cell, i) => (i === 0 ? cell.slice(2) : cell)) as string[]
  const cell = line.slice(line.lastIndexOf(' | ') + 3, -2)
  if (/^Not held: \S.{20,}\.$/.test(cell)) return []
  const named = [...cell.matchAll(/\[(test\/[\w/.-]+\.test\.ts)\]\(\.\.\/([^)]+)\): \*(.+?)\*(?:; |$)/g)]
  if (named.length === 0 || named.map(([whole]) => whole).join('') !== cell) return [`names no test: ${duty} ${held}`]
  return named.flatMap(([, file, target, title]) => {
    if (file !== target || !existsSync(file!)) return [`${file} is not there`]
    const text = readFileSync(file!, 'utf8')
    // Also the name of one line of a table of cases.
    return [`'${title}'`, `"${title}"`, `\`${title}\``].some((quoted) => text.includes(quoted))
      ? []
      : [`${file} has no test: ${title}`]
  })
}

test('every duty of the standards has one line, in order', () => {
  expect(linesOf(page).map((line) => line.slice(2, line.indexOf(' |')))).toEqual(duties)
})

test('each line names tests that are there, by file and title, or says what is missing', () => {
  expect(linesOf(page).flatMap(wrongWith)).toEqual([])
})

/** Of the table at the end: standard, sections, how many demands, duties. */
const demands = [...page.matchAll(/^\| ([A-Z][\w -]+) \| ([\d., ]+) \| (\d+) \| ([A-Z0-9, -]+) \|$/gm)].map(
  ([, standard = '', sections = '', count, held = '']) => ({
    ...{ standard, count: Number(count) },
    sections: sections.split(', '),
    held: held.split(', '),
  }),
)

test('each section that demands something names duties that have a line, and no duty stands for nothing', () => {
  const named = new Set(demands.flatMap(({ held }) => held))
  expect([...named].filter((duty) => !duties.includes(duty))).toEqual([])
  expect(duties.filter((duty) => !named.has(duty))).toEqual([])
  const places = demands.flatMap(({ standard, sections }) => sections.map((section) => `${standard} ${section}`))
  expect(new Set(places).size).toBe(places.length)
  // As many as the words MUST and MUST NOT stand in the seven standards at the revision that the page names.
  expect(demands.reduce((sum, { count }) => sum + count, 0)).toBe(159)
})

test('a line without a test, with a file or a title that is not there, or without a reason is found', () => {
  const line = linesOf(page)[0]!
  expect(wrongWith(line)).toEqual([])
  expect(wrongWith('| ID-1 | rule | somewhere |')).toHaveLength(1)
  expect(wrongWith('| ID-1 | rule | Not held: no. |')).toHaveLength(1)
  expect(wrongWith(line.replaceAll('.test.ts', '2.test.ts'))[0]).toContain('is not there')
  expect(wrongWith(line.replace('* |', ' indeed* |'))[0]).toContain('has no test')
})
