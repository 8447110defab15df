/**
 * What an issuance costs where control planes share a database: a join token is redeemed there, the certificate issued and
 * recorded in the spool before it leaves, the workload's recovery key bound and its certificate noted there. Without HTTP.
 */

import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { openRecorder } from '../audit/node/recorder.ts'
import { openAuthority } from '../ca/node/authority.ts'
import { newKeyPair, privateKeyOf } from '../ca/node/crypto.ts'
import { signHeadWith } from '../ca/node/heads.ts'
import { makeRecovery } from '../ca/node/recovery.ts'
import { readRecovery, recoveryText } from '../ca/node/recovery-proof.ts'
import { makeRegistrar } from '../ca/node/registrar.ts'
import { openShared } from '../ca/node/shared.ts'
import { localIdentitySource } from '../ca/node/source.ts'
import { writeCsr } from '../ca/node/write.ts'
import { makeLeaves } from '../cli/wire/leaves.ts'
import { openClock, random, sha256 } from '../cli/wire/machine.ts'
import { auditDefaults } from '../core/snapshot.ts'
import { parseTrustDomain, spiffeId } from '../core/spiffe.ts'
import { startPostgres } from '../test/parts/postgres.ts'
import { costOf } from './measure.ts'

export interface Issuing {
  /** Keys that were bound before. */
  readonly bound: number
  /** Issued in a second by the clock, and in a second of CPU of this process and PostgreSQL's together. */
  readonly perSecond: number
  readonly perCpuSecond: number
  /** CPU of this process and of PostgreSQL for 1,000 issued, in milliseconds. */
  readonly ownCpuMs: number
  readonly storeCpuMs: number
}

const each = 800 // Join tokens that may be outstanding: 1,000.
const batches = 5
const together = 32

/** Issues in batches while more and more workloads are known. */
export async function measureIssuing(
  boundBefore: readonly number[] = [0, 20_000, 80_000],
): Promise<readonly Issuing[]> {
  const folder = mkdtempSync(join(tmpdir(), 'writ-bench-issuing-'))
  const postgres = await startPostgres()
  const trustDomain = parseTrustDomain('bank.example')!
  const now = openClock()
  const shared = await openShared(postgres.url)
  const stream = { publish: async () => {}, partitions: async () => 1, close: async () => {} }
  const recorder = await openRecorder({
    ...{ dir: join(folder, 'spool'), settings: auditDefaults, trustDomain, cluster: 'bench', software: 'writ bench' },
    ...{ stream, now, random, sha256, onEvent: () => {} },
  })
  const client = new pg.Client({ connectionString: postgres.url })
  try {
    await client.connect()
    const authority = await openAuthority({ dir: join(folder, 'ca'), trustDomain, nowMs: Date.now, random })
    const id = spiffeId(trustDomain, 'writ/control')!
    const source = await localIdentitySource(authority, id, { nowMs: Date.now, random })
    const sink = await recorder.producer({ id, source, signHead: signHeadWith(source) })
    const leaves = makeLeaves({ shared, renews: () => true, nowMs: Date.now })
    const registrar = makeRegistrar({
      ...{ authority, tokens: shared.tokens, sink, nowMs: Date.now, random },
      onIssued: (id, leaf) => leaves.seen({ id, ...leaf }),
    })
    const recovery = makeRecovery({
      ...{ store: shared.recovery, issue: registrar.reissue, sink, nowMs: Date.now, denied: () => new Set() },
      ...{ isRegistered: () => true, withinMs: () => 86_400_000 },
      onProblem: (text) => {
        throw new Error(text)
      },
    })
    const keys = Array.from({ length: 64 }, () => newKeyPair())
    const rows: Issuing[] = []
    for (const bound of boundBefore) {
      await client.query(
        `insert into writ_ca.recovery_keys select md5(n::text), 'spiffe://bank.example/' || n, true, '', $2
         from generate_series(1, $1) as n on conflict do nothing`,
        [bound, Date.now() + 3_600_000],
      )
      const found: Issuing[] = []
      for (let batch = 0; batch <= batches; batch++) {
        const asked = await Promise.all(
          Array.from({ length: each }, async (_, n) => {
            const { spki, keyPem } = keys[n % keys.length]!
            const csr = writeCsr(spki, privateKeyOf(keyPem))
            const proof = readRecovery(recoveryText(newKeyPair().keyPem, csr))
            const token = await registrar.createToken(spiffeId(trustDomain, randomBytes(4).toString('hex'))!)
            return () => recovery.noted('first', proof, csr, () => registrar.join(token, csr))
          }),
        )
        const before = { own: process.cpuUsage(), store: costOf(postgres.pid()!).cpuMs, ms: performance.now() }
        let next = 0
        await Promise.all(
          Array.from({ length: together }, async () => {
            for (let job = asked[next++]; job; job = asked[next++]) await job()
          }),
        )
        const ms = performance.now() - before.ms
        const { user, system } = process.cpuUsage(before.own)
        const storeMs = costOf(postgres.pid()!).cpuMs - before.store
        const ownMs = (user + system) / 1000
        if (batch === 0) continue // For warming up.
        found.push({
          ...{ bound, perSecond: (each * 1000) / ms, perCpuSecond: (each * 1000) / (ownMs + storeMs) },
          ...{ ownCpuMs: (ownMs * 1000) / each, storeCpuMs: (storeMs * 1000) / each },
        })
      }
      rows.push(found.toSorted((a, b) => a.perCpuSecond - b.perCpuSecond)[batches >> 1]!)
    }
    return rows
  } finally {
    await client.end()
    await recorder.close({ timeoutMs: 60_000 })
    await shared.close()
    await postgres.remove()
    rmSync(folder, { recursive: true })
  }
}

if (import.meta.main) console.table(await measureIssuing())
