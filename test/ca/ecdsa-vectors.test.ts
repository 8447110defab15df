import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { verifySignature } from '../../ca/node/crypto.ts'
import { fromHex } from '../../core/bytes.ts'

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

const folder = process.env['WRIT_VECTORS']
const groups = load()

function load(): readonly Group[] {
  if (!folder) return []
  try {
    return JSON.parse(readFileSync(join(folder, 'ecdsa_secp256r1_sha256_test.json'), 'utf8')).testGroups
  } catch {
    return []
  }
}

test.runIf(process.env['CI'])('the vectors are there', () => {
  expect(groups.length, 'set WRIT_VECTORS to the folder that holds ecdsa_secp256r1_sha256_test.json').toBeGreaterThan(0)
})

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

if (groups.length === 0) {
  console.warn('Wycheproof is left out: set WRIT_VECTORS to the folder that holds ecdsa_secp256r1_sha256_test.json')
}
