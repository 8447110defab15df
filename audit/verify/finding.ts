/** What a verification finds: a closed list of codes, each finding with the place it is about. */

import type { Epoch } from '../../core/record.ts'
import { decisionId } from '../../core/record.ts'

/** `broken`: the log is not what it claims. `warning`: not proven yet, or loss that the log admits. `note`: for reading. */
export type FindingLevel = 'broken' | 'warning' | 'note'

export type FindingCode =
  // The tree
  | 'checkpoint_missing'
  | 'checkpoint_invalid' // Form, origin or signature.
  | 'checkpoint_forked' // An earlier checkpoint that this log does not extend.
  | 'cosignature_invalid' // In the name of a witness that the policy knows, and not its signature.
  | 'quorum_missing' // No checkpoint has the cosignatures that the policy asks for.
  | 'unwitnessed' // The newest leaves, which no quorum has cosigned yet.
  | 'timestamp_invalid' // A time stamp that is not of its checkpoint, or does not hold.
  | 'log_unchained' // A log that was ended or followed another, and does not say so in both places.
  | 'log_lost' // What a log that was opened after a loss says of the one before.
  | 'pruned' // Entries that were taken away for their age, as the log says.
  | 'pruned_unsaid' // Entries that are gone without a word.
  | 'root_mismatch' // The tiles do not hash to the signed root.
  | 'tile_missing'
  | 'tile_invalid' // Not as long as its size says.
  | 'tile_mismatch' // Not what its parent says.
  | 'entries_missing'
  | 'leaf_missing'
  | 'leaf_mismatch' // Does not hash to what its tile says.
  // The records
  | 'record_invalid' // Not a record of ours, nor kept as an anomaly.
  | 'anomaly' // What the auditor kept as evidence.
  | 'forbidden_kind' // A kind that this producer may not write.
  | 'forbidden_workload' // A decision in the name of another workload.
  | 'trial_wrong' // Said to have changed nothing, without the decision that was enforced.
  | 'epoch_moved' // One epoch under two producers or in two shards.
  | 'number_repeated'
  | 'chain_broken' // `prev` is not the hash of the record before.
  | 'hole' // Numbers missing that no gap entry names.
  | 'gap_open' // Numbers missing, and the log says so.
  | 'gap_wrong' // A gap entry that does not fit the records.
  | 'head_invalid' // Signature, signer or chain.
  | 'head_counts' // Totals that are not what was counted.
  | 'after_final' // Records after the head that ended their epoch.
  | 'start_misquoted' // The former epoch did not end as its successor says.
  | 'spool_lost' // A run that did not end, and a later start that quotes none: what it had not sent is gone.
  | 'unattested' // Records that no signed head covers.
  | 'suppressed' // Decisions that their producer counted, and could not record.
  | 'dropped' // Decisions that a drop rule of their policy left out, and their producer counted.
  | 'one_sided_call' // A call that one side recorded and the other did not.
  | 'trust_unproven' // Roots announced by nobody we have reason to believe.
  | 'serial_unknown' // Certificates in traffic whose issuance is not in the log.
  | 'too_many' // More than this verification can hold.
  // The archive
  | 'archive_missing' // Entries that no file has, or a file that is gone.
  | 'archive_invalid' // Not the file that was written, or none that can be read.
  // The tables
  | 'row_missing'
  | 'row_extra'
  | 'row_differs'

export interface Finding {
  readonly level: FindingLevel
  readonly code: FindingCode
  readonly shard: number
  /** Leaf index in the shard. */
  readonly index?: number
  /** `epoch-seq` of the record. */
  readonly id?: string
  readonly what: string
}

/** Findings kept; more are counted. A log that is broken everywhere does not fill the memory. */
export const maxFindings = 1000

export class Findings {
  readonly list: Finding[] = []
  /** How many did not fit. */
  omitted: number = 0
  broken: number = 0

  add(finding: Finding): void {
    if (finding.level === 'broken') this.broken++
    if (this.list.length < maxFindings) this.list.push(finding)
    else this.omitted++
  }

  /** What another list has. */
  take(other: Findings): void {
    const { broken, omitted } = this
    for (const finding of other.list) this.add(finding)
    this.broken = broken + other.broken
    this.omitted = Math.max(this.omitted, omitted) + other.omitted
  }

  copy(): Findings {
    const copy = new Findings()
    copy.list.push(...this.list)
    copy.omitted = this.omitted
    copy.broken = this.broken
    return copy
  }
}

export const recordId = (epoch: string, seq: number): string => decisionId({ epoch: epoch as Epoch, seq })

/** `17`, or `17 to 20`. */
export const span = (first: number, last: number): string => (first === last ? `${first}` : `${first} to ${last}`)

export const plural = (count: number, one: string, many: string = `${one}s`): string =>
  `${count} ${count === 1 ? one : many}`
