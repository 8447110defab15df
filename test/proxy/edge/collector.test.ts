import fc from 'fast-check'
import { expect, test, vi } from 'vitest'
import { collected } from '../../../control/collector.ts'
import { WritError } from '../../../core/fault.ts'
import type { Outcome } from '../../../core/outcome.ts'
import type { DecisionBody, Epoch, RecordId } from '../../../core/record.ts'
import type { SpiffeId } from '../../../core/spiffe.ts'
import { type CollectorOptions, collectorSink } from '../../../proxy/edge/collector.ts'

const producer = 'spiffe://bank.example/writ/control' as SpiffeId
const epoch = 'ab'.repeat(12) as Epoch

const record = (change: object = {}): DecisionBody => ({
  kind: 'decision',
  direction: 'inbound',
  workload: 'spiffe://bank.example/edge-fn' as SpiffeId,
  listener: 'edge-fn/edge',
  verdict: 'allow',
  code: 'allowed',
  by: 'policy',
  enforced: true,
  reasons: [],
  input: { attributes: {} },
  request_id: 'r-1',
  ...change,
})

const outcome: Outcome = {
  code: 'completed',
  status: 200,
  requestBytes: 0,
  responseBytes: 0,
  durationUs: 7,
  upstream: 'handler',
}
const idOf = (seq: number): RecordId => ({ producer, epoch, seq })
const stranger = { listener: 'edge-fn/edge', source: '192.0.2.1', code: 'identity_missing', detail: 'no token' }

interface Posted {
  readonly records?: readonly DecisionBody[]
  readonly outcomes?: readonly unknown[]
  readonly refusals?: readonly { source: string; code: string; count: number }[]
}

/** A sink over a collector that answers what it is told to, and remembers what it was sent. */
function sinkOver(answer?: (posted: Posted) => Response | Promise<Response>, more: Partial<CollectorOptions> = {}) {
  const posts: Posted[] = []
  const calls: { readonly url: string; readonly init: RequestInit }[] = []
  let seq = 0
  const keepAll = ({ records = [] }: Posted): Response =>
    Response.json({ ids: records.map(() => ({ epoch, seq: ++seq })), unknown_outcomes: 0 })
  const send = async (url: string, init: RequestInit): Promise<Response> => {
    calls.push({ url, init })
    const posted = JSON.parse(String(init.body)) as Posted
    posts.push(posted)
    return (answer ?? keepAll)(posted)
  }
  const options = { url: 'https://collector.example', token: 'wc_secret', producer, gatherMs: 1, ...more }
  return { posts, calls, sink: collectorSink({ ...options, fetch: send as typeof fetch }) }
}

const codeOf = (answer: unknown): Promise<string> =>
  Promise.resolve(answer).then(
    () => 'ok',
    (thrown: unknown) => (thrown instanceof WritError && thrown.cure ? thrown.code : String(thrown)),
  )

test('a decision is posted with the token and has the id that the collector gave it', async () => {
  const { sink, posts, calls } = sinkOver()
  expect(await sink.keep(record())).toEqual(idOf(1))
  expect(posts).toEqual([{ records: [record()] }])
  expect(calls[0]!.url).toBe('https://collector.example/v1/records')
  expect(calls[0]!.init).toMatchObject({
    method: 'POST',
    headers: { authorization: 'Bearer wc_secret' },
    redirect: 'manual',
  })
})

test('decisions of one tick share a post and get their ids in order, those of the next have their own', async () => {
  const { sink, posts } = sinkOver()
  const ids = await Promise.all(['a', 'b', 'c'].map((request_id) => sink.keep(record({ request_id }))))
  expect(ids.map(({ seq }) => seq)).toEqual([1, 2, 3])
  await sink.keep(record({ request_id: 'd' }))
  expect(posts.map(({ records }) => records?.map((one) => one.request_id))).toEqual([['a', 'b', 'c'], ['d']])
})

test('256 decisions fit into one post, the 257th begins another', async () => {
  const { sink, posts } = sinkOver()
  await Promise.all(Array.from({ length: 256 }, () => sink.keep(record())))
  expect(posts).toHaveLength(1)
  await Promise.all(Array.from({ length: 257 }, () => sink.keep(record())))
  expect(posts.slice(1).map(({ records }) => records?.length)).toEqual([256, 1])
})

test('the longest records are shared out to posts that the collector takes, each of 256 KiB at most', async () => {
  const { sink, calls } = sinkOver()
  await Promise.all(Array.from({ length: 9 }, () => sink.keep(record({ input: { path: 'ä'.repeat(29_000) } }))))
  expect(calls.length).toBe(3)
  for (const { init } of calls) expect(Buffer.byteLength(String(init.body))).toBeLessThan(256 * 1024)
})

test.each<[string, (posted: Posted) => Response | Promise<Response>]>([
  ['a refused token', () => new Response('{}', { status: 401 })],
  ['a full spool', () => new Response('{}', { status: 503 })],
  ['a redirect', () => new Response(null, { status: 307, headers: { location: 'https://other.example' } })],
  ['no JSON', () => new Response('ok')],
  ['no ids', () => Response.json({})],
  ['one id for two', () => Response.json({ ids: [{ epoch, seq: 1 }] })],
  ['three ids for two', () => Response.json({ ids: [1, 2, 3].map((seq) => ({ epoch, seq })) })],
  [
    'an id that is none',
    () =>
      Response.json({
        ids: [
          { epoch, seq: 1 },
          { epoch: 'x', seq: 2 },
        ],
      }),
  ],
  [
    'a number that is none',
    () =>
      Response.json({
        ids: [
          { epoch, seq: 1 },
          { epoch, seq: -2 },
        ],
      }),
  ],
  ['a broken connection', () => Promise.reject(new TypeError('fetch failed'))],
])('%s is no record kept, for none of those who share the post', async (_, answer) => {
  const { sink } = sinkOver(answer)
  expect(await Promise.all([codeOf(sink.keep(record())), codeOf(sink.keep(record()))])).toEqual([
    'audit_unavailable',
    'audit_unavailable',
  ])
})

test('a collector that does not answer in time has kept nothing', async () => {
  const silent = (_: unknown, init: RequestInit) =>
    new Promise<Response>((__, reject) => {
      init.signal!.addEventListener('abort', () => reject(init.signal!.reason))
    })
  const sink = collectorSink({
    url: 'https://collector.example',
    token: 't',
    producer,
    timeoutMs: 5,
    fetch: silent as typeof fetch,
  })
  expect(await codeOf(sink.keep(record()))).toBe('audit_unavailable')
})

test.each([
  ['https://collector.example', true],
  ['http://127.0.0.1:7480', true],
  ['http://localhost:7480', true],
  ['http://[::1]:7480', true],
  ['http://collector.example', false],
  ['http://127.0.0.1.example', false],
  ['ftp://127.0.0.1', false],
  ['collector.example', false],
])('a token goes to %s: %s', async (url, goes) => {
  expect(await codeOf(Promise.resolve().then(() => sinkOver(undefined, { url })))).toBe(goes ? 'ok' : 'config_invalid')
})

test('outcomes and strangers of many requests go in one post, by whoever wakes first', async () => {
  const { sink, posts } = sinkOver()
  const flushes = [1, 2, 3].map((seq) => {
    sink.outcome(idOf(seq), outcome)
    sink.refused(stranger)
    return sink.flush()
  })
  await Promise.all(flushes)
  expect(posts).toHaveLength(1)
  expect(posts[0]!.outcomes).toHaveLength(3)
  expect(posts[0]!.outcomes![0]).toEqual({
    epoch,
    seq: 1,
    code: 'completed',
    status: 200,
    request_bytes: 0,
    response_bytes: 0,
    duration_us: 7,
    upstream: 'handler',
  })
  const { listener: _, ...counted } = stranger
  expect(posts[0]!.refusals).toEqual([{ ...counted, count: 3 }])
  await sink.flush()
  expect(posts).toHaveLength(1)
  sink.outcome(idOf(4), outcome)
  await sink.flush()
  expect(posts).toHaveLength(2)
})

test('under steady traffic there is one post in each gathering time, not one for each request', async () => {
  vi.useFakeTimers()
  try {
    const { sink, posts } = sinkOver(undefined, { gatherMs: 250 })
    for (let seq = 0; seq < 100; seq++) {
      sink.outcome(idOf(seq), outcome)
      void sink.flush()
      await vi.advanceTimersByTimeAsync(10)
    }
    await vi.advanceTimersByTimeAsync(250)
    expect(posts.map(({ outcomes }) => outcomes?.length)).toEqual([25, 25, 25, 25])
  } finally {
    vi.useRealTimers()
  }
})

test('outcomes that the collector does not take are lost without a word, and the next are not', async () => {
  let fails = true
  const { sink, posts } = sinkOver(() => (fails ? Promise.reject(new TypeError('gone')) : Response.json({ ids: [] })))
  sink.outcome(idOf(1), outcome)
  await sink.flush()
  fails = false
  sink.outcome(idOf(2), outcome)
  await sink.flush()
  expect(posts.map(({ outcomes }) => outcomes?.length)).toEqual([1, 1])
})

test('1024 outcomes wait, the next is dropped', async () => {
  const { sink, posts } = sinkOver()
  for (let seq = 0; seq < 1025; seq++) sink.outcome(idOf(seq), outcome)
  await sink.flush()
  expect(posts[0]!.outcomes).toHaveLength(1024)
})

test('however many strangers there are, each is counted once and the post stays one that the collector takes', async () => {
  const refusal = fc.record({
    listener: fc.constant('edge-fn/edge'),
    source: fc.oneof(fc.ipV4(), fc.string({ unit: 'binary', maxLength: 80 })),
    code: fc.constantFrom('identity_missing', 'identity_invalid', 'bad_request', 'head_too_large'),
    detail: fc.string({ unit: 'binary', maxLength: 300 }),
  })
  await fc.assert(
    fc.asyncProperty(fc.array(refusal, { maxLength: 600, size: 'max' }), async (refusals) => {
      const { sink, posts } = sinkOver()
      for (const one of refusals) sink.refused(one)
      await sink.flush()
      expect(posts).toHaveLength(refusals.length === 0 ? 0 : 1)
      if (!posts[0]) return
      expect(collected.safeParse(posts[0]).success).toBe(true)
      expect(posts[0].refusals!.reduce((sum, { count }) => sum + count, 0)).toBe(refusals.length)
    }),
    { numRuns: 30 },
  )
})

test('what an answer says of quarantine holds until the next one says otherwise', async () => {
  const list = [
    { id: 'spiffe://bank.example/batch', until_ms: 50, reason: 'odd' },
    { id: 'no id', reason: '' },
  ]
  let answer: object = { quarantine: list }
  const { sink } = sinkOver(({ records = [] }) =>
    Response.json({ ids: records.map(() => ({ epoch, seq: 1 })), unknown_outcomes: 0, ...answer }),
  )
  const batch = 'spiffe://bank.example/batch' as SpiffeId
  expect(sink.quarantined(batch, 0)).toBeUndefined()
  await sink.keep(record())
  expect(sink.quarantined(batch, 49)).toMatchObject({ reason: 'odd' })
  expect([sink.quarantined(batch, 50), sink.quarantined(producer, 0)]).toEqual([undefined, undefined])
  answer = {}
  await sink.keep(record())
  expect(sink.quarantined(batch, 0)).toBeUndefined()
})

test('a decision that lets in a caller in quarantine is not kept, and the function has heard of it then', async () => {
  const { sink } = sinkOver(() =>
    Response.json(
      { code: 'forbidden', quarantine: [{ id: producer, until_ms: null, reason: 'odd' }] },
      { status: 403 },
    ),
  )
  await expect(sink.keep(record())).rejects.toMatchObject({ code: 'audit_unavailable' })
  expect(sink.quarantined(producer, 1e15)).toMatchObject({ id: producer, reason: 'odd' })
})
