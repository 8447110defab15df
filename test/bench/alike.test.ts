import { readFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { alike, questionsOfBoth } from '../../bench/audit/alike.ts'

test('answers are alike in whatever order their rows come, and not where one has a cell or a row that the other has not', () => {
  const ours = [
    ['web', '3', null],
    ['till', '5', 'x'],
  ]
  expect(
    alike(ours, [
      ['till', 5, 'x'],
      ['web', 3, ''],
    ]),
  ).toBeUndefined()
  expect(
    alike(ours, [
      ['till', 6, 'x'],
      ['web', 3, ''],
    ]),
  ).toMatch(/^no: 2 and 2 rows; .*till/)
  expect(alike(ours, [['till', 5, 'x']])).toMatch(/^no: 2 and 1 rows/)
  expect(alike([['till', 5, 'x']], [...ours])).toMatch(/^no: 1 and 2 rows; none and .*web/)
})

test('what both are asked has its name once, and a window on both sides', () => {
  expect(new Set(questionsOfBoth.map(({ name }) => name)).size).toBe(questionsOfBoth.length)
  for (const { postgres, clickhouse } of questionsOfBoth)
    expect([postgres, clickhouse].every((text) => /^select/.test(text))).toBe(true)
})

test('each view that ClickHouse is asked stands in deploy/clickhouse/writ.sql, after the tables it reads', async () => {
  const text = await readFile('deploy/clickhouse/writ.sql', 'utf8')
  const made: string[] = []
  for (const statement of text.replaceAll(/^ *--.*$/gm, '').split(/;\s*\n/)) {
    const [, name] = /^\s*create (?:table|materialized view|view) writ\.(\w+)/.exec(statement) ?? []
    for (const [, used] of statement.matchAll(/(?:from|to) writ\.(\w+)/g)) expect(made).toContain(used)
    if (name) made.push(name)
  }
  for (const { clickhouse } of questionsOfBoth) expect(made).toContain(/from writ\.(\w+)/.exec(clickhouse)![1])
})
