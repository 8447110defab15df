import { expect, test } from 'vitest'
import { LimitError } from '../../../engine/builtins/builtin.ts'
import { makeContext } from '../../../engine/builtins/context.ts'
import { makePatternCache } from '../../../engine/builtins/patterns.ts'
import { askIn } from './ask.ts'

/** What a builtin answers where it may take a million steps; 'limit' where it would take more, or makes too much. */
function within(name: string, ...args: readonly unknown[]): string {
  let left = 1_000_000
  const spend = (steps: number) => {
    left -= steps
    if (left < 0) throw new LimitError('no work is left')
  }
  const context = makeContext({ nowNs: 0n, seed: () => new Uint8Array(1), spend }, makePatternCache(), {})
  try {
    return askIn(context, name, ...args.map((arg) => JSON.stringify(arg)))
  } catch (thrown) {
    if (thrown instanceof LimitError || thrown instanceof RangeError) return 'limit'
    throw thrown
  }
}

const times = <T>(count: number, make: (i: number) => T): readonly T[] =>
  Array.from({ length: count }, (_, i) => make(i))
const chain = (depth: number, of: (inner: unknown) => unknown, last: unknown): unknown =>
  depth === 0 ? last : of(chain(depth - 1, of, last))

test('lists of what a short text names are bounded', () => {
  expect(within('net.cidr_expand', '10.0.0.0/30')).toContain('"10.0.0.3"')
  expect(within('net.cidr_expand', '0.0.0.0/0')).toBe('limit')
  expect(within('net.cidr_expand', '::/0')).toBe('limit')
  expect(within('numbers.range_step', 1, 5, 2)).toBe('[1, 3, 5]')
  expect(within('numbers.range_step', 1, 1e15, 1)).toBe('limit')
})

test('what a width or a repetition blows up is bounded', () => {
  expect(within('sprintf', '%5d', [1])).toBe('"    1"')
  expect(within('sprintf', '%1000000000d', [1]).length).toBeLessThan(100)
  expect(
    within(
      'sprintf',
      '%999999d'.repeat(10),
      times(10, () => 1),
    ),
  ).toBe('limit')
  expect(
    within(
      'sprintf',
      '%.999999f'.repeat(10),
      times(10, () => 0.5),
    ),
  ).toBe('limit')
  expect(within('regex.replace', 'aaa', 'a', 'b')).toBe('"bbb"')
  expect(within('regex.replace', 'a'.repeat(1000), 'a', 'b'.repeat(100_000))).toBe('limit')
})

test('templates that run on, or write on, are stopped', () => {
  expect(within('strings.render_template', '{{range .}}x{{end}}', [1])).toBe('undefined')
  expect(within('strings.render_template', '{{range .a}}x{{end}}', { a: [1, 2] })).toBe('"xx"')
  const range = '{{range $.a}}'
  expect(within('strings.render_template', `${range.repeat(8)}x${'{{end}}'.repeat(8)}`, { a: times(50, Number) })).toBe(
    'limit',
  )
  expect(within('strings.render_template', '{{range 1000000000}}{{end}}', {})).toBe('limit')
})

test('searches that look at the rest of a text from each place of it are paid for', () => {
  const text = 'a'.repeat(20_000)
  expect(within('regex.find_n', '(.*b)?', 'aab', -1)).toBe('["aab"]')
  expect(within('regex.find_n', '(.*b)?', text, -1)).toBe('limit')
  expect(within('regex.replace', text, '(.*b)?', '-')).toBe('limit')
  expect(within('regex.split', ',', times(200, String).join(','))).toContain('"199"')
  expect(within('regex.find_n', '((a{100}){10}){10}', text, -1)).toBe('undefined')
  expect(within('regex.globs_match', `${'a*'.repeat(400)}`, `${'a*'.repeat(400)}b`)).toBe('false')
  expect(within('regex.globs_match', 'a'.repeat(1001), 'a')).toBe('limit')
})

test('each compared with each is paid for', () => {
  const zeros = times(4000, () => 0)
  expect(within('object.subset', [1, 2, 3], [2, 3])).toBe('true')
  expect(within('object.subset', zeros, [...zeros.slice(2000), 1])).toBe('limit')
  const blocks = times(600, (i) => `10.${i % 256}.0.0/16`)
  expect(within('net.cidr_contains_matches', blocks.slice(0, 3), ['10.1.2.3'])).toBe('{[1, 0]}')
  expect(within('net.cidr_contains_matches', blocks, blocks)).toBe('limit')
  expect(
    within(
      'net.cidr_merge',
      times(10_000, () => '10.0.0.0/9'),
    ),
  ).toBe('limit')
  expect(
    within(
      'strings.any_prefix_match',
      times(2000, () => 'a'),
      times(2000, () => 'b'),
    ),
  ).toBe('limit')
})

test('paths through a graph are paid for, also where they all end at one node', () => {
  const layers = (depth: number) =>
    Object.fromEntries(
      times(depth, (i) => [`a${i}`, i + 1 < depth ? [`a${i + 1}`, `b${i + 1}`] : []]).concat(
        times(depth, (i) => [`b${i}`, i + 1 < depth ? [`a${i + 1}`, `b${i + 1}`] : []]),
      ),
    )
  expect(within('graph.reachable_paths', layers(3), ['a0'])).toMatch(/"a0", "a1", "a2"/)
  expect(within('graph.reachable_paths', layers(40), ['a0'])).toBe('limit')
  const line = Object.fromEntries(times(3000, (i) => [`n${i}`, [`n${i + 1}`]]))
  expect(within('graph.reachable_paths', line, ['n0'])).toBe('limit')
})

test('a patch that doubles the document with each step ends, and so does one that rewrites a long list again and again', () => {
  const double = { op: 'copy', from: '', path: '/a' }
  expect(within('json.patch', { x: 1 }, [double])).toBe('{"a": {"x": 1}, "x": 1}')
  expect(
    within(
      'json.patch',
      { x: 1 },
      times(60, () => ({ op: 'copy', from: '', path: '/a' })),
    ),
  ).toMatch(/limit|"a"/)
  expect(
    within(
      'json.patch',
      [0],
      times(60, () => ({ op: 'copy', from: '', path: '/-' })),
    ),
  ).toBe('limit')
  const insert = { op: 'add', path: '/0', value: 1 }
  expect(
    within(
      'json.patch',
      times(2000, Number),
      times(2000, () => insert),
    ),
  ).toBe('limit')
})

test('a schema whose references double at each level is given up, and one that only refers to itself too', () => {
  const doubling = {
    $ref: '#/definitions/d0',
    definitions: Object.fromEntries(
      times(41, (i) => [`d${i}`, i === 40 ? {} : { allOf: [1, 2].map(() => ({ $ref: `#/definitions/d${i + 1}` })) }]),
    ),
  }
  expect(within('json.match_schema', { a: 1 }, { type: 'object' })).toBe('[true, []]')
  expect(within('json.match_schema', { a: 1 }, doubling)).toBe('limit')
  const circle = { $ref: '#/definitions/a', definitions: { a: { allOf: [{ $ref: '#/definitions/a' }] } } }
  expect(within('json.match_schema', {}, circle)).toBe('limit')
  expect(
    within(
      'json.match_schema',
      {},
      chain(300, (inner) => ({ not: inner }), {}),
    ),
  ).toBe('limit')
})

test('YAML whose aliases multiply is given up, by their number and by their length', () => {
  const laughs = times(12, (i) =>
    i === 0 ? 'a0: &a0 [x, x, x, x, x, x, x, x]' : `a${i}: &a${i} [${times(8, () => `*a${i - 1}`).join(', ')}]`,
  ).join('\n')
  const long = `a: &a ${'x'.repeat(100_000)}\nb: [${times(500, () => '*a').join(', ')}]`
  expect(within('yaml.unmarshal', 'a: &a 1\nb: *a')).toBe('{"a": 1, "b": 1}')
  for (const text of [laughs, long, '['.repeat(300) + ']'.repeat(300)]) {
    expect(within('yaml.unmarshal', text)).toBe('limit')
    expect(within('yaml.is_valid', text)).toBe('limit')
  }
})

test('GraphQL that is too deep or too long is given up, and not found wrong', () => {
  const nested = (depth: number) => `{${'a{'.repeat(depth)}a${'}'.repeat(depth)}}`
  const schema = 'type Query { a: Query }'
  expect(within('graphql.is_valid', '{ a { __typename } }', schema)).toBe('true')
  expect(within('graphql.is_valid', nested(500), schema)).toBe('limit')
  expect(within('graphql.parse_query', `{${'a '.repeat(20_000)}}`)).toBe('limit')
})

test('amounts, exponents and dates far beyond any use are errors like others', () => {
  expect(within('units.parse', '1e3')).toBe('1000')
  expect(within('units.parse', '1e999999999')).toMatch(/limit|undefined/)
  expect(within('units.parse_bytes', '1e999999999')).toMatch(/limit|undefined/)
  expect(within('time.add_date', 0, 1e9, 1e9, 1e9)).toMatch(/limit|undefined/)
  expect(within('time.format', [0, 'A'.repeat(1000)])).toBe('undefined')
  expect(within('uuid.parse', 'a'.repeat(100_000))).toBe('undefined')
  expect(within('semver.is_valid', `1.0.0-${'1.'.repeat(50_000)}`)).toBe('false')
})
