/** The log as strangers see it: C2SP signed checkpoints over RFC 6962 trees. How one is kept is audit/'s business. */

export interface LogEntry {
  readonly index: number
  /** The producer's bytes, verbatim. */
  readonly bytes: Uint8Array
}

/** C2SP tlog-checkpoint: origin, size, root. */
export interface Checkpoint {
  /** `bank.example/audit/0`: trust domain, then the stream's partition. A log that followed it is `bank.example/audit/0/2`. */
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

/**
 * A shard is one log. The first of a partition has the partition's number; one that was opened in its place, after a loss
 * that nothing could replay, has so much more than the one before.
 */
export const logStride = 100_000
/** Logs of one partition at most. */
export const maxGenerations = 10

export const partitionOf = (shard: number): number => shard % logStride
/** 1 for the first log of a partition. */
export const generationOf = (shard: number): number => Math.floor(shard / logStride) + 1

const originEnd = (shard: number): string =>
  generationOf(shard) === 1 ? `/audit/${shard}` : `/audit/${partitionOf(shard)}/${generationOf(shard)}`

/** Origin of a shard's log. */
export const originOf = (trustDomain: string, shard: number): string => `${trustDomain}${originEnd(shard)}`
export const isOriginOf = (origin: string, shard: number): boolean => origin.endsWith(originEnd(shard))

/** Of the log that follows this one, should it ever be lost; undefined where no log can follow. */
export function successorOf(origin: string): string | undefined {
  const [, first, generation] = /^(.+\/audit\/\d{1,5})(?:\/(\d{1,2}))?$/.exec(origin) ?? []
  return first === undefined ? undefined : `${first}/${Number(generation ?? 1) + 1}`
}

/** Of what is left of a log that another one follows: a tree of its own, which no earlier signature speaks of. */
export const keptOriginOf = (origin: string): string => `${origin}/kept`
