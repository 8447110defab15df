/** Does a producer's signed head hold? Its certificates are those that the epoch announced. */

import { fromBase64, fromBase64Url, toHex } from '../../core/bytes.ts'
import { messageOf } from '../../core/fault.ts'
import { isObject, type Json } from '../../core/json.ts'
import type { Sha256, VerifyHead } from '../../core/ports.ts'
import { type AuditEvent, type HeadBody, headPayload } from '../../core/record.ts'
import { type TrustDomain, trustDomainOf } from '../../core/spiffe.ts'
import { parseTime } from '../../core/time.ts'
import { isAuditor } from '../verify/records.ts'

/** A chain that a `start` or `svid` record named. */
export interface Announced {
  readonly seq: number
  /** SHA-256 of the leaf certificate, lower-case hex: how heads call it. */
  readonly signer: string
  /** DER, the leaf first. */
  readonly chain: readonly Uint8Array[]
}

/** Chains remembered per epoch: heads that come late are signed with an earlier one. */
export const maxAnnounced = 3

const maxChain = 8

/** The chain that an event announces, if it does and can be read. */
export function announcedBy(event: AuditEvent, sha256: Sha256): Announced | undefined {
  if (event.kind !== 'start' && event.kind !== 'svid') return undefined
  const svid: unknown = event.svid
  if (!Array.isArray(svid) || svid.length === 0 || svid.length > maxChain) return undefined
  const chain = svid.flatMap((text: unknown) => (typeof text === 'string' ? (fromBase64(text) ?? []) : []))
  return chain.length === svid.length ? { seq: event.seq, signer: toHex(sha256(chain[0]!)), chain } : undefined
}

/** With one more chain, newest last. */
export const withAnnounced = (known: readonly Announced[], one: Announced): readonly Announced[] =>
  [...known, one].sort((a, b) => a.seq - b.seq).slice(-maxAnnounced)

export interface HeadTools {
  readonly verifyHead: VerifyHead
  /** Root certificates (DER) of a trust domain at a time in milliseconds since 1970, none for an unknown one. */
  readonly rootsOf: (trustDomain: TrustDomain, atMs: number) => readonly Uint8Array[]
}

/** The epoch that an epoch's first record quotes, or ''; undefined of every other record, and of the auditor's own. */
export function quotedBy(event: Pick<AuditEvent, 'kind' | 'seq' | 'producer'>): string | undefined {
  if (event.kind !== 'start' || event.seq !== 0 || isAuditor(event.producer)) return undefined
  const { previous } = event as { readonly previous?: unknown }
  return isObject(previous as Json) ? String((previous as { readonly epoch?: unknown }).epoch) : ''
}

/** What is wrong with a head, or undefined where it holds. */
export function headFault(
  event: AuditEvent<HeadBody>,
  known: readonly Announced[],
  tools: HeadTools,
): string | undefined {
  const sig: unknown = event.sig
  const signature = typeof sig === 'string' ? fromBase64Url(sig) : undefined
  if (!signature) return 'its signature cannot be read'
  const chain = known.findLast(({ signer }) => signer === event.signer)?.chain
  if (!chain) return 'it is signed with a certificate that its epoch did not announce'
  const atMs = Number((parseTime(event.timestamp) ?? 0n) / 1_000_000n)
  try {
    const verdict = tools.verifyHead({
      payload: headPayload(event),
      signature,
      chain,
      roots: tools.rootsOf(trustDomainOf(event.producer), atMs),
      producer: event.producer,
      atMs,
    })
    return verdict.ok ? undefined : verdict.detail
  } catch (thrown) {
    return messageOf(thrown) // Whatever a forged certificate does to a parser, the partition goes on.
  }
}
