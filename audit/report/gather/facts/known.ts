/** `certificates` and `policies`: what decisions name, against what other records say there is. */

import { isObject, type Json } from '../../../../core/json.ts'
import { isControl } from '../../../verify/records.ts'
import { Dict, firstOf, isBefore, Listed, names, type Place } from '../held.ts'
import { memberAt, textAt } from '../view.ts'
import { type Ending, type Fact, maxHeld, type Seen } from './fact.ts'

/** Names that are used, each with the first leaf that uses it, and names that are announced, at any time before the end. */
class Names {
  readonly announced: Dict<1> = names(maxHeld)
  readonly used: Dict<{ readonly count: number; readonly at: Place; readonly subject: string }> = new Dict(
    (a, b) => ({ ...firstOf(a, b), count: a.count + b.count }),
    maxHeld,
  )

  use(name: string, subject: string, { at, count }: Seen): void {
    this.used.add(name, { count, at: { ...at }, subject })
  }

  finish() {
    const list = [...this.used.map].sort(([, a], [, b]) => (isBefore(a.at, b.at) ? -1 : 1))
    const unknown = list.filter(([name]) => !this.announced.map.has(name))
    const known = list.filter(([name]) => this.announced.map.has(name))
    const tally = (of: typeof list, size: number) => ({
      count: of.length,
      subjects: of.slice(0, 1000).map(([, { count, subject }]) => ({ name: subject, count })),
      otherSubjects: Math.max(0, of.length - 1000),
      places: of.map(([, { at }]) => at),
      size,
    })
    return {
      values: {
        seen: this.used.map.size,
        announced: this.announced.map.size,
        unknown: unknown.length,
        unknownUses: unknown.reduce((sum, [, { count }]) => sum + count, 0),
        whole: this.announced.whole && this.used.whole,
      },
      tallies: { unknown: tally(unknown, 10), known: tally(known, 10) },
    }
  }
}

export function certificatesFact(): Fact {
  const serials = new Names()
  return {
    always: { issued: serials.announced },
    inside: { used: serials.used },
    reads: ['peer.proof', 'peer.serial', '@caller'],
    take(seen) {
      const { event } = seen.view
      const body = event as unknown as Json
      if (event.kind === 'issuance') {
        const action = textAt(body, 'action')
        const serial = textAt(body, 'serial')
        const isCertificate = memberAt(body, 'audience') === undefined
        if (serial && isCertificate && (action === 'issued' || action === 'renewed')) serials.announced.add(serial, 1)
      }
      if (event.kind !== 'decision' || !seen.inside || textAt(body, 'peer', 'proof') !== 'x509') return
      const serial = textAt(body, 'peer', 'serial') ?? ''
      serials.use(serial, `${serial} of ${seen.view.derived('@caller') ?? 'somebody'}`, seen)
    },
    finish: () => {
      const { values, tallies } = serials.finish()
      return { values, tallies: { unissued: tallies.unknown, issued: tallies.known } }
    },
  }
}

/** What control writes of a bundle whose signature it checked: name, revision, digest. */
const signedDetail = /^(\S{1,256}) \S{1,256} ([0-9a-f]{64}): signed by /

export function policiesFact(): Fact {
  const revisions = new Names()
  /** Revisions whose signature was checked before they came into force. */
  const signed = names(maxHeld)
  return {
    always: { announced: revisions.announced, signed },
    inside: { used: revisions.used },
    reads: ['bundles'],
    take(seen) {
      const { event } = seen.view
      const body = event as unknown as Json
      if (event.kind === 'policy') {
        const sha256 = textAt(body, 'sha256')
        const bundle = textAt(body, 'bundle')
        if (sha256 && bundle && memberAt(body, 'data') === undefined) revisions.announced.add(`${bundle} ${sha256}`, 1)
      }
      if (event.kind === 'admin' && textAt(body, 'action') === 'policy_signed' && isControl(event.producer)) {
        const [, bundle, sha256] = signedDetail.exec(textAt(body, 'detail') ?? '') ?? []
        if (bundle !== undefined) signed.add(`${bundle} ${sha256}`, 1)
      }
      if (event.kind !== 'decision' || !seen.inside) return
      const bundles = memberAt(body, 'bundles')
      if (!isObject(bundles)) return
      for (const [bundle, of] of Object.entries(bundles)) {
        const sha256 = textAt(of, 'sha256') ?? ''
        revisions.use(`${bundle} ${sha256}`, `${bundle} ${textAt(of, 'revision') ?? ''} ${sha256.slice(0, 12)}`, seen)
      }
    },
    finish: () => {
      const { values, tallies } = revisions.finish()
      const unsigned = new Listed(10)
      for (const [name, { at, subject }] of revisions.used.map) if (!signed.map.has(name)) unsigned.add(at, subject)
      return {
        values: { ...values, signed: values.seen - unsigned.count, whole: values.whole && signed.whole },
        tallies: { unannounced: tallies.unknown, announced: tallies.known, unsigned: unsigned.finish() },
      }
    },
  }
}

/** Revisions put in force in the time, each once, against declared approvals. */
export function changesFact(): Fact {
  const changes = new Dict<{
    readonly bundle: string
    readonly revision: string
    readonly sha256: string
    readonly atMs: number
    readonly at: Place
  }>(firstOf, 100_000)
  return {
    inside: { changes },
    reads: [],
    take({ view: { event, atMs }, inside, at }) {
      if (event.kind !== 'policy' || !inside) return
      const body = event as unknown as Json
      const action = textAt(body, 'action')
      const [bundle, sha256] = [textAt(body, 'bundle'), textAt(body, 'sha256')]
      if ((action !== 'published' && action !== 'activated') || !bundle || !sha256) return
      const revision = textAt(body, 'revision') ?? ''
      changes.add(`${bundle} ${sha256}`, { bundle, revision, sha256, atMs, at: { ...at } })
    },
    finish: ({ declared }: Ending) => {
      const [good, bad] = [new Listed(), new Listed(10)]
      let unnamed = 0
      for (const { bundle, revision, sha256, atMs, at } of changes.map.values()) {
        const found = declared.approvals.filter(
          (one) =>
            one.bundle === bundle &&
            (one.sha256 === undefined || one.sha256 === sha256) &&
            (one.revision === undefined || one.revision === revision),
        )
        if (found.length === 0) unnamed++
        const approved = found.some(
          (one) =>
            one.tests === 'passed' &&
            Date.parse(one.approvedAt) <= atMs &&
            one.approvers.some((approver) => approver !== one.author),
        )
        ;(approved ? good : bad).add(at, `${bundle} ${revision}`)
      }
      return {
        values: {
          ...{ changes: changes.map.size, approved: good.count, unapproved: bad.count },
          ...{ undeclared: unnamed, whole: changes.whole },
        },
        tallies: { unapproved: bad.finish(), approved: good.finish() },
      }
    },
  }
}
