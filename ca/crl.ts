/** Certificate revocation lists (RFC 5280 sections 5 and 6.3) of issuers outside: complete ones alone, read strictly. */

import { equalBytes } from '../core/bytes.ts'
import type { VerifySignature } from './algorithms.ts'
import { attempt, type Der, listOf, malformed, oidText, only, smallInteger, tags, walk } from './der.ts'
import { isSignedBy, readSigned, type Signed } from './signed.ts'
import { type Certificate, checkName, readSerial, readTime } from './x509.ts'

export interface RevocationList extends Signed {
  /** The whole encoded name of who issued it, and the certificates it is about. */
  readonly issuer: Uint8Array
  readonly fromMs: number
  /** The last millisecond in which it holds. */
  readonly untilMs: number
  /** Serial numbers as certificates have them: lower-case hex. */
  readonly revoked: ReadonlySet<string>
}

/** Lists of more than 64 KiB are refused as all DER is (ca/der.ts). */
export function parseRevocationList(der: Uint8Array): { readonly list: RevocationList } | { readonly wrong: string } {
  const read = attempt(() => readList(der))
  return 'value' in read ? { list: read.value } : read
}

function readList(bytes: Uint8Array): RevocationList {
  const { signed, parts, innerAlgorithm } = readSigned(bytes, 'revocation list')
  if (smallInteger(parts.take(tags.integer, 'version'), 'version') !== 1) throw malformed('not version 2')
  innerAlgorithm()
  const issuer = checkName(parts.take(tags.sequence, 'issuer'))
  const fromMs = readTime(parts.maybe(tags.utcTime) ?? parts.take(tags.generalizedTime, 'start'))
  // Section 5.1.2.5: always there, and without it a list would hold for ever.
  const untilMs = readTime(parts.maybe(tags.utcTime) ?? parts.take(tags.generalizedTime, 'end'))
  const entries = parts.maybe(tags.sequence)
  const extensions = parts.take(0xa0, 'extensions')
  parts.end('to-be-signed part')
  checkExtensions(only(extensions, tags.sequence, 'extensions'))
  const revoked = new Set((entries ? listOf(entries, 'revoked certificates') : []).map(readEntry))
  return { ...signed, issuer, fromMs, untilMs, revoked }
}

function readEntry(entry: Der): string {
  const parts = walk(entry, tags.sequence, 'revoked certificate')
  const serial = readSerial(parts.take(tags.integer, 'serial number'))
  readTime(parts.maybe(tags.utcTime) ?? parts.take(tags.generalizedTime, 'revocation date'))
  const extensions = parts.maybe(tags.sequence)
  parts.end('revoked certificate')
  // A critical one, such as that of indirect lists, changes what the entry means (section 5.3).
  for (const { critical } of extensions ? readAll(extensions) : []) {
    if (critical) throw malformed('a critical extension of an entry')
  }
  return serial
}

const crlNumber = '2.5.29.20'
const authorityKeyId = '2.5.29.35'

/** Delta lists and those of one part of an issuer's certificates mark themselves by critical extensions (section 5.2). */
function checkExtensions(list: Der): void {
  const found = readAll(list)
  for (const { oid, critical } of found) {
    if (critical && oid !== authorityKeyId) throw malformed(`critical extension ${oid}`)
  }
  if (!found.some(({ oid }) => oid === crlNumber)) throw malformed('no CRL number')
  if (new Set(found.map(({ oid }) => oid)).size < found.length) throw malformed('an extension twice')
}

function readAll(list: Der): readonly { readonly oid: string; readonly critical: boolean }[] {
  return listOf(list, 'extensions').map((item) => {
    const parts = walk(item, tags.sequence, 'extension')
    const oid = oidText(parts.take(tags.oid, 'extension name').body)
    const critical = parts.maybe(tags.boolean)
    parts.take(tags.octetString, 'extension value')
    parts.end('extension')
    if (critical?.body[0] === 0) throw malformed('a default that is written out')
    return { oid, critical: critical !== undefined }
  })
}

export type Revocation = 'good' | 'revoked' | { readonly unsure: string }

/**
 * What lists say of a certificate under its issuer: those that bear the issuer's name, each of which must be its own and
 * of today. A list that cannot be believed leaves us unsure, and nobody passes by that.
 */
export function revocationOf(
  certificate: Certificate,
  issuer: Certificate,
  lists: readonly RevocationList[],
  nowMs: number,
  verify: VerifySignature,
): Revocation {
  for (const list of lists) {
    if (!equalBytes(list.issuer, issuer.subject)) continue
    const { keyUsage } = issuer.extensions
    // Section 6.3.3 (f).
    if (keyUsage && !keyUsage.bits.has('cRLSign')) return { unsure: 'a revocation list by a key that may not sign it' }
    if (!isSignedBy(list, issuer, verify)) return { unsure: 'a revocation list that its issuer did not sign' }
    if (nowMs < list.fromMs || nowMs > list.untilMs) return { unsure: 'a revocation list that is not of today' }
    if (list.revoked.has(certificate.serial)) return 'revoked'
  }
  return 'good'
}
