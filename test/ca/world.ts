/** Authorities in temporary folders, and SVIDs of theirs, for tests of identity. */

import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { type Authority, type AuthorityOptions, openAuthority } from '../../ca/node/authority.ts'
import type { IssueRequest } from '../../ca/node/authority-sign.ts'
import { newKeyPair, privateKeyOf } from '../../ca/node/crypto.ts'
import { writeCsr } from '../../ca/node/write.ts'
import { WritError } from '../../core/fault.ts'
import type { Peer, Svid, TrustBundle } from '../../core/identity.ts'
import type { RecordSink } from '../../core/ports.ts'
import type { Epoch, EventBody } from '../../core/record.ts'
import { parseSpiffeId, parseTrustDomain, type SpiffeId, type TrustDomain } from '../../core/spiffe.ts'

export const random = (length: number): Uint8Array => new Uint8Array(randomBytes(length))

export const domain = (text: string): TrustDomain => parseTrustDomain(text)!
export const id = (text: string): SpiffeId => parseSpiffeId(text)!

export const bank: TrustDomain = domain('bank.example')
export const orders: SpiffeId = id('spiffe://bank.example/orders')

/** A day in 2026, so that what tests issue has nothing to do with the day they run. */
export const noonMs: number = Date.UTC(2026, 10, 23, 12)

/** A folder that is gone after the test. */
export function tempFolder(): string {
  const dir = mkdtempSync(join(tmpdir(), 'writ-ca-'))
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }))
  return dir
}

export function newAuthority(
  trustDomain: TrustDomain = bank,
  nowMs: () => number = () => noonMs,
  more: Partial<AuthorityOptions> = {},
): Promise<Authority> {
  return openAuthority({ dir: join(tempFolder(), 'ca'), trustDomain, nowMs, random, ...more })
}

export function newSvid(authority: Authority, name: SpiffeId = orders, more: Partial<IssueRequest> = {}): Svid {
  const { spki, keyPem } = newKeyPair()
  return { id: name, keyPem, ...authority.issue({ id: name, spki, ...more }) }
}

export const peerWith = (chain: readonly Uint8Array[]): Peer => ({
  evidence: { kind: 'x509', chain },
  address: '127.0.0.1',
  port: 1,
})

export const bundlesOf = (...bundles: TrustBundle[]): ReadonlyMap<TrustDomain, TrustBundle> =>
  new Map(bundles.map((bundle) => [bundle.trustDomain, bundle]))

export interface Kept {
  readonly sink: RecordSink
  readonly bodies: EventBody[]
  readonly refusals: string[]
}

/** A sink that keeps everything, or nothing at all. */
export function keepAll(fails = false): Kept {
  const bodies: EventBody[] = []
  const refusals: string[] = []
  const sink: RecordSink = {
    keep(body) {
      if (fails) throw new WritError('audit_unavailable', 'the spool is full')
      bodies.push(body)
      return { producer: orders, epoch: '0'.repeat(24) as Epoch, seq: bodies.length }
    },
    outcome() {},
    refused: ({ code }) => refusals.push(code),
  }
  return { sink, bodies, refusals }
}

export function newCsr(): Uint8Array {
  const { spki, keyPem } = newKeyPair()
  return writeCsr(spki, privateKeyOf(keyPem))
}
