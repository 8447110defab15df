/**
 * Roots as they become known while a log is read for the first and only time. A head that some roots vouched for is
 * vouched for by more of them too; where one was refused, or its roots were not in force after all, the log has to be
 * read again with all of them known before.
 */

import { toHex } from '../../core/bytes.ts'
import type { Sha256, VerifyHead } from '../../core/ports.ts'
import type { AuditEvent } from '../../core/record.ts'
import { trustDomainOf } from '../../core/spiffe.ts'
import type { Findings } from './finding.ts'
import {
  mayAnnounceTrust,
  overlapMs,
  rootsAt,
  rootsFinder,
  type SavedTrust,
  type TrustPeriod,
  TrustReader,
} from './trust.ts'

/** Times for which the same roots were given. */
interface Answer {
  readonly trustDomain: string
  readonly roots: readonly string[]
  fromMs: number
  toMs: number
}

/** What a `RootsReader` knows, as JSON. */
export interface SavedRoots {
  readonly trust: SavedTrust
  readonly answers: readonly Answer[]
}

export class RootsReader {
  readonly #trust: TrustReader
  readonly #answers = new Map<string, Answer>()
  /** By trust domain, the answer that was given last. */
  readonly #last = new Map<string, { readonly found: readonly Uint8Array[]; readonly answer: Answer }>()
  readonly #find: ReturnType<typeof rootsFinder>
  /** What may still be announced without a second reading; undefined where anything may. */
  #announced: string | undefined
  #refused = false
  readonly #verifyHead: VerifyHead

  constructor(verifyHead: VerifyHead, sha256: Sha256) {
    this.#verifyHead = verifyHead
    this.#trust = new TrustReader(verifyHead, sha256)
    this.#find = rootsFinder(this.#trust.periods)
  }

  save(): SavedRoots {
    return { trust: this.#trust.save(), answers: [...this.#answers.values()] }
  }

  load({ trust, answers }: SavedRoots): void {
    this.#trust.load(trust)
    for (const answer of answers) this.#answers.set(`${answer.trustDomain} ${answer.roots.join(' ')}`, { ...answer })
  }

  get periods(): readonly TrustPeriod[] {
    return this.#trust.periods
  }

  /** Every leaf's event once, in order; those of others than the control plane may be left out. */
  take(event: AuditEvent, shard: number, index: number): void {
    if (mayAnnounceTrust(event.producer)) this.#trust.take(event, shard, index)
  }

  /** From here on the shards are read one after the other: in another order, others might be believed first. */
  fix(): void {
    this.#announced = this.#state()
  }

  rootsFor(producer: AuditEvent['producer'], atMs: number): readonly Uint8Array[] {
    const trustDomain = trustDomainOf(producer)
    const found = this.#find(trustDomain, atMs)
    if (found.length === 0) this.#refused = true
    const answer = this.#answerOf(trustDomain, found, atMs)
    answer.fromMs = Math.min(answer.fromMs, atMs)
    answer.toMs = Math.max(answer.toMs, atMs)
    return found
  }

  #answerOf(trustDomain: string, found: readonly Uint8Array[], atMs: number): Answer {
    const last = this.#last.get(trustDomain)
    if (last?.found === found) return last.answer
    const roots = found.map(toHex)
    const key = `${trustDomain} ${roots.join(' ')}`
    const answer = this.#answers.get(key) ?? { trustDomain, roots, fromMs: atMs, toMs: atMs }
    this.#answers.set(key, answer)
    this.#last.set(trustDomain, { found, answer })
    return answer
  }

  verifyHead(head: Parameters<VerifyHead>[0]): ReturnType<VerifyHead> {
    const answer = this.#verifyHead(head)
    if (!answer.ok) this.#refused = true
    return answer
  }

  /** A head was refused that roots to come may vouch for: there is no use in reading on. */
  get isLost(): boolean {
    return this.#refused
  }

  /** Whether every head that was vouched for still is, by all that is known now. */
  holds(): boolean {
    if (this.#refused || (this.#announced !== undefined && this.#announced !== this.#state())) return false
    const changes = this.periods.flatMap(({ fromMs }) => [fromMs - overlapMs, fromMs + overlapMs])
    return [...this.#answers.values()].every(({ trustDomain, roots, fromMs, toMs }) => {
      const within = changes.flatMap((ms) => [ms - 1, ms, ms + 1]).filter((ms) => fromMs < ms && ms < toMs)
      return [fromMs, toMs, ...within].every((ms) => {
        const known = new Set(rootsAt(this.periods, trustDomain, ms).map(toHex))
        return roots.every((root) => known.has(root))
      })
    })
  }

  /** Names what was announced and never proven. */
  finish(findings: Findings): void {
    this.#trust.finish(findings)
  }

  #state(): string {
    return `${this.periods.length} ${this.#trust.waiting}`
  }
}
