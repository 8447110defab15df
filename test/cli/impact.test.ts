import { chmod, readFile, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { getRequestListener } from '@hono/node-server'
import { afterAll, beforeAll, describe, expect } from 'vitest'
import { openStore, type Store } from '../../audit/node/store.ts'
import type { Impact } from '../../audit/replay/impact.ts'
import { impactCommand } from '../../cli/policy-impact.ts'
import { recordedDecisions } from '../../cli/wire/recorded.ts'
import { auditRoutes } from '../../control/node/audit-routes.ts'
import { doorApp } from '../../control/node/http.ts'
import { pack } from '../../engine/node/pack.ts'
import { readTar } from '../../engine/tar.ts'
import { noReport } from '../audit/query/store.ts'
import { calls, decideBy, openBank, Traffic, use } from '../audit/replay/traffic.ts'
import { Signer } from '../audit/verify/log.ts'
import { sha256, startMs, verifyTestHead } from '../audit/verify/producer.ts'
import { needs } from '../parts/needs.ts'
import { bankIn, keepLog, printed, temporary } from './recorded.ts'

const test = needs('opa')

/** Sixty calls in a log; candidates are built from the bank's own Rego. */

let state: string
let closed: string
const since = ['--since', '2026-11-23'] as const

beforeAll(async () => {
  state = await temporary(afterAll)
  const traffic = await new Traffic().judge(calls, decideBy(await openBank()))
  await keepLog(state, traffic)
  closed = await bankIn(await temporary(afterAll), (edges) => edges.filter(({ path }) => path[0] !== 'transfers'))
})

const impact = (...words: readonly string[]) => printed(impactCommand(), '--state', state, ...since, ...words)

describe('a candidate', () => {
  test('that is the enforced policy changes nothing, and passes the gate', async () => {
    const { out, code } = await impact('--candidate', 'policies/bank', '--fail-on-flips')
    expect(code).toBe(0)
    expect(out).toContain('flips      none: all 60 verdicts stay')
    expect(out).toMatch(/read and replayed 60 decisions in \d+\.\d\d s: [\d,]+ a second/)
  })

  test('that removes one edge shows that edge and no other, and fails the gate', async () => {
    const { out, code } = await impact('--candidate', closed, '--json', '--fail-on-flips')
    expect(code).toBe(1)
    const found = JSON.parse(out) as Impact
    expect(found).toMatchObject({ decisions: 60, replayed: 60, flips: 10, unreplayed: [] })
    expect(found.groups).toMatchObject([
      {
        ...{ caller: 'spiffe://bank.example/orders', target: 'spiffe://bank.example/ledger', method: 'POST' },
        ...{ shape: '/transfers', was: 'allow', wouldBe: 'deny', code: 'policy_denied', count: 10 },
      },
    ])
    expect(found.groups[0]!.examples[0]!.reasons).toEqual([
      'orders may not POST /transfers at ledger: no edge allows it',
    ])
  })

  test('that opens one shows that too: a door opened by mistake fails the gate as well', async () => {
    const more = { from: 'storefront', to: 'orders', method: 'DELETE', path: ['orders', '{id}'] }
    const open = await bankIn(await temporary(), (edges) => [...edges, more])
    const { out, code } = await impact('--candidate', open, '--markdown', '--fail-on-flips')
    expect(code).toBe(1)
    expect(out).toContain('**10 decisions would change: 10 deny → allow.**')
    expect(out).toMatch(
      /^\| 10 \| `deny` \| `allow` \| `storefront` \| `orders` \| `DELETE \/orders\/\{\}` \| `[0-9a-f]{24}-\d+` \|$/m,
    )
  })

  test('without the flag only tells', async () => {
    expect((await impact('--candidate', closed)).code).toBe(0)
  })
})

describe('what nobody can tell does not pass the gate', () => {
  test('a query that the candidate reads and no record shows', async () => {
    const folder = await bankIn(await temporary(), (edges) => edges)
    await writeFile(join(folder, 'more.rego'), 'package writ.authz\n\nallowed if input.parsed_query.open[0] == "yes"\n')
    const { out, code } = await impact('--candidate', folder, '--fail-on-flips')
    expect(code).toBe(1)
    expect(out).toContain('60 decisions: the candidate may read what was not recorded: query')
    const assumed = await impact('--candidate', folder, '--fail-on-flips', '--assume-kept', 'query')
    expect(assumed).toMatchObject({ code: 0, out: expect.stringContaining('all 60 verdicts stay') as string })
  })

  test('a header that some records show and others do not', async () => {
    const other = await temporary()
    const keeping = { ...use, recordHeaders: ['x-role'] }
    await keepLog(other, await new Traffic().judge(calls.slice(0, 6), decideBy(await openBank()), keeping))
    const folder = await bankIn(await temporary(), (edges) => edges)
    const rule = 'allowed if input.attributes.request.http.headers["x-role"] == "manager"'
    await writeFile(join(folder, 'more.rego'), `package writ.authz\n\n${rule}\n`)
    const words = ['--state', other, ...since, '--candidate', folder, '--fail-on-flips'] as const
    const { out, code } = await printed(impactCommand(), ...words, '--json')
    expect(JSON.parse(out)).toMatchObject({ replayed: 1, flips: 0, unreplayed: [{ what: 'header x-role', count: 5 }] })
    expect(code).toBe(1)
    expect(await printed(impactCommand(), ...words, '--assume-kept', 'X-Role')).toMatchObject({ code: 0 })
  })

  test('a bundle that does not say what it reads; one that does needs no sources', async () => {
    const words = ['--candidate', join(closed, '../bundle.tar.gz'), '--bundle-name', 'bank'] as const
    const bytes = await readFile('policies/bank/bundle.tar.gz')
    await writeFile(words[1], bytes)
    expect(await impact(...words, '--fail-on-flips')).toMatchObject({ code: 0, err: '' })

    const silent = readTar(gunzipSync(bytes), 100).map(({ name, bytes }) => {
      const { metadata: _, ...rest } = name === '.manifest' ? JSON.parse(Buffer.from(bytes).toString()) : {}
      return { name, bytes: name === '.manifest' ? Buffer.from(JSON.stringify(rest)) : bytes }
    })
    await writeFile(words[1], pack(silent))
    const { out, err } = await impact(...words)
    expect(out).toContain('what was not recorded: query, headers')
    expect(err).toContain('does not say what it reads')
    const assumed = await impact(...words, '--assume-kept', 'query', '--assume-kept', 'headers', '--fail-on-flips')
    expect(assumed.code).toBe(0)
  })

  test('answers of the world', async () => {
    const folder = await bankIn(await temporary(), (edges) => edges)
    await writeFile(join(folder, 'more.rego'), 'package writ.authz\n\nallowed if rand.intn("x", 2) == 2\n')
    const { out } = await impact('--candidate', folder)
    expect(out).toContain('60 decisions: the candidate calls rand.intn, whose answers no record holds')
  })

  test('a name that no decision has, and a time without any', async () => {
    const other = await impact('--candidate', 'policies/bank', '--bundle-name', 'other', '--fail-on-flips')
    expect(other).toMatchObject({
      code: 1,
      out: expect.stringContaining('60 decisions: made by other bundles') as string,
    })
    const later = await printed(
      impactCommand(),
      '--state',
      state,
      '--since',
      '2999-01-01',
      '--candidate',
      'policies/bank',
    )
    expect(later.out).toContain('the log has none of this bundle in that time')
  })
})

const idsOf = async (folder: string): Promise<readonly (string | undefined)[]> => {
  const ids: (string | undefined)[] = []
  for await (const event of recordedDecisions([['limit', '7']], { state: folder })) ids.push(event.decision_id)
  return ids
}

test('a store that nobody holds is read page by page', async () => {
  expect(new Set(await idsOf(state)).size).toBe(60)
})

test('a running process is asked over its socket, page by page, and says the same', async () => {
  const folder = await temporary()
  await chmod(folder, 0o700)
  const store: Store = await openStore({ kind: 'pglite', dir: join(state, 'store') })
  const key = new Signer().key
  const app = doorApp(() => undefined)
  const place = { dir: folder, key, verifyHead: verifyTestHead, sha256, db: store.db }
  const asked: string[] = []
  app.use(async (c, next) => {
    asked.push(c.req.path)
    await next()
  })
  app.route('/', auditRoutes({ place, findReceipt: async () => undefined, report: noReport, nowMs: () => startMs }))
  const server: Server = createServer(getRequestListener(app.fetch))
  await new Promise<void>((listening) => server.listen(join(folder, 'admin.sock'), listening))
  try {
    const { out } = await printed(impactCommand(), '--state', folder, ...since, '--candidate', closed, '--json')
    expect(JSON.parse(out)).toMatchObject({ decisions: 60, replayed: 60, flips: 10 })
    expect(asked).toEqual(['/v1/audit/decisions'])
    const ids = await idsOf(folder)
    expect(asked).toHaveLength(1 + 9)
    expect(ids).toHaveLength(60)
    expect(new Set(ids).size).toBe(60)
  } finally {
    await new Promise((gone) => server.close(gone))
    await store.close()
  }
})

test('a candidate that is not there, and a question that is none, are refused', async () => {
  await expect(impact('--candidate', 'nowhere')).rejects.toMatchObject({ code: 'not_found' })
  await expect(impact('--candidate', 'policies/bank', '--since', 'yesterday')).rejects.toMatchObject({ code: 'usage' })
  await expect(impact('--candidate', 'policies/bank', '--assume-kept', 'a b')).rejects.toThrow(/name of a header/)
})
