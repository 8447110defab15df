/**
 * The newest records of a spool, in memory beside the disk, so that a pump at its end need not read back what was just
 * written. Whoever lags, comes back or begins anew reads the disk: here is only what is there as well.
 */

import type { Epoch } from '../../core/record.ts'
import type { SpiffeId } from '../../core/spiffe.ts'
import type { SealedRecord } from '../stream/producer.ts'

/** What one write put into a segment, from the end before to the end after it. */
export interface Written {
  readonly segment: number
  readonly from: number
  readonly to: number
  readonly records: readonly { readonly channel: WrittenChannel; readonly record: SealedRecord }[]
  /** Where the frame of each record begins. */
  readonly begins: readonly number[]
}

/** What of a channel stays as it is. */
interface WrittenChannel {
  readonly number: number
  readonly producer: SpiffeId
  readonly epoch: Epoch
}

export class SpoolTail {
  readonly #maxBytes: number
  #writes: Written[] = []
  #bytes = 0

  /** Of more than `maxBytes` the oldest are forgotten. */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  add(written: Written): void {
    this.#writes.push(written)
    this.#bytes += sizeOf(written)
    let gone = 0
    while (this.#bytes > this.#maxBytes) this.#bytes -= sizeOf(this.#writes[gone++]!)
    if (gone > 0) this.#writes.splice(0, gone)
  }

  /** The write that `at` lies in, where all of it lies before `to`. It and those before it are forgotten. */
  take(segment: number, at: number, to: number): Written | undefined {
    let first = this.#writes[0]
    while (first && (first.segment < segment || (first.segment === segment && first.to <= at))) first = this.#next()
    if (!first || first.segment !== segment || first.from > at || first.to > to) return undefined
    this.#next()
    return first
  }

  /** Where what is here of a segment begins after `at`; infinite where nothing does. */
  begins(segment: number, at: number): number {
    const first = this.#writes[0]
    return first?.segment === segment && first.from > at ? first.from : Number.POSITIVE_INFINITY
  }

  clear(): void {
    this.#writes = []
    this.#bytes = 0
  }

  /** Forgets the first and gives the one after it. */
  #next(): Written | undefined {
    const gone = this.#writes.shift()
    if (gone) this.#bytes -= sizeOf(gone)
    return this.#writes[0]
  }
}

const sizeOf = ({ from, to }: Written): number => to - from
