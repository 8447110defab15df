/** What the way from a record to the stream tells its operator. The shell turns notices into telemetry. */

export type NoticeName =
  | 'spool_cut' // A torn or damaged end of a segment was cut off when the spool was opened.
  | 'spool_damaged' // Bytes that were kept cannot be read back.
  | 'spool_unavailable' // Records are refused from now on: full, unwritable, deleted or replaced.
  | 'spool_available' // Records are kept again.
  | 'spool_small' // It does not hold four hours of what is to be expected.
  | 'spool_filling' // Three quarters of it are held.
  | 'disk_small' // The disk has less room than the spool may come to need.
  | 'spool_lock_taken' // The folder's lock was left by a process that is dead.
  | 'suppressed_untold' // A producer ended, and no record tells of decisions that could not be recorded.
  | 'vault_unavailable' // Keys of disclosures do not reach who keeps them.
  | 'head_unsigned' // A head is due and cannot be signed.
  | 'epoch_unclean' // A producer ended without its final head.
  | 'stream_failed' // A batch was not accepted; it is tried again.
  | 'stream_recovered' // A batch was accepted after failures.
  | 'receipt_invalid' // A receipt that does not prove its record; the segment is kept.
  | 'receipt_unavailable' // Receipts cannot be asked for; nothing is released meanwhile.
  | 'segment_resent' // Records the stream had accepted are still not in the log; they are sent again.
  | 'ingest_failed' // A batch was not stored; it is tried again.
  | 'ingest_fenced' // Another owner has the partition.
  | 'kafka' // What the Kafka client says about itself.

export interface Notice {
  readonly name: NoticeName
  readonly level: 'info' | 'warn' | 'error'
  readonly detail: string
}

export type OnNotice = (notice: Notice) => void
