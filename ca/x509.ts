/** An X.509 certificate as plain data, with the raw bytes that signatures and name chaining need (RFC 5280). */

import { toHex } from '../core/bytes.ts'
import { type KeyKind, keyKindOf } from './algorithms.ts'
import { attempt, type Der, malformed, only, smallInteger, tags, walk } from './der.ts'
import { type Extensions, noExtensions, readExtensions } from './extensions.ts'
import { readSigned, type Signed } from './signed.ts'

export interface Certificate extends Signed {
  readonly der: Uint8Array
  /** Lower-case hex without the sign octet. */
  readonly serial: string
  /** Whole encoded names. Names chain when their bytes are equal. */
  readonly issuer: Uint8Array
  readonly subject: Uint8Array
  readonly notBeforeMs: number
  readonly notAfterMs: number
  readonly spki: Uint8Array
  /** Undefined for a key that does not count. */
  readonly key: KeyKind | undefined
  readonly extensions: Extensions
}

/** A name without any attribute: an empty SEQUENCE. */
export const isEmptyName = (name: Uint8Array): boolean => name.length === 2

export function parseCertificate(der: Uint8Array): { readonly certificate: Certificate } | { readonly wrong: string } {
  const read = attempt(() => readCertificate(der))
  return 'value' in read ? { certificate: read.value } : read
}

function readCertificate(bytes: Uint8Array): Certificate {
  const { signed, parts, innerAlgorithm } = readSigned(bytes, 'certificate')
  const version = parts.maybe(0xa0)
  if (!version || smallInteger(only(version, tags.integer, 'version'), 'version') !== 2)
    throw malformed('not version 3')
  const serial = readSerial(parts.take(tags.integer, 'serial number'))
  innerAlgorithm()
  const issuer = checkName(parts.take(tags.sequence, 'issuer'))
  const validity = walk(parts.take(tags.sequence, 'validity'), tags.sequence, 'validity')
  const notBeforeMs = readTime(validity.maybe(tags.utcTime) ?? validity.take(tags.generalizedTime, 'start'))
  const notAfterMs = readTime(validity.maybe(tags.utcTime) ?? validity.take(tags.generalizedTime, 'end'))
  validity.end('validity')
  const subject = checkName(parts.take(tags.sequence, 'subject'))
  const spki = parts.take(tags.sequence, 'public key')
  const extensions = parts.maybe(0xa3)
  parts.end('to-be-signed part') // RFC 5280 section 4.1.2.8: unique identifiers are not used, so they end up here.

  return {
    ...signed,
    der: bytes,
    serial,
    issuer,
    subject,
    notBeforeMs,
    notAfterMs,
    spki: spki.whole,
    key: keyKindOf(spki),
    extensions: extensions ? readExtensions(only(extensions, tags.sequence, 'extensions')) : noExtensions,
  }
}

/** RFC 5280 section 4.1.2.2: positive, and at most 20 octets. */
export function readSerial(der: Der): string {
  if (der.body.length > 20 || der.body[0]! >= 0x80) throw malformed('a serial number that is negative or too long')
  if (der.body.length === 1 && der.body[0] === 0) throw malformed('serial number zero')
  return toHex(der.body[0] === 0 ? der.body.subarray(1) : der.body)
}

/** RDNSequence: sets of one or more pairs of type and value. What they say is nobody's identity here. */
export function checkName(name: Der): Uint8Array {
  for (const rdn of name.items) {
    if (rdn.tag !== tags.set || rdn.items.length === 0) throw malformed('a bad name')
    for (const pair of rdn.items) {
      if (pair.tag !== tags.sequence || pair.items.length !== 2 || pair.items[0]!.tag !== tags.oid) {
        throw malformed('a bad name')
      }
    }
  }
  return name.whole
}

/** RFC 5280 section 4.1.2.5: whole seconds in Z; two-digit years up to 2049 and four-digit years from 2050 on. */
export function readTime({ tag, body }: Der): number {
  const short = tag === tags.utcTime
  const from = short ? 2 : 4
  if (body.length !== from + 11 || body[from + 10] !== 0x5a) throw malformed('a bad time')
  const year = short ? pair(body, 0) : pair(body, 0) * 100 + pair(body, 2)
  const fullYear = short ? year + (year < 50 ? 2000 : 1900) : year
  if (!short && fullYear < 2050) throw malformed('a four-digit year before 2050')
  const [month, day, hour] = [pair(body, from), pair(body, from + 2), pair(body, from + 4)]
  const [minute, second] = [pair(body, from + 6), pair(body, from + 8)]
  const ms = Date.UTC(fullYear, month - 1, day, hour, minute, second)
  const kept = new Date(ms) // What is not on the calendar has moved on.
  const onCalendar = kept.getUTCMonth() === month - 1 && kept.getUTCDate() === day
  if (!onCalendar || hour > 23 || minute > 59 || second > 59) throw malformed('a time that is not on the calendar')
  return ms
}

/** A number of two digits. */
function pair(body: Uint8Array, at: number): number {
  const [tens, ones] = [body[at]! - 0x30, body[at + 1]! - 0x30]
  if (tens < 0 || tens > 9 || ones < 0 || ones > 9) throw malformed('a bad time')
  return tens * 10 + ones
}
