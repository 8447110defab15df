import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { VerifySignature } from '../../ca/algorithms.ts'
import { parseRevocationList } from '../../ca/crl.ts'
import { usages } from '../../ca/extensions.ts'
import { verifySignature } from '../../ca/node/crypto.ts'
import { checkPath } from '../../ca/path.ts'
import { certificatesOf } from '../../ca/pem.ts'
import { readRoots } from '../../ca/svid.ts'
import { type Certificate, parseCertificate } from '../../ca/x509.ts'
import { fromBase64 } from '../../core/bytes.ts'
import { vectorsOf } from './vectors.ts'

/** x509-limbo, all its core cases: what ends otherwise than wanted is in docs/LIMBO.md with its reason, and nothing else is. */

interface Case {
  readonly id: string
  readonly features: readonly string[]
  readonly validation_kind: 'CLIENT' | 'SERVER'
  readonly trusted_certs: readonly string[]
  readonly untrusted_intermediates: readonly string[]
  readonly peer_certificate: string
  readonly validation_time: string | null
  readonly expected_result: 'SUCCESS' | 'FAILURE'
  readonly crls?: readonly string[]
}

const cases = vectorsOf<Case>('limbo-core.json', 'testcases')

/** Where nothing may be accepted that should be refused. */
const ours =
  /^(pathlen|rfc5280::nc|webpki::nc|rfc5280::eku|rfc5280::validity|pathological|crl)::|^rfc5280::unknown-critical-/
/** Cases that give the validator a depth of their own; ours is fixed. */
const isOurs = ({ id, features }: Case): boolean => ours.test(id) && !features.includes('max-chain-depth')

const parse = (pem: string): Certificate | undefined => {
  const read = parseCertificate(certificatesOf(pem)[0]!)
  return 'certificate' in read ? read.certificate : undefined
}

const listOf = (pem: string) => {
  const read = parseRevocationList(fromBase64(pem.replace(/-----[^-]+-----|\s/g, ''))!)
  return 'list' in read ? read.list : undefined
}

/**
 * Peers show chains in order and the vectors give heaps, so every order of up to three of them is tried. A list that
 * cannot be read refuses, as it does where lists are configured.
 */
function accepts(one: Case, verify: VerifySignature): boolean {
  const leaf = parse(one.peer_certificate)
  const lists = (one.crls ?? []).map(listOf)
  if (!leaf || lists.includes(undefined)) return false
  const roots = readRoots(one.trusted_certs.flatMap((pem) => certificatesOf(pem)))
  const heap = one.untrusted_intermediates.slice(0, 6).flatMap((pem) => parse(pem) ?? [])
  const nowMs = one.validation_time ? Date.parse(one.validation_time) : Date.now()
  const usage = one.validation_kind === 'CLIENT' ? usages.clientAuth : usages.serverAuth
  const rules = { nowMs, usages: [usage], verify, lists: lists.map((list) => list!) }
  return orders(heap, 3).some((signers) => checkPath([leaf, ...signers], roots, rules).ok)
}

function orders<T>(heap: readonly T[], length: number): T[][] {
  if (length === 0) return [[]]
  return [[], ...heap.flatMap((first, i) => orders(heap.toSpliced(i, 1), length - 1).map((rest) => [first, ...rest]))]
}

const here = test.skipIf(cases.length === 0)
const wants = ({ expected_result }: Case): boolean => expected_result === 'SUCCESS'

here('no chain that x509-limbo wants refused is accepted in the classes that matter to a mesh', () => {
  const chosen = cases.filter(isOurs)
  const accepted = chosen.filter((one) => !wants(one) && accepts(one, verifySignature))
  expect(accepted.map(({ id }) => id)).toEqual([])
  expect(chosen.length).toBeGreaterThan(85)
})

here('every other difference is in docs/LIMBO.md with its reason', () => {
  expect(cases).toHaveLength(208)
  const found = cases.flatMap((one) => {
    const got = accepts(one, verifySignature)
    return got === wants(one) ? [] : [`${one.id} ${got ? 'accepted' : 'refused'}`]
  })
  const page = readFileSync(join(import.meta.dirname, '../../docs/LIMBO.md'), 'utf8')
  const told = [...page.matchAll(/^\| `(\S+)` \| (accepted|refused) \| \S.{20,} \|$/gm)].map(
    ([, id, got]) => `${id} ${got}`,
  )
  expect(found).toEqual(told)
})

here('the pathological cases cost at most sixteen signature checks for a chain', () => {
  const pathological = cases.filter(({ id }) => id.startsWith('pathological::'))
  expect(pathological).toHaveLength(11)
  for (const one of pathological) {
    const leaf = parse(one.peer_certificate)
    const roots = readRoots(one.trusted_certs.flatMap((pem) => certificatesOf(pem)))
    const heap = one.untrusted_intermediates.slice(0, 6).flatMap((pem) => parse(pem) ?? [])
    for (const signers of leaf ? orders(heap, 3) : []) {
      let checks = 0
      const verify: VerifySignature = (check) => {
        checks++
        return verifySignature(check)
      }
      checkPath([leaf!, ...signers], roots, { nowMs: Date.now(), usages: [usages.serverAuth], verify })
      expect(checks, one.id).toBeLessThanOrEqual(16)
    }
  }
})
