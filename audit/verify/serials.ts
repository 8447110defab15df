/** Certificates seen in traffic against certificates issued. What is not in the log may have been issued before it. */

import type { AuditEvent, DecisionBody, IssuanceBody } from '../../core/record.ts'
import { memberNumbers as at, isText, sumAt, textAt } from '../log/scan.ts'
import type { Findings } from './finding.ts'

/** Serials held; beyond it the comparison says that it is not whole. */
const maxSerials = 100_000

export interface SerialSummary {
  readonly seen: number
  readonly issued: number
  /** Seen, and not issued by what this log holds. */
  readonly unknown: readonly string[]
  /** False where there were more than could be held. */
  readonly whole: boolean
}

/** What a `SerialReader` knows, as JSON. */
export interface SavedSerials {
  readonly seen: readonly (readonly [string, { readonly shard: number; readonly index: number }])[]
  readonly issued: readonly string[]
  readonly whole: boolean
}

export class SerialReader {
  readonly #seen = new Map<string, { readonly shard: number; readonly index: number }>()
  readonly #issued = new Set<string>()
  #whole = true
  /** Of those seen, by `sumAt`, the one that was scanned last. */
  readonly #scanned = new Map<number, string>()

  save(): SavedSerials {
    return { seen: [...this.#seen], issued: [...this.#issued], whole: this.#whole }
  }

  load({ seen, issued, whole }: SavedSerials): void {
    for (const [serial, place] of seen) this.#seen.set(serial, place)
    for (const serial of issued) this.#issued.add(serial)
    this.#whole = whole
  }

  take(event: AuditEvent, shard: number, index: number): void {
    if (event.kind === 'issuance') {
      const { action, serial } = event as AuditEvent<IssuanceBody>
      if ((action === 'issued' || action === 'renewed') && typeof serial === 'string') {
        if (this.#issued.size < maxSerials) this.#issued.add(serial)
        else this.#whole = false
      }
    }
    if (event.kind !== 'decision') return
    const peer = (event as AuditEvent<DecisionBody>).peer
    if (peer?.proof !== 'x509' || typeof peer.serial !== 'string' || this.#seen.has(peer.serial)) return
    if (this.#seen.size < maxSerials) this.#seen.set(peer.serial, { shard, index })
    else this.#whole = false
  }

  /** Whether so many more can be held, of both sorts. */
  hasRoomFor(count: number): boolean {
    return this.#seen.size + count <= maxSerials
  }

  /** Whether the serial number of the record that was scanned was seen before, so that seeing it again changes nothing. */
  knowsScanned(bytes: Uint8Array): boolean {
    const sum = sumAt(bytes, at.serial)
    const last = this.#scanned.get(sum)
    if (last !== undefined && isText(bytes, at.serial, last)) return true
    const serial = textAt(bytes, at.serial)
    if (serial === undefined || !this.#seen.has(serial)) return serial === undefined
    this.#scanned.set(sum, serial)
    return true
  }

  finish(findings: Findings): SerialSummary {
    const unknown = [...this.#seen].filter(([serial]) => !this.#issued.has(serial))
    for (const [serial, place] of unknown.slice(0, 20)) {
      const what = `certificate ${serial} is first seen here, and its issuance is not in this log`
      findings.add({ level: 'note', code: 'serial_unknown', ...place, what })
    }
    return {
      seen: this.#seen.size,
      issued: this.#issued.size,
      unknown: unknown.map(([serial]) => serial).slice(0, 1000),
      whole: this.#whole,
    }
  }
}
