/** `certificates` and `policies`: what decisions name, against what other records say there is. */

import { isObject, type Json } from '../../../../core/json.ts'
import { Count } from '../count.ts'
import { memberAt, textAt } from '../view.ts'
import { type Ending, type Fact, maxHeld, type Seen } from './fact.ts'

/** Names that are used, each with the first leaves that use it, and names that are announced, at any time before the end. */
class Names {
  readonly #announced = new Set<string>()
  readonly #used = new Map<string, { readonly count: Count; readonly subject: string }>()
  whole = true

  announce(name: string): void {
    if (this.#announced.size < maxHeld) this.#announced.add(name)
    else this.whole = false
  }

  use(name: string, subject: string, { key, at }: Seen): void {
    let known = this.#used.get(name)
    if (!known) {
      if (this.#used.size >= maxHeld) {
        this.whole = false
        return
      }
      known = { count: new Count(1), subject }
      this.#used.set(name, known)
    }
    known.count.add(key, at, subject)
  }

  finish() {
    const unknown = [...this.#used].filter(([name]) => !this.#announced.has(name))
    const known = [...this.#used].filter(([name]) => this.#announced.has(name))
    const tally = (list: typeof unknown) => ({
      count: list.length,
      sample: list
        .slice(0, 10)
        .flatMap(([, { count }]) => count.finish().sample)
        .sort((a, b) => a.shard - b.shard || a.index - b.index),
      subjects: list.slice(0, 1000).map(([, { count, subject }]) => ({ name: subject, count: count.count })),
      otherSubjects: Math.max(0, list.length - 1000),
    })
    const uses = unknown.reduce((sum, [, { count }]) => sum + count.count, 0)
    return {
      values: {
        seen: this.#used.size,
        announced: this.#announced.size,
        unknown: unknown.length,
        unknownUses: uses,
        whole: this.whole,
      },
      tallies: { unknown: tally(unknown), known: tally(known) },
    }
  }
}

export function certificatesFact(): Fact {
  const names = new Names()
  return {
    take(seen) {
      const { event } = seen.view
      const body = event as unknown as Json
      if (event.kind === 'issuance') {
        const action = textAt(body, 'action')
        const serial = textAt(body, 'serial')
        const isCertificate = memberAt(body, 'audience') === undefined
        if (serial && isCertificate && (action === 'issued' || action === 'renewed')) names.announce(serial)
      }
      if (event.kind !== 'decision' || !seen.inside || textAt(body, 'peer', 'proof') !== 'x509') return
      const serial = textAt(body, 'peer', 'serial') ?? ''
      names.use(serial, `${serial} of ${seen.view.derived('@caller') ?? 'somebody'}`, seen)
    },
    finish: () => {
      const { values, tallies } = names.finish()
      return { values, tallies: { unissued: tallies.unknown, issued: tallies.known } }
    },
  }
}

export function policiesFact(): Fact {
  const names = new Names()
  return {
    take(seen) {
      const { event } = seen.view
      const body = event as unknown as Json
      if (event.kind === 'policy') {
        const sha256 = textAt(body, 'sha256')
        const bundle = textAt(body, 'bundle')
        if (sha256 && bundle && memberAt(body, 'data') === undefined) names.announce(`${bundle} ${sha256}`)
      }
      if (event.kind !== 'decision' || !seen.inside) return
      const bundles = memberAt(body, 'bundles')
      if (!isObject(bundles)) return
      for (const [bundle, of] of Object.entries(bundles)) {
        const sha256 = textAt(of, 'sha256') ?? ''
        names.use(`${bundle} ${sha256}`, `${bundle} ${textAt(of, 'revision') ?? ''} ${sha256.slice(0, 12)}`, seen)
      }
    },
    finish: () => {
      const { values, tallies } = names.finish()
      return { values, tallies: { unannounced: tallies.unknown, announced: tallies.known } }
    },
  }
}

/** Revisions put in force in the time, each once, against declared approvals. */
export function changesFact(): Fact {
  const changes = new Map<
    string,
    {
      readonly bundle: string
      readonly revision: string
      readonly sha256: string
      readonly atMs: number
      readonly seen: Pick<Seen, 'key' | 'at'>
    }
  >()
  let whole = true
  return {
    take({ view: { event, atMs }, inside, key, at }) {
      if (event.kind !== 'policy' || !inside) return
      const body = event as unknown as Json
      const action = textAt(body, 'action')
      const [bundle, sha256] = [textAt(body, 'bundle'), textAt(body, 'sha256')]
      if ((action !== 'published' && action !== 'activated') || !bundle || !sha256) return
      const name = `${bundle} ${sha256}`
      if (changes.has(name)) return
      if (changes.size >= 100_000) whole = false
      else changes.set(name, { bundle, revision: textAt(body, 'revision') ?? '', sha256, atMs, seen: { key, at } })
    },
    finish: ({ declared }: Ending) => {
      const [good, bad] = [new Count(), new Count(10)]
      let unnamed = 0
      for (const { bundle, revision, sha256, atMs, seen } of changes.values()) {
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
        ;(approved ? good : bad).add(seen.key, seen.at, `${bundle} ${revision}`)
      }
      return {
        values: { changes: changes.size, approved: good.count, unapproved: bad.count, undeclared: unnamed, whole },
        tallies: { unapproved: bad.finish(), approved: good.finish() },
      }
    },
  }
}
