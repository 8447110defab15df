import { expect, test } from 'vitest'
import { type SavedVerification, type VerifyParts, verifyLog } from '../../../audit/verify/verify.ts'
import { toBase64, utf8 } from '../../../core/bytes.ts'
import type { EventBody } from '../../../core/record.ts'
import { type Files, filesOf, Mesh, partsOf, Signer } from './log.ts'
import { id, Producer, testRoot } from './producer.ts'

/** What was saved, as it is after it was written down and read again. */
async function verified(shards: readonly Files[], signer: Signer, more: Partial<VerifyParts> = {}) {
  let saved: SavedVerification | undefined
  const shown: string[] = []
  const verification = await verifyLog({
    ...partsOf(shards, signer),
    save: (one) => {
      saved = JSON.parse(JSON.stringify(one)) as SavedVerification
    },
    watch: {
      shard: async (shard, from) => void shown.push(`${shard} from ${from}`),
      bundle: () => undefined,
      leaf: ({ index }, shard) => void shown.push(`${shard}/${index}`),
    },
    ...more,
  })
  return { verification, saved, shown }
}

/** A run that ends, one that is killed, records that come late, a gap that closes, new roots. */
function eventful(): readonly Uint8Array[] {
  const mesh = new Mesh().calls(12)
  const { control, auditor, orders, leaves } = mesh
  const issued = { kind: 'issuance', action: 'issued', subject: id('web'), serial: '0a1b', evidence: 'e' } as const
  leaves.push(control.write({ ...issued, not_before: '', not_after: '' }))
  const late = [orders.decision(), orders.decision()]
  leaves.push(orders.decision())
  const of = { producer: orders.name, epoch: orders.epoch }
  const gap = { kind: 'gap', of, first: orders.seq - 3, last: orders.seq - 2, after: '', before: '' } as const
  leaves.push(auditor.write({ ...gap, action: 'opened' } as unknown as EventBody))
  leaves.push(...late.reverse(), auditor.write({ ...gap, action: 'closed' } as unknown as EventBody), orders.head())
  const more = [testRoot, utf8('another root')].map(toBase64)
  const trust = { kind: 'trust', trust_domain: 'bank.example' as never, sequence: 2, roots: more } as const
  leaves.push(control.write(trust), control.head())
  leaves.push(orders.decision(), orders.restart(), orders.decision(), orders.head(), orders.head(true))
  const counts = { allow: 1, deny: 0, fault: 0 }
  const ledger = new Producer('ledger')
  leaves.push(ledger.start(), ledger.decision())
  ledger.counts = { ...ledger.counts }
  leaves.push(ledger.write({ kind: 'suppressed', counts, from: '', until: '', why: 'full' } as never))
  leaves.push(auditor.write({ kind: 'head', counts: auditor.counts, final: false, signer: '', sig: '' }))
  return leaves
}

test('a verification that goes on from an earlier one finds what one finds that reads everything', async () => {
  const signer = new Signer()
  const leaves = eventful()
  const files = await filesOf(leaves, signer)
  const whole = await verified([files], signer)
  expect(whole.verification.broken).toBe(0)
  let resumed = 0
  for (let size = 1; size <= leaves.length; size++) {
    const { saved } = await verified([await filesOf(leaves.slice(0, size), signer)], signer)
    if (!saved) continue
    resumed++
    const { verification, shown } = await verified([files], signer, { resume: saved })
    expect(verification, `from ${size}`).toEqual(whole.verification)
    expect(shown, `from ${size}`).toEqual([`0 from ${size}`, ...whole.shown.slice(size + 1)])
  }
  expect(resumed).toBeGreaterThan(leaves.length / 2)
})

test('it begins anew where the log does not extend what was verified, or something was taken from it', async () => {
  const signer = new Signer()
  const [one, other] = [eventful(), eventful()]
  const { saved } = await verified([await filesOf(one, signer)], signer)
  const fork = await verified([await filesOf(other, signer)], signer, { resume: saved! })
  expect(fork.shown[0]).toBe('0 from 0')
  const shorter = await verified([await filesOf(one.slice(0, 20), signer)], signer, { resume: saved! })
  expect(shorter.shown[0]).toBe('0 from 0')
  const pinned = [{ trustDomain: 'bank.example', sequence: 1, fromMs: 0, roots: [testRoot], id: '' }]
  const trusting = await verified([await filesOf(one, signer)], signer, { resume: saved!, pinned })
  expect(trusting.shown[0]).toBe('0 from 0')
  expect(trusting.verification.trust.from).toBe('pinned')
})

test('nothing is saved of a log with a broken record', async () => {
  const signer = new Signer()
  const leaves = [...eventful()]
  leaves.splice(8, 1, leaves[9]!)
  const { verification, saved } = await verified([await filesOf(leaves, signer)], signer)
  expect(verification.ok).toBe(false)
  expect(saved).toBeUndefined()
})

test('roots that another shard announces later are known at the second reading, and each leaf is shown once', async () => {
  const signer = new Signer()
  const mesh = new Mesh().calls(6)
  const early = new Producer('ledger')
  const first = await filesOf([early.start(), early.decision(), early.head()], signer, 0)
  const second = await filesOf(mesh.leaves, signer, 1)
  const { verification, shown, saved } = await verified([first, second], signer)
  expect(new Set(shown).size).toBe(shown.length)
  const again = await verified([first, second], signer, { resume: saved! })
  expect(again.shown).toEqual(['0 from 3', `1 from ${mesh.leaves.length}`])
  expect(again.verification).toEqual(verification)
})
