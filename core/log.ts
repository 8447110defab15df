/** The log as strangers see it: C2SP signed checkpoints over RFC 6962 trees. How one is kept is audit/'s business. */

export interface LogEntry {
  readonly index: number
  /** The producer's bytes, verbatim. */
  readonly bytes: Uint8Array
}

/** C2SP tlog-checkpoint: origin, size, root. */
export interface Checkpoint {
  /** `bank.example/audit/0`: trust domain, then the shard, which is the stream's partition. */
  readonly origin: string
  readonly size: number
  readonly root: Uint8Array
}

/** A checkpoint as a C2SP signed note, and what it says. */
export interface SignedCheckpoint {
  readonly checkpoint: Checkpoint
  readonly note: string
}

/** Proof that a record is in the log: its index, the path to the root, and the checkpoint. */
export interface Receipt {
  readonly index: number
  readonly path: readonly Uint8Array[]
  readonly note: string
}

/** Origin of a shard's log. */
export const originOf = (trustDomain: string, shard: number): string => `${trustDomain}/audit/${shard}`
