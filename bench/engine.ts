/**
 * What the policy engine costs, beside the stock SDK and OPA itself, as a page: `npm run bench:engine` writes
 * bench/ENGINE.md. Times are CPU time of this process, in batches that take turns, so that they can be compared where the
 * machine has other things to do. `--decisions N` shortens the run for memory.
 */

import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { cpus, loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { loadPolicy } from '@open-policy-agent/opa-wasm'
import { readsOf } from '../audit/replay/reads.ts'
import { replay } from '../audit/replay/replay.ts'
import type { RequestFacts } from '../core/facts.ts'
import { policyInput } from '../core/input.ts'
import type { Json } from '../core/json.ts'
import { type AuditEvent, parseEvent } from '../core/record.ts'
import { parseSpiffeId, trustDomainOf } from '../core/spiffe.ts'
import { readBundle } from '../engine/bundle.ts'
import { makeDecide } from '../engine/decide.ts'
import { buildPolicy } from '../engine/node/build.ts'
import { compilerAtHand, opaVersion } from '../engine/node/compiler.ts'
import { loadBundle } from '../engine/node/open.ts'
import type { Policy } from '../engine/policy.ts'
import { calls, Traffic, use } from '../test/audit/replay/traffic.ts'

const root = join(import.meta.dirname, '..')
const now = (): bigint => BigInt(Date.now()) * 1_000_000n
const argument = process.argv.indexOf('--decisions')
const decisions = argument < 0 ? 10_000_000 : Number(process.argv[argument + 1])

const rules = [
  { name: 'roles and prefixes', folder: 'bench/rules/role', entrypoint: 'bench/role/allow' },
  { name: 'roles, globs, a network', folder: 'bench/rules/glob', entrypoint: 'bench/glob/allow' },
  { name: 'a regular expression', folder: 'bench/rules/regex', entrypoint: 'bench/regex/allow' },
  { name: 'the bank', folder: 'policies/bank', entrypoint: 'writ/authz/result' },
] as const

const id = parseSpiffeId('spiffe://bank.example/storefront')!
const identity = {
  id,
  trustDomain: trustDomainOf(id),
  proof: 'x509',
  serial: '01',
  notBeforeMs: 0,
  notAfterMs: 1,
} as const
const source = { identified: { ok: true, identity }, address: '127.0.0.1', port: 40_000 } as const
const destination = { service: 'orders', address: '127.0.0.1', port: 8080 }

const factsOf = (path: string): RequestFacts => ({
  ...{ direction: 'inbound', workload: parseSpiffeId('spiffe://bank.example/orders')!, listener: 'orders/http' },
  ...{ source, destination, requestId: 'a'.repeat(36), traceId: '', atNs: 1n },
  head: {
    ...{ method: 'GET', authority: 'orders.bank.example', path, query: undefined },
    headers: { accept: 'application/json', 'user-agent': 'storefront/1', 'x-request-id': 'a'.repeat(36) },
    ...{ protocol: 'HTTP/1.1', scheme: 'https' },
  },
})
const facts = factsOf('/orders/17')

/** Microseconds of CPU for one call: the lower quartile of batches, those of all ways in turn. */
function costs(
  ways: Readonly<Record<string, { readonly calls: number; readonly once: () => unknown }>>,
): Record<string, number> {
  const found: Record<string, number[]> = {}
  for (let batch = 0; batch < 21; batch++) {
    for (const [name, { calls, once }] of Object.entries(ways)) {
      const from = process.cpuUsage()
      for (let i = 0; i < calls; i++) once()
      const { user, system } = process.cpuUsage(from)
      ;(found[name] ??= []).push((user + system) / calls)
    }
  }
  return Object.fromEntries(Object.entries(found).map(([name, times]) => [name, quarter(times)]))
}

/** A quarter is as low or lower: what others do on the machine makes a batch dearer, and nothing makes one cheaper. */
const quarter = (costs: readonly number[]): number => [...costs].sort((a, b) => a - b)[Math.floor(costs.length / 4)]!

async function evaluations(): Promise<readonly string[]> {
  const lines = [
    '| policy | stock SDK | here, evaluated | stock / here | here, remembered | `opa bench` |',
    '|---|---|---|---|---|---|',
  ]
  for (const { name, folder, entrypoint } of rules) {
    const bytes = await buildPolicy(join(root, folder))
    const { wasm, data } = await readBundle(bytes, 'bench')
    const stock = await loadPolicy(Buffer.from(wasm), { initial: 32 })
    stock.setData(data as object)
    const evaluated = await loadBundle(bytes, 'bench', { now, cache: { maxEntries: 0 } })
    const remembered = await loadBundle(bytes, 'bench', { now })
    const decide = makeDecide(new Map([['bench', remembered]]))
    const use = { bundle: 'bench', entrypoint, recordHeaders: [], recordQuery: false }
    const input = policyInput(facts)
    const us = costs({
      stock: { calls: 1500, once: () => stock.evaluate(input, entrypoint) },
      evaluated: { calls: 3000, once: () => evaluated.judge(entrypoint, facts) },
      remembered: { calls: 30_000, once: () => decide(facts, use) },
    })
    const ratio = us['stock']! / us['evaluated']!
    const cells = [
      us['stock']!.toFixed(1),
      us['evaluated']!.toFixed(1),
      `${ratio.toFixed(1)} ×`,
      us['remembered']!.toFixed(2),
    ]
    lines.push(`| ${name} | ${cells.join(' | ')} | ${await native(join(root, folder), entrypoint, input)} |`)
  }
  return lines
}

/** OPA's own measure, with an input that it makes of JSON each time. */
async function native(folder: string, entrypoint: string, input: Json): Promise<string> {
  const opa = await compilerAtHand(process.env)
  if (opa === undefined) return '-'
  const temporary = mkdtempSync(join(tmpdir(), 'writ-bench-'))
  try {
    const file = join(temporary, 'input.json')
    writeFileSync(file, JSON.stringify(input))
    const flags = ['-b', '.', '--ignore', '*_test.rego', '--ignore', 'bundle.tar.gz', '-i', file, '-f', 'json']
    const out = execFileSync(opa, ['bench', ...flags, `data.${entrypoint.replaceAll('/', '.')}`], { cwd: folder })
    const { T, N } = JSON.parse(String(out)) as { T: number; N: number }
    return (T / N / 1000).toFixed(1)
  } finally {
    rmSync(temporary, { recursive: true, force: true })
  }
}

async function loading(): Promise<readonly string[]> {
  const temporary = mkdtempSync(join(tmpdir(), 'writ-bench-'))
  try {
    const entries = Array.from({ length: 100_000 }, (_, i) => [`spiffe://bank.example/caller-${i}`, ['reader']])
    writeFileSync(
      join(temporary, 'authz.rego'),
      'package big\n# METADATA\n# entrypoint: true\nallow if "reader" in data.roles[input.source_principal]\n',
    )
    writeFileSync(join(temporary, 'data.json'), JSON.stringify({ roles: Object.fromEntries(entries) }))
    const bytes = await buildPolicy(temporary)
    const from = process.cpuUsage()
    const policy = await loadBundle(bytes, 'big', { now, cache: { maxEntries: 0 } })
    const { user, system } = process.cpuUsage(from)
    const us = costs({ judge: { calls: 1000, once: () => policy.judge('big/allow', facts) } })['judge']!
    return [
      `Data of 100,000 entries: loaded in ${((user + system) / 1e6).toFixed(2)} s, ${mib(policy.memoryBytes())} of WebAssembly memory, and then ${us.toFixed(1)} µs a decision.`,
    ]
  } finally {
    rmSync(temporary, { recursive: true, force: true })
  }
}

const mib = (bytes: number): string => `${(bytes / 1024 ** 2).toFixed(0)} MiB`

/** Nine of ten decisions are about one of a hundred paths, each tenth about a path that nobody asked for yet. */
async function memory(): Promise<readonly string[]> {
  const { folder, entrypoint } = rules[3]
  const policy = await loadBundle(await buildPolicy(join(root, folder)), 'bank', { now })
  const known = Array.from({ length: 100 }, (_, i) => factsOf(`/orders/${i}`))
  const lines = ['| decisions | JavaScript heap in use | WebAssembly memory | RSS |', '|---|---|---|---|']
  const say = (count: number): void => {
    globalThis.gc?.()
    lines.push(
      `| ${count.toLocaleString('en-US')} | ${mib(process.memoryUsage().heapUsed)} | ${mib(policy.memoryBytes())} | ${mib(process.memoryUsage().rss)} |`,
    )
  }
  for (let i = 0; i <= decisions; i++) {
    if (i > 0 && i % (decisions / 5) === 0) say(i)
    policy.judge(entrypoint, i % 10 === 0 ? factsOf(`/orders/new-${i}`) : known[i % 100]!)
  }
  return lines
}

async function replaying(): Promise<readonly string[]> {
  const bytes = await buildPolicy(join(root, 'policies/bank'))
  const policy = await loadBundle(bytes, 'bank', { now })
  const traffic = await new Traffic().judge(
    Array.from({ length: 500 }, () => calls).flat(),
    makeDecide({ get: () => policy }),
  )
  const reads = readsOf(policy.reads(use.entrypoint))
  const candidate = (of: Policy) => ({
    ...{ ref: of.ref, decide: makeDecide({ get: () => of }), worldly: [], reads: () => reads },
  })
  const spent: number[] = []
  let impact = ''
  for (let run = 0; run < 13; run++) {
    const fresh = await loadBundle(bytes, 'bank', { now })
    const from = process.cpuUsage()
    const found = await replay(eventsOf(traffic.leaves), candidate(fresh))
    const { user, system } = process.cpuUsage(from)
    spent.push((user + system) / 1e6 / found.replayed)
    impact = `${found.replayed.toLocaleString('en-US')} replayed, ${found.flips} flips`
  }
  const rate = Math.round(1 / quarter(spent))
  return [
    `Replay of the bank's recorded decisions, from the bytes of their leaves on: ${rate.toLocaleString('en-US')} a second of one core (${impact}).`,
  ]
}

function* eventsOf(leaves: readonly Uint8Array[]): Generator<AuditEvent> {
  for (const leaf of leaves) {
    const read = parseEvent(leaf)
    if ('event' in read) yield read.event
  }
}

const sections = {
  'One decision': await evaluations(),
  'Many entries of data': await loading(),
  Memory: await memory(),
  Replay: await replaying(),
}
const machine = `${cpus().length} × ${cpus()[0]?.model.trim()}, Node ${process.versions.node}, OPA ${opaVersion}`
const page = `# What the policy engine costs

<!-- Written by \`npm run bench:engine\`. -->

${new Date().toISOString().slice(0, 10)}, ${machine}. Microseconds of CPU a decision, lower quartiles
of 21 batches that took turns, at a load of ${loadavg()[1]!.toFixed(0)} on ${cpus().length} processors.

${Object.entries(sections)
  .map(([title, lines]) => `## ${title}\n\n${lines.join('\n')}\n`)
  .join('\n')}
## To read this

- The stock SDK is @open-policy-agent/opa-wasm with the same module, and an input that was made before; here each decision
  begins with the facts of a request and ends with a verdict, its reasons and headers.
- Evaluated: nothing is remembered. Remembered: the same request again, which is the best case, through \`decide\` as a whole;
  new paths cost an evaluation.
- \`opa bench\` makes its input of Go values each time and walks in one thread while Go's collector has others, so its column
  is there for the order of magnitude.
- The regular expression and the globs are where most is won, because the stock SDK compiles them anew for each request.
- RSS holds what V8 has once taken for its young objects and keeps; what must not grow is any of the columns from row to row.
`
writeFileSync(join(import.meta.dirname, 'ENGINE.md'), page)
process.stdout.write(page)
