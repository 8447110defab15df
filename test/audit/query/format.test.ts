import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { DecisionRow } from '../../../audit/query/answer.ts'
import { readCursor, readQuestion, writeCursor } from '../../../audit/query/ask.ts'
import { csvCell, formatCsv, formatJsonLines, formatTable } from '../../../audit/query/format.ts'
import { parseMoment, parseSpan } from '../../../audit/query/moment.ts'
import { WritError } from '../../../core/fault.ts'

const row: DecisionRow = {
  id: 'ab12ab12ab12ab12ab12ab12-17',
  shard: 0,
  index: 3,
  time: '2026-11-23T12:00:00.010000Z',
  direction: 'inbound',
  caller: 'spiffe://bank.example/web',
  target: 'spiffe://bank.example/orders',
  service: 'orders',
  method: 'GET',
  path: '/orders/1',
  verdict: 'allow',
  code: 'allowed',
  enforced: true,
  by: 'policy',
  bundle: 'orders',
  revision: 'r1',
  reasons: [],
  requestId: 'r',
  traceId: null,
  sourceAddress: '10.0.0.7',
  serial: '0a',
  outcome: 'completed',
  status: 200,
  durationUs: 1540,
  upstream: '127.0.0.1:80',
  attempts: [],
  stopped: null,
  attested: true,
  covered: true,
}

test('a table is aligned and says what is unknown', () => {
  const table = formatTable([row, { ...row, verdict: 'deny', code: 'policy_denied', caller: null, status: null }])
  expect(table.split('\n')).toEqual([
    'TIME (UTC)           VERDICT             CALLER         TARGET  REQUEST        STATUS   MS  ID',
    '2026-11-23 12:00:00  allow               web            orders  GET /orders/1     200  1.5  ab12ab12ab12ab12ab12ab12-17',
    '2026-11-23 12:00:00  deny policy_denied  (no identity)  orders  GET /orders/1       ?  1.5  ab12ab12ab12ab12ab12ab12-17',
    '',
  ])
})

test('how often a request was sent again stands in a table where one was, and what was tried in a CSV', () => {
  const retried = { ...row, attempts: ['10.0.0.1:80 503', '10.0.0.2:80 upstream_reset'], stopped: 'retry_limit' }
  const [head, first, second] = formatTable([row, retried]).split('\n')
  expect(head!.trimEnd()).toMatch(/ MS {2}RETRIES {2}ID$/)
  expect([first, second].map((line) => line!.split(/ {2,}/).slice(-2))).toEqual([
    ['1.5', row.id],
    ['2', row.id],
  ])
  expect(formatCsv([retried])).toContain(',127.0.0.1:80,10.0.0.1:80 503; 10.0.0.2:80 upstream_reset,retry_limit,')
})

test('no row makes a table wider than 120 columns, or moves the cursor of a terminal', () => {
  const text = fc.string({ maxLength: 300, unit: 'binary' })
  fc.assert(
    fc.property(text, text, text, fc.nat(), (path, caller, target, durationUs) => {
      const table = formatTable([{ ...row, path, caller, target, durationUs }])
      for (const line of table.split('\n')) expect(line.length).toBeLessThanOrEqual(120)
      expect(table).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/)
      expect(table.split('\n')).toHaveLength(3)
      expect(table).toContain(row.id)
    }),
  )
})

test('paint is asked for the verdict alone, so that text without it is the same', () => {
  expect(formatTable([row], (verdict, text) => `<${verdict}>${text}</>`)).toContain('<allow>allow  </>')
})

test('a cell that a spreadsheet would run becomes text, another stays', () => {
  for (const evil of ['=1+1', '+1', '-1', '@sum', '\tx', '\rx']) expect(csvCell(evil).replace(/^"/, '')).toMatch(/^'/)
  expect(csvCell('a=1')).toBe('a=1')
  expect(csvCell(-1)).toBe('-1')
  expect(csvCell(null)).toBe('')
})

test('what CSV quotes, an RFC 4180 reader gets back', () => {
  fc.assert(
    fc.property(fc.string({ maxLength: 50, unit: 'binary' }), (path) => {
      const [, record] = parseCsv(formatCsv([{ ...row, path }]))
      expect(record![7]!.replace(/^'(?=[=+\-@\t\r\n])/, '')).toBe(path)
      expect(record).toHaveLength(33)
    }),
  )
  expect(csvCell('a "b", c')).toBe('"a ""b"", c"')
})

/** RFC 4180 by the letter. */
function parseCsv(text: string): string[][] {
  const rows: string[][] = []
  let cells: string[] = []
  for (const match of text.matchAll(/(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r\n)/g)) {
    cells.push(match[1]?.replaceAll('""', '"') ?? match[2] ?? '')
    if (match[3] === ',') continue
    rows.push(cells)
    cells = []
  }
  return rows
}

test('JSON lines are one object per line', () => {
  expect(
    formatJsonLines([row, row])
      .split('\n')
      .slice(0, 2)
      .map((line) => JSON.parse(line).index),
  ).toEqual([3, 3])
})

test('spans and times are read, and nothing else', () => {
  expect(parseSpan('15m')).toBe(900_000)
  expect(parseSpan('7d')).toBe(604_800_000)
  expect(parseMoment('15m', 1_000_000, 'since')).toBe(100_000)
  expect(parseMoment('2026-11-23T17:00:00Z', 0, 'since')).toBe(Date.UTC(2026, 10, 23, 17))
  expect(parseMoment('2026-11-23', 0, 'since')).toBe(Date.UTC(2026, 10, 23))
  for (const bad of ['', '15', 'm', '0m', '1.5h', 'yesterday', '2026-13-01', '2026-11-23T17:00:00', '17:00']) {
    expect(() => parseMoment(bad, 0, 'since')).toThrow(WritError)
  }
})

test('a question is read from pairs; what cannot be asked is refused by name', () => {
  const pairs = [
    ['caller', 'web'],
    ['verdict', 'deny'],
    ['since', '1h'],
    ['limit', '10'],
    ['method', 'get'],
  ] as const
  expect(readQuestion(pairs, 3_600_000)).toEqual({
    caller: 'web',
    verdict: 'deny',
    fromMs: 0,
    limit: 10,
    method: 'GET',
  })
  for (const bad of [
    ['verdict', 'maybe'],
    ['limit', '0'],
    ['limit', '1001'],
    ['colour', 'red'],
    ['cursor', 'x'],
  ] as const) {
    expect(() => readQuestion([bad], 0)).toThrow(bad[0])
  }
})

test('a cursor reads back as it was written; nothing a stranger sends throws anything but usage', () => {
  fc.assert(
    fc.property(
      fc.uniqueArray(fc.tuple(fc.nat(999), fc.nat(1e9)), { selector: ([shard]) => shard, minLength: 1 }),
      (list) => {
        expect(readCursor(writeCursor(new Map(list)))).toEqual(new Map(list))
      },
    ),
  )
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.constantFrom('cursor', 'limit', 'since', 'id', 'x'), fc.string())), (pairs) => {
      try {
        readQuestion(pairs, 0)
      } catch (thrown) {
        expect(thrown).toBeInstanceOf(WritError)
      }
    }),
  )
})
