import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type SavedVerification, type VerifyParts, verifyLog } from '../../../audit/verify/verify.ts'
import { toBase64, utf8 } from '../../../core/bytes.ts'
import type { EventBody } from '../../../core/record.ts'
import { filesOf, Mesh, partsOf, Signer } from './log.ts'
import { readersHere } from './parts.ts'
import { decisionBody, id, Producer, testRoot } from './producer.ts'

/** A log that is read in parts comes to what it comes to in one piece, to the byte and in the same order. */

const step = fc.record({
  what: fc.constantFrom(
    ...([
      'call',
      'call',
      'call',
      'call',
      'call',
      'call',
      'call',
      'call',
      'outcomes',
      'head',
      'other',
      'other',
      'web',
      'late',
      'earlier',
    ] as const),
    ...([
      'restart',
      'back',
      'gap',
      'issued',
      'trust',
      'final',
      'twice',
      'junk',
      'moved',
      'lost',
      'suppressed',
      'end',
      'fork',
      'before',
    ] as const),
  ),
  times: fc.integer({ min: 1, max: 6 }),
  serial: fc.constantFrom(undefined, undefined, '0a', '0b'),
})

function leavesOf(steps: readonly (typeof step extends fc.Arbitrary<infer Value> ? Value : never)[]) {
  const mesh = new Mesh()
  const { control, auditor, orders, leaves } = mesh
  const web = new Producer('web')
  let held: Uint8Array[] = []
  leaves.push(web.start())
  for (const { what, times, serial } of steps) {
    const decide = (by: Producer, verdict: 'allow' | 'deny') => {
      const body = decisionBody(by.name, { verdict }, by.nowMs)
      return by.write(serial ? { ...body, peer: { ...body.peer!, proof: 'x509', serial } } : body)
    }
    const of = { producer: orders.name, epoch: orders.epoch }
    if (what === 'call') for (let i = 0; i < times; i++) leaves.push(decide(orders, 'allow'))
    if (what === 'outcomes') leaves.push(orders.write({ kind: 'outcomes', outcomes: [] } as never))
    if (what === 'head') leaves.push(orders.head())
    if (what === 'other') for (let i = 0; i < times; i++) leaves.push(decide(web, 'deny'))
    if (what === 'back') orders.nowMs -= 5000
    if (what === 'web') leaves.push(web.head())
    if (what === 'late') held.push(orders.decision())
    if (what === 'earlier') leaves.push(...held.reverse())
    if (what === 'earlier') held = []
    if (what === 'restart') leaves.push(orders.restart())
    if (what === 'gap' && orders.seq > 2) {
      const gap = { kind: 'gap', action: 'opened', of, first: orders.seq - 2, last: orders.seq - 1 }
      leaves.push(auditor.write({ ...gap, after: '', before: '' } as unknown as EventBody))
    }
    const issued = { kind: 'issuance', action: 'issued', subject: id('web'), serial: serial ?? '0c', evidence: 'e' }
    if (what === 'issued') leaves.push(control.write({ ...issued, not_before: '', not_after: '' } as EventBody))
    const roots = [testRoot, utf8(`root ${leaves.length}`)].map(toBase64)
    const trust = { kind: 'trust', trust_domain: 'bank.example' as never, sequence: 2, roots } as const
    if (what === 'trust') leaves.push(control.write(trust), control.head())
    if (what === 'final') leaves.push(orders.head(true), orders.restart())
    if (what === 'twice') leaves.push(leaves.at(-1)!)
    if (what === 'junk') leaves.push(utf8('{"v":1}'))
    if (what === 'moved') {
      const moved = new TextDecoder().decode(leaves.at(-1)!).replace('/orders"', '/web"')
      leaves.push(utf8(moved))
    }
    if (what === 'end') leaves.push(orders.head(true))
    if (what === 'fork' && orders.seq > 0) {
      orders.seq--
      for (let i = 0; i < times; i++) leaves.push(orders.decision({ verdict: 'fault' }))
    }
    if (what === 'before') {
      const other = new Producer('web')
      const gap = { kind: 'gap', action: 'opened', of: { ...of, epoch: other.epoch }, first: 0, last: 0 }
      leaves.push(auditor.write({ ...gap, after: '', before: '' } as unknown as EventBody))
      leaves.push(other.start(), other.decision(), other.decision(), other.decision())
    }
    if (what === 'lost') orders.decision()
    const counts = { allow: 1, deny: 0, fault: 0 }
    if (what === 'suppressed')
      leaves.push(orders.write({ kind: 'suppressed', counts, from: '', until: '', why: 'full' } as never))
  }
  return leaves
}

async function verified(parts: VerifyParts): Promise<string> {
  let saved: SavedVerification | undefined
  const verification = await verifyLog({ ...parts, save: (one) => (saved = one) })
  return JSON.stringify({ verification, saved }, null, 1)
}

test('whatever a log holds, and wherever it is cut, its parts come to the same', { timeout: 120_000 }, async () => {
  let [short, all] = [0, 0]
  const signer = new Signer()
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { minLength: 10, maxLength: 50, size: 'max' }),
      fc.integer({ min: 4, max: 30 }),
      async (steps, length) => {
        const parts = partsOf([await filesOf(leavesOf(steps), signer)], signer)
        const readers = readersHere(parts, length, 3, (read) => {
          all++
          if (read) short++
        })
        expect(await verified({ ...parts, readers })).toBe(await verified(parts))
      },
    ),
    { numRuns: Number(process.env['RUNS'] ?? 20) },
  )
  expect(short).toBeGreaterThan(all / 2)
})

const calls = (by: Producer, count: number): readonly Uint8Array[] => Array.from({ length: count }, () => by.decision())

/** Logs in which a run goes on with nothing that is wrong with it, but for where its epoch stands. */
const borders: Readonly<Record<string, (mesh: Mesh) => readonly Uint8Array[]>> = {
  'behind the head that ended its epoch': ({ orders }) => [
    ...calls(orders, 6),
    orders.head(true),
    ...calls(orders, 20),
  ],
  'behind another record of the same number': ({ orders }) => {
    const first = calls(orders, 8)
    orders.seq--
    return [...first, ...calls(orders, 20)]
  },
  'of an epoch that a gap entry gave to somebody else': (mesh) => {
    const web = new Producer('web')
    return [mesh.gap('opened', 0, 0, web.epoch), web.start(), ...calls(web, 20)]
  },
  'of times before its first': ({ orders }) => {
    const first = calls(orders, 8)
    orders.nowMs -= 3_600_000
    return [...first, ...calls(orders, 20)]
  },
}

test.each(Object.entries(borders))('a run %s is looked at record by record', async (_, made) => {
  const signer = new Signer()
  for (let length = 4; length < 16; length++) {
    const mesh = new Mesh()
    mesh.leaves.push(...made(mesh))
    const parts = partsOf([await filesOf(mesh.leaves, signer)], signer)
    expect(await verified({ ...parts, readers: readersHere(parts, length) }), `${length}`).toBe(await verified(parts))
  }
})
