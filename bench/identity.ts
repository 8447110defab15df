/**
 * What identities cost, as a page: `npm run bench:identity` writes bench/IDENTITY.md. Times are CPU time of this process
 * (user and system, all threads) in batches that take turns, so that they can be compared where the machine has other
 * things to do: the median of the batches stands beside the best one.
 */

import { randomBytes, sign, verify } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { type ClientHttp2Session, connect } from 'node:http2'
import { createConnection } from 'node:net'
import { cpus, loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { provenKey } from '../ca/csr.ts'
import { makeIdentify } from '../ca/identify.ts'
import { makeJwtIdentify } from '../ca/jwt.ts'
import { openAuthority } from '../ca/node/authority.ts'
import { newKeyPair, privateKeyOf, publicKeyOf, verifySignature } from '../ca/node/crypto.ts'
import { verifyJws } from '../ca/node/jws.ts'
import { openWorkloadDoor } from '../ca/node/workload/door.ts'
import { writeCsr } from '../ca/node/write.ts'
import type { Peer } from '../core/identity.ts'
import { parseSpiffeId, parseTrustDomain } from '../core/spiffe.ts'
import type { HeldIdentities } from '../core/workload.ts'
import { measureIssuing } from './issuing.ts'
import { buildIssuers, type Issuers } from './peers/issuers.ts'

const batches = 15
const trustDomain = parseTrustDomain('bank.example')!
const id = parseSpiffeId('spiffe://bank.example/ns/shop/sa/orders')!
const folder = mkdtempSync(join(tmpdir(), 'writ-bench-identity-'))
const random = (length: number): Uint8Array => new Uint8Array(randomBytes(length))
const authority = await openAuthority({ dir: join(folder, 'ca'), trustDomain, nowMs: Date.now, random })
const bundles = new Map([[trustDomain, authority.bundle()]])
const state = { generation: 1, bundles, denied: new Set<string>() }

const requests = Array.from({ length: 64 }, () => {
  const { spki, keyPem } = newKeyPair()
  return writeCsr(spki, privateKeyOf(keyPem))
})
let turn = 0
function issue(): readonly Uint8Array[] {
  const proven = provenKey(requests[turn++ % requests.length]!, verifySignature)
  if ('wrong' in proven) throw new Error(proven.wrong)
  return authority.issue({ id, spki: proven.spki }).chain
}
const identify = makeIdentify(() => state, verifySignature)
const peer = (chain: readonly Uint8Array[]): Peer => ({ evidence: { kind: 'x509', chain }, address: '', port: 0 })
/** Twice as many as are remembered of those that connected lately, in turn: each is new when it is shown. */
const chains = Array.from({ length: 2048 }, issue)
let shown = 0
const known = peer(chains[0]!)
const startMs = Date.now()
good(await identify(known, startMs))
const strict = makeJwtIdentify({
  audience: 'ledger',
  keysOf: (domain) => bundles.get(domain)?.jwtKeys,
  verify: verifyJws,
})
const tokens = await Promise.all(
  Array.from({ length: 256 }, async () => (await authority.mintJwt({ id, audience: 'ledger' })).token),
)
interface Row {
  readonly name: string
  readonly goal: string
  readonly count: number
  run(): unknown
}

function good(answer: { readonly ok: boolean }): void {
  if (!answer.ok) throw new Error(JSON.stringify(answer))
}

const own = newKeyPair()
const key = privateKeyOf(own.keyPem)
const publicKey = publicKeyOf(own.spki)
const text = random(500)
const signed = sign('sha256', text, key)
const rows: readonly Row[] = [
  {
    name: 'for comparison: one ECDSA signature by node:crypto',
    goal: '',
    count: 400,
    run: () => sign('sha256', text, key),
  },
  {
    ...{ name: 'for comparison: one ECDSA verification', goal: '', count: 400 },
    run: () => verify('sha256', text, publicKey, signed),
  },
  {
    name: 'X509-SVID issued: request read, its signature checked, certificate signed',
    goal: '≥ 3,500',
    count: 400,
    run: issue,
  },
  {
    ...{ name: 'JWT-SVID signed (ES256)', goal: '≥ 6,000', count: 400 },
    run: () => authority.mintJwt({ id, audience: 'ledger' }),
  },
  {
    ...{ name: 'JWT-SVID strictly verified', goal: '≥ 6,000', count: 400 },
    run: async () =>
      good(
        await strict(
          { evidence: { kind: 'jwt', token: tokens[turn++ % tokens.length]! }, address: '', port: 0 },
          Date.now(),
        ),
      ),
  },
  {
    ...{ name: 'leaf validated under a known issuer', goal: '≥ 5,000 (200 µs)', count: 400 },
    run: async () => good(await identify(peer(chains[shown++ % chains.length]!), Date.now())),
  },
  {
    ...{ name: 'the same leaf on another connection', goal: '', count: 20_000 },
    run: async () => good(await identify(peer(chains[(shown - 1) % chains.length]!), Date.now())),
  },
  {
    ...{ name: 'known leaf, as on every request of a connection', goal: '≥ 1,000,000 (1 µs)', count: 400_000 },
    run: () => identify(known, startMs),
  },
]

/** Operations for each second of CPU time. */
async function measure({ count, run }: Row): Promise<number> {
  const before = process.cpuUsage()
  for (let i = 0; i < count; i++) {
    const done = run()
    if (done instanceof Promise) await done
  }
  const { user, system } = process.cpuUsage(before)
  return (count * 1e6) / (user + system)
}

/** The same work by others, or why it could not be measured. */
const issuers: Issuers | string = await buildIssuers().catch(
  (thrown: unknown) => `Not measured: ${thrown instanceof Error ? thrown.message.split('\n')[0] : String(thrown)}.`,
)
const others = [
  { name: 'the same by step-ca 0.30.2 (Go), its own authority', issuer: 'step-ca', rates: [] as number[] },
  { name: 'the same by SPIRE 1.13.3 (Go), its own authority', issuer: 'spire', rates: [] as number[] },
] as const

const found = new Map<Row, number[]>(rows.map((row) => [row, []]))
for (let i = 0; i <= batches; i++) {
  for (const row of rows) {
    const rate = await measure(row)
    if (i > 0) found.get(row)!.push(rate) // The first of each is for warming up.
  }
  if (i === 0 || typeof issuers === 'string') continue
  for (const { issuer, rates } of others) rates.push(await issuers.rate(issuer, 400))
}

/** Streams of the Workload API, and how long one rotation takes to be with all of them. */
async function streams(sessions: number, each: number): Promise<{ readonly wallMs: number; readonly cpuMs: number }> {
  const path = join(folder, 'api.sock')
  let held: HeldIdentities = heldNow()
  const changed = new Set<() => void>()
  const identities = {
    current: () => held,
    subscribe(callback: () => void) {
      changed.add(callback)
      return () => changed.delete(callback)
    },
    mintJwt: () => Promise.reject(new Error('not here')),
  }
  const door = await openWorkloadDoor({
    ...{ path, mode: 0o600, attest: async () => identities, nowMs: Date.now, unexpected: console.error },
  })
  let received = 0
  const clients: ClientHttp2Session[] = []
  for (let s = 0; s < sessions; s++) {
    const client = connect('http://localhost', { createConnection: () => createConnection(path) })
    clients.push(client)
    for (let i = 0; i < each; i++) {
      const call = client.request({
        ':method': 'POST',
        ':path': '/SpiffeWorkloadAPI/FetchX509SVID',
        'content-type': 'application/grpc',
        'workload.spiffe.io': 'true',
      })
      let want = 0
      let have = 0
      call.on('data', (chunk: Buffer) => {
        if (want === have) want = have + 5 + chunk.readUInt32BE(1)
        have += chunk.length
        if (have === want) received++
      })
      call.end(Buffer.alloc(5))
    }
  }
  const all = sessions * each
  const until = async (count: number): Promise<void> => {
    while (received < count) await new Promise((resolve) => setTimeout(resolve, 1))
  }
  await until(all)
  held = heldNow()
  const before = process.cpuUsage()
  const fromMs = performance.now()
  for (const callback of [...changed]) callback()
  await until(2 * all)
  const wallMs = performance.now() - fromMs
  const { user, system } = process.cpuUsage(before)
  for (const client of clients) client.destroy()
  await door.close()
  return { wallMs, cpuMs: (user + system) / 1000 }
}

function heldNow(): HeldIdentities {
  const { spki, keyPem } = newKeyPair()
  const svid = { id, keyPem, ...authority.issue({ id, spki }) }
  return { svids: [{ svid, hint: '', federatesWith: [] }], bundles }
}

const pushed = await streams(160, 63)
const issued = await measureIssuing()
const whole = (rate: number): string => Math.round(rate).toLocaleString('en-US')
const line = (name: string, unsorted: readonly number[], goal: string): string => {
  const rates = unsorted.toSorted((a, b) => a - b)
  return `| ${name} | ${whole(rates[rates.length >> 1]!)} | ${whole(rates.at(-1)!)} | ${goal} |`
}
const table = rows.map((row) => line(row.name, found.get(row)!, row.goal))
if (typeof issuers !== 'string') table.splice(3, 0, ...others.map(({ name, rates }) => line(name, rates, '')))
const page = `# What identities cost

${new Date().toISOString().slice(0, 10)}, ${cpus().length} × ${cpus()[0]?.model.trim()}, Node ${process.versions.node}, load ${loadavg()[0]!.toFixed(1)} when it ended. \`npm run bench:identity\`.

| operation | per CPU-second, median of ${batches} batches | best batch | goal |
|---|---|---|---|
${table.join('\n')}

CPU time is user and system time of the process with all its threads, so a busy machine slows it through caches and
hyper-threads only; batches of all rows take turns. P-256 throughout. Issuing is without the record of it, which every
issuance waits for, and without a database: [below](#with-the-database).

step-ca and SPIRE are their own libraries, called as their services call them between a request and its answer
([peers/issuers](peers/issuers)): neither HTTP nor gRPC, no proof of who asks, and no database, as in our row. ${typeof issuers === 'string' ? issuers : 'Each batch is a process of its own, warmed up.'}

One rotation to 10,080 streams of the Workload API over 160 connections, sender and receivers in one process:
${Math.round(pushed.wallMs).toLocaleString('en-US')} ms until the last one had it, ${Math.round(pushed.cpuMs).toLocaleString('en-US')} ms of CPU time (goal: 5 s).

## With the database

Where control planes share PostgreSQL: a join token is redeemed there, the certificate issued and recorded in the spool before
it leaves, the workload's recovery key proven and bound there, its certificate noted there; without HTTP, 32 at a time. CPU of
this process and PostgreSQL together, of the median batch of five. Goal: at least 1,000/s.

| recovery keys bound before | issued/s by the clock | issued per CPU-second | CPU ms per 1,000: control | PostgreSQL |
|---|---|---|---|---|
${issued.map((row) => `| ${[row.bound, row.perSecond, row.perCpuSecond, row.ownCpuMs, row.storeCpuMs].map(whole).join(' | ')} |`).join('\n')}
`
writeFileSync(join(import.meta.dirname, 'IDENTITY.md'), page)
process.stdout.write(page)
rmSync(folder, { recursive: true })
if (typeof issuers !== 'string') await issuers.remove()
