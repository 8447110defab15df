import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { usages } from '../../ca/extensions.ts'
import { verifySignature } from '../../ca/node/crypto.ts'
import { certificatesOf } from '../../ca/node/pem.ts'
import { checkPath } from '../../ca/path.ts'
import { readRoots } from '../../ca/svid.ts'
import { type Certificate, parseCertificate } from '../../ca/x509.ts'

/** x509-limbo, in the classes that matter to a mesh: no chain that should be refused passes the path check. */

interface Case {
  readonly id: string
  readonly features: readonly string[]
  readonly trusted_certs: readonly string[]
  readonly untrusted_intermediates: readonly string[]
  readonly peer_certificate: string
  readonly validation_time: string | null
  readonly expected_result: 'SUCCESS' | 'FAILURE'
}

const folder = process.env['WRIT_VECTORS']
const cases = load()

function load(): readonly Case[] {
  if (!folder) return []
  try {
    return JSON.parse(readFileSync(join(folder, 'limbo-core.json'), 'utf8')).testcases
  } catch {
    return []
  }
}

const ours = /^(pathlen|rfc5280::nc|rfc5280::eku|rfc5280::validity|pathological)::|^rfc5280::unknown-critical-/
/** Cases that give the validator a depth of their own; ours is fixed. */
const chosen = cases.filter(({ id, features }) => ours.test(id) && !features.includes('max-chain-depth'))

/**
 * Good chains that are refused all the same: constraints on e-mail addresses, IP addresses, directory and other names
 * are not processed and so refuse, and a certificate ends with the first millisecond of its last second.
 */
const stricter = [
  'rfc5280::nc::permitted-ipv4-match',
  'rfc5280::nc::permitted-ipv6-match',
  'rfc5280::nc::permitted-dn-match',
  'rfc5280::nc::permitted-different-constraint-type',
  'rfc5280::nc::excluded-different-constraint-type',
  'rfc5280::nc::nc-permits-email-exact',
  'rfc5280::nc::nc-permits-email-domain',
  'rfc5280::nc::nc-permits-email-literal-asterisk-exact-match',
  'rfc5280::nc::nc-permits-email-literal-double-asterisk',
  'rfc5280::nc::nc-permits-email-literal-mid-asterisk',
  'rfc5280::nc::nc-forbids-othername-noop',
  'rfc5280::validity::notafter-fractional',
]

const parse = (pem: string): Certificate | undefined => {
  const read = parseCertificate(certificatesOf(pem)[0]!)
  return 'certificate' in read ? read.certificate : undefined
}

/** Peers show chains in order and the vectors give heaps, so every order of up to three of them is tried. */
function accepts(one: Case): boolean {
  const leaf = parse(one.peer_certificate)
  if (!leaf) return false
  const roots = readRoots(one.trusted_certs.flatMap((pem) => certificatesOf(pem)))
  const heap = one.untrusted_intermediates.slice(0, 6).flatMap((pem) => parse(pem) ?? [])
  const nowMs = one.validation_time ? Date.parse(one.validation_time) : Date.now()
  const rules = { nowMs, usages: [usages.serverAuth], verify: verifySignature }
  return orders(heap, 3).some((signers) => checkPath([leaf, ...signers], roots, rules).ok)
}

function orders<T>(heap: readonly T[], length: number): T[][] {
  if (length === 0) return [[]]
  return [[], ...heap.flatMap((first, i) => orders(heap.toSpliced(i, 1), length - 1).map((rest) => [first, ...rest]))]
}

test.runIf(process.env['CI'])('the vectors are there', () => {
  expect(cases.length, 'set WRIT_VECTORS to the folder that holds limbo-core.json').toBe(208)
})

test.skipIf(cases.length === 0)('no chain that x509-limbo wants refused is accepted', () => {
  const answers = chosen.map((one) => ({ id: one.id, wanted: one.expected_result === 'SUCCESS', got: accepts(one) }))
  expect(answers.filter(({ wanted, got }) => got && !wanted).map(({ id }) => id)).toEqual([])
  expect(answers.filter(({ wanted, got }) => !got && wanted).map(({ id }) => id)).toEqual(stricter)
  expect(answers.length).toBeGreaterThan(60)
})

if (cases.length === 0)
  console.warn('x509-limbo is left out: set WRIT_VECTORS to the folder that holds limbo-core.json')
