import { existsSync, readFileSync } from 'node:fs'
import { expect, test } from 'vitest'

/** docs/TRUST.md promises nothing that no test shows: each line names a test file and the title of a test in it. */

const page = readFileSync('docs/TRUST.md', 'utf8')

const parties = [
  ...['A proxy', 'The broker, or who runs it', 'The auditor', 'The database admin'],
  ...['The holder of the checkpoint key', 'The operator of the CA', 'A witness'],
]

/** Lines of the tables that say something. */
const linesOf = (text: string): readonly string[] =>
  text.split('\n').filter((line) => line.startsWith('| ') && !line.startsWith('| could |'))

/** What a line names that is not there; undefined where all of it is. */
function wrongWith(line: string): string | undefined {
  const named = /\| \[(test\/[\w/.-]+\.test\.ts)\]\(\.\.\/([^)]+)\): \*(.+)\* \|$/.exec(line)
  if (!named) return `names no test: ${line}`
  const [, file, target, title] = named
  if (file !== target || !existsSync(file!)) return `${file} is not there`
  const text = readFileSync(file!, 'utf8')
  const titles = [...text.matchAll(/\btest\(\s*(['"`])(.+?)\1,/g)].map((match) => match[2])
  return titles.includes(title) ? undefined : `${file} has no test: ${title}`
}

test('each line of docs/TRUST.md names a test that is there, by its file and its title', () => {
  expect(linesOf(page).flatMap((line) => wrongWith(line) ?? [])).toEqual([])
})

test('each party has its lines, and what is not caught is said of it', () => {
  const sections = page.split('\n## ').slice(1)
  expect(sections.map((section) => section.slice(0, section.indexOf('\n')))).toEqual(parties)
  for (const section of sections) {
    expect(linesOf(section).length).toBeGreaterThan(2)
    expect(section).toMatch(/\nNot caught[ :]/)
  }
})

test('a line that names no test, a file that is not there, or a title that no test has is found', () => {
  const line = linesOf(page)[0]!
  expect(wrongWith(line)).toBeUndefined()
  expect(wrongWith('| could | caught by nothing | |')).toContain('names no test')
  expect(wrongWith(line.replaceAll('.test.ts', '2.test.ts'))).toContain('is not there')
  expect(wrongWith(line.replace('* |', ' indeed* |'))).toContain('has no test')
})
