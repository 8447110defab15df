import { expect, test } from 'vitest'
import { verifySignature } from '../../ca/node/crypto.ts'
import { fromHex } from '../../core/bytes.ts'
import { vectorsOf } from './vectors.ts'

/** Wycheproof's ECDSA vectors over P-256: what decides on certificates takes no signature that it should refuse. */

interface Group {
  readonly publicKeyDer: string
  readonly sha: string
  readonly tests: readonly {
    readonly tcId: number
    readonly comment: string
    readonly msg: string
    readonly sig: string
    readonly result: 'valid' | 'invalid' | 'acceptable'
  }[]
}

const groups = vectorsOf<Group>('ecdsa_secp256r1_sha256_test.json', 'testGroups')

test.skipIf(groups.length === 0)('no bad signature of Wycheproof holds, and every good one does', () => {
  const wrong: string[] = []
  const count = { valid: 0, invalid: 0, acceptable: 0 }
  for (const { publicKeyDer, tests } of groups) {
    const spki = fromHex(publicKeyDer)!
    for (const { tcId, comment, msg, sig, result } of tests) {
      const signature = fromHex(sig) ?? new Uint8Array()
      const holds = verifySignature({ algorithm: 'ecdsa-sha256', spki, signed: fromHex(msg)!, signature })
      count[result]++
      if (holds !== (result === 'valid')) wrong.push(`${tcId} ${comment}: ${result}`)
    }
  }
  expect(wrong).toEqual([])
  expect(count.valid).toBeGreaterThan(100)
  expect(count.invalid).toBeGreaterThan(100)
})
