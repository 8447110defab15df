/**
 * The cases of W3C's trace-context validation service (test/test.py of w3c/trace-context, its level 2, strict), under its
 * own names. No registry has the service itself: it is run too where `WRIT_TRACE_CONTEXT` names the `test` folder of a
 * checkout, and `WRIT_PYTHON` a Python with aiohttp.
 */

import { createServer } from 'node:http'
import { connect } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { run } from '../../parts/child.ts'
import { freePort } from '../../parts/ports.ts'
import { startChain } from './chain.ts'

const traceId = '12345678901234567890123456789012'
const parentId = '1234567890123456'
const whole = `00-${traceId}-${parentId}-00`

/** Fields as they are sent, a line each. */
type Lines = readonly string[]

const parent = (value: string): Lines => [`traceparent: ${value}`]
const state = (...values: readonly string[]): Lines => [
  `traceparent: ${whole}`,
  ...values.map((value) => `tracestate: ${value}`),
]
const same = { trace: traceId }
const other = { trace: 'new' }
const states = (holds: string): Wanted => ({ ...same, holds })
const noState: Wanted = { ...same, holds: '' }

interface Wanted {
  /** Of the call back: this id, or one that was not sent. Default any. */
  readonly trace?: string
  /** The members of the `tracestate` that arrives, in order; empty where none may. Default whatever. */
  readonly holds?: string
  readonly random?: true
}

const tens = [0, 10, 20].map((from) =>
  Array.from({ length: 10 }, (_, i) => String(from + i + 1).padStart(2, '0'))
    .map((number) => `bar${number}=${number}`)
    .join(','),
)
const allKeys = 'abcdefghijklmnopqrstuvwxyz0123456789_-*/'
const printable = Array.from({ length: 0x7f - 0x20 }, (_, i) => String.fromCharCode(0x20 + i)).join('')
const allValues = printable.replaceAll(/[,=]/g, '')

const cases: readonly (readonly [name: string, ...[Lines, Wanted][]])[] = [
  ['both_traceparent_and_tracestate_missing', [[], { holds: '' }]],
  ['traceparent_included_tracestate_missing', [parent(`00-${traceId}-${parentId}-01`), same]],
  ['traceparent_duplicated', [[...parent(`00-${traceId.slice(0, 31)}1-${parentId}-01`), ...parent(whole)], other]],
  ['traceparent_header_name', [[`trace-parent: ${whole}`], other], [[`trace.parent: ${whole}`], other]],
  [
    'traceparent_header_name_valid_casing',
    ...['TraceParent', 'TrAcEpArEnT', 'TRACEPARENT'].map((name): [Lines, Wanted] => [[`${name}: ${whole}`], same]),
  ],
  ['traceparent_version_0x00', [parent(`${whole}.`), other], [parent(`${whole}-what-the-future-will-be-like`), other]],
  [
    'traceparent_version_0xcc',
    [parent(`cc${whole.slice(2)}`), same],
    [parent(`cc${whole.slice(2)}-what-the-future-will-be-like`), same],
    [parent(`cc${whole.slice(2)}.what-the-future-will-be-like`), other],
  ],
  ['traceparent_version_0xff', [parent(`ff${whole.slice(2)}`), other]],
  [
    'traceparent_version_illegal_characters',
    [parent(`.0${whole.slice(2)}`), other],
    [parent(`0.${whole.slice(2)}`), other],
  ],
  ['traceparent_version_too_long', [parent(`0${whole}`), other], [parent(`00${whole}`), other]],
  ['traceparent_version_too_short', [parent(whole.slice(1)), other]],
  ['traceparent_trace_id_all_zero', [parent(`00-${'0'.repeat(32)}-${parentId}-01`), other]],
  [
    'traceparent_trace_id_illegal_characters',
    [parent(`00-.${traceId.slice(1)}-${parentId}-01`), other],
    [parent(`00-${traceId.slice(0, 31)}.-${parentId}-01`), other],
  ],
  ['traceparent_trace_id_too_long', [parent(`00-${traceId}3-${parentId}-01`), other]],
  ['traceparent_trace_id_too_short', [parent(`00-${traceId.slice(1)}-${parentId}-01`), other]],
  ['traceparent_parent_id_all_zero', [parent(`00-${traceId}-${'0'.repeat(16)}-01`), other]],
  [
    'traceparent_parent_id_illegal_characters',
    [parent(`00-${traceId}-.${parentId.slice(1)}-01`), other],
    [parent(`00-${traceId}-${parentId.slice(0, 15)}.-01`), other],
  ],
  ['traceparent_parent_id_too_long', [parent(`00-${traceId}-${parentId}7-01`), other]],
  ['traceparent_parent_id_too_short', [parent(`00-${traceId}-${parentId.slice(1)}-01`), other]],
  [
    'traceparent_trace_flags_illegal_characters',
    [parent(`${whole.slice(0, -2)}.0`), other],
    [parent(`${whole.slice(0, -1)}.`), other],
  ],
  ['traceparent_trace_flags_too_long', [parent(`${whole.slice(0, -2)}001`), other]],
  ['traceparent_trace_flags_too_short', [parent(`${whole.slice(0, -2)}1`), other]],
  [
    'traceparent_ows_handling',
    ...[` ${whole}`, `\t${whole}`, `${whole} `, `${whole}\t`, `\t ${whole} \t`].map((text): [Lines, Wanted] => [
      parent(text),
      same,
    ]),
  ],
  [
    'tracestate_included_traceparent_missing',
    [['tracestate: foo=1'], { holds: '' }],
    [['tracestate: foo=1,bar=2'], { holds: '' }],
  ],
  ['tracestate_included_traceparent_included', [state('foo=1,bar=2'), states('foo=1,bar=2')]],
  [
    'tracestate_header_name',
    [[...parent(whole), 'trace-state: foo=1'], noState],
    [[...parent(whole), 'trace.state: foo=1'], noState],
  ],
  [
    'tracestate_header_name_valid_casing',
    ...['TraceState', 'TrAcEsTaTe', 'TRACESTATE'].map((name): [Lines, Wanted] => [
      [...parent(whole), `${name}: foo=1`],
      states('foo=1'),
    ]),
  ],
  [
    'tracestate_empty_header',
    [state(''), noState],
    [state('foo=1', ''), states('foo=1')],
    [state('', 'foo=1'), states('foo=1')],
  ],
  [
    'tracestate_multiple_headers_different_keys',
    [state('foo=1,bar=2', 'rojo=1,congo=2', 'baz=3'), states('foo=1,bar=2,rojo=1,congo=2,baz=3')],
  ],
  [
    'tracestate_duplicated_keys',
    [state('foo=1,foo=1'), states('foo=1,foo=1')],
    [state('foo=1,foo=2'), states('foo=1,foo=2')],
    [state('foo=1', 'foo=1'), states('foo=1,foo=1')],
    [state('foo=1', 'foo=2'), states('foo=1,foo=2')],
  ],
  [
    'tracestate_all_allowed_characters',
    [state(`${allKeys}=${allValues}`), states(`${allKeys}=${allValues}`)],
    [state(`${allKeys}@a-z0-9_-*/=${allValues}`), states(`${allKeys}@a-z0-9_-*/=${allValues}`)],
  ],
  [
    'tracestate_ows_handling',
    [state('foo=1 \t , \t bar=2, \t baz=3'), states('foo=1,bar=2,baz=3')],
    [state('foo=1\t \t,\t \tbar=2,\t \tbaz=3'), states('foo=1,bar=2,baz=3')],
    ...[' foo=1', '\tfoo=1', 'foo=1 ', 'foo=1\t', '\t foo=1 \t'].map((text): [Lines, Wanted] => [
      state(text),
      states('foo=1'),
    ]),
  ],
  [
    'tracestate_key_illegal_characters',
    ...['foo =1', 'FOO=1', 'foo.bar=1'].map((text): [Lines, Wanted] => [state(text), noState]),
  ],
  [
    'tracestate_key_illegal_vendor_format',
    [state('foo@=1,bar=2'), states('foo@=1,bar=2')],
    [state('@foo=1,bar=2'), noState],
    [state('foo@@bar=1,bar=2'), states('foo@@bar=1,bar=2')],
    [state('foo@bar@baz=1,bar=2'), states('foo@bar@baz=1,bar=2')],
  ],
  [
    'tracestate_member_count_limit',
    [state(...tens, 'bar31=31,bar32=32'), states([...tens, 'bar31=31,bar32=32'].join(','))],
    [state(...tens, 'bar31=31,bar32=32,bar33=33'), noState],
  ],
  [
    'tracestate_key_length_limit',
    ...['z'.repeat(256), `${'t'.repeat(241)}@${'v'.repeat(14)}`, `${'t'.repeat(242)}@v`, `t@${'v'.repeat(15)}`].map(
      (key): [Lines, Wanted] => [state('foo=1', `${key}=1`), states(`foo=1,${key}=1`)],
    ),
    [state('foo=1', `${'z'.repeat(257)}=1`), noState],
  ],
  ['tracestate_value_illegal_characters', [state('foo=bar=baz'), noState], [state('foo=,bar=3'), noState]],
  ['propagates_random_flag', [parent(`00-${traceId}-${parentId}-02`), { ...same, random: true }]],
]

const several: readonly (readonly [name: string, lines: Lines, trace?: string])[] = [
  ['with_valid_traceparent', parent(`00-${traceId}-${parentId}-01`), traceId],
  ['without_traceparent', []],
  ['with_illegal_traceparent', parent(`00-${'0'.repeat(32)}-${parentId}-01`)],
]

test('each of them holds through two sidecars', async () => {
  const { ask } = await startHarness()
  for (const [name, ...asks] of cases) {
    for (const [lines, wanted] of asks) {
      const [{ trace, span, flags, members }] = (await ask(lines, 1)) as [Seen]
      const sent = `test_${name} ${lines.join('\n')}`
      if (wanted.trace === 'new') expect(sent).not.toContain(trace)
      else if (wanted.trace) expect(trace, sent).toBe(wanted.trace)
      expect(span, sent).not.toBe(parentId)
      if (wanted.random) expect(flags & 2, sent).toBe(2)
      if (wanted.holds !== undefined) expect(members.join(','), sent).toBe(wanted.holds)
    }
  }
  for (const [name, lines, trace] of several) {
    const seen = await ask(lines, 3)
    expect(new Set(seen.map(({ span }) => span)).size, `test_multiple_requests_${name}`).toBe(3)
    const traces = [...new Set(seen.map((one) => one.trace))]
    expect(traces, name).toEqual([trace ?? expect.stringMatching(/^(?!0{32})[0-9a-f]{32}$/)])
  }
})

const suite = process.env['WRIT_TRACE_CONTEXT']

if (suite !== undefined) {
  test("W3C's own service is content with two sidecars", { timeout: 300_000 }, async () => {
    const harness = await freePort()
    const port = await startChain(harness)
    const env = { ...process.env, HARNESS_PORT: String(harness), SPEC_LEVEL: '2', STRICT_LEVEL: '2' }
    const python = process.env['WRIT_PYTHON'] ?? 'python3'
    const said = await run(python, ['test.py', `http://127.0.0.1:${port}/test`], { cwd: suite, env })
    expect(said).toMatch(/\nRan \d+ tests in .*\n\nOK\n?$/)
  })
}

interface Seen {
  readonly trace: string
  readonly span: string
  readonly flags: number
  readonly members: readonly string[]
}

/** Hears the calls back that it asks for. */
async function startHarness() {
  let seen: Seen[] = []
  const server = createServer((asked, answer) => {
    const parents = asked.headersDistinct['traceparent'] ?? []
    const match = /^00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$/.exec(parents.join('|'))!
    const members = (asked.headersDistinct['tracestate'] ?? []).join(',').split(',')
    seen.push({
      trace: match[1]!,
      span: match[2]!,
      flags: Number.parseInt(match[3]!, 16),
      members: members.map((one) => one.trim()).filter((one) => one !== ''),
    })
    asked.resume().on('end', () => answer.end())
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void server.close())
  const { port } = server.address() as { port: number }
  const through = await startChain(port)
  const ask = async (lines: Lines, times: number): Promise<readonly Seen[]> => {
    seen = []
    const body = JSON.stringify(
      Array.from({ length: times }, () => ({ url: `http://127.0.0.1:${port}/`, arguments: [] })),
    )
    const head = [
      ...['POST /test HTTP/1.1', 'host: 127.0.0.1', 'connection: close', `content-length: ${body.length}`],
      ...lines,
    ]
    expect(await said(through, `${head.join('\r\n')}\r\n\r\n${body}`)).toMatch(/^HTTP\/1\.1 200 /)
    expect(seen).toHaveLength(times)
    return seen
  }
  return { ask }
}

/** By bytes: a client of Node's would mend what is sent. */
const said = (port: number, text: string): Promise<string> =>
  new Promise((resolve, reject) => {
    let all = ''
    const socket = connect(port, '127.0.0.1', () => socket.write(text, 'latin1'))
    socket.setEncoding('latin1').on('data', (part: string) => {
      all += part
    })
    socket.on('close', () => resolve(all))
    socket.on('error', reject)
  })
