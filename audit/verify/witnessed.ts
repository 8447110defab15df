/** Which checkpoints of a shard the witnesses of a policy have cosigned: what shows that others saw the same log. */

import { type CosignerKey, cosignaturesOf } from '../log/cosignature.ts'
import type { Ed25519Verify } from '../log/note.ts'
import { type LogPolicy, meetsQuorum, witnessKeys } from '../log/policy.ts'
import type { Findings } from './finding.ts'
import type { OpenedCheckpoint } from './tree.ts'

/** The newest checkpoint that met the quorum. */
export interface Witnessed {
  readonly size: number
  readonly by: readonly { readonly witness: string; readonly time: number }[]
}

/** One checkpoint that was looked at. */
export interface CheckpointWord {
  readonly size: number
  readonly met: boolean
  /** Witnesses of the policy whose cosignature holds. */
  readonly by: readonly string[]
}

export interface WitnessedSummary {
  /** Undefined where none met the quorum. */
  readonly newest: Witnessed | undefined
  /** How many of the checkpoints that were looked at met it. */
  readonly count: number
  /** Sizes of the largest of them, at most `maxSizes`, the largest first. */
  readonly sizes: readonly number[]
  /** How many were looked at, whether they met it or not. */
  readonly looked: number
  /** The largest of those, at most `maxSizes`, the largest first. */
  readonly checkpoints: readonly CheckpointWord[]
}

/** A log keeps a checkpoint for each second that it grew in. */
const maxSizes = 100

export class WitnessedReader {
  readonly #policy: LogPolicy
  readonly #keys: readonly CosignerKey[]
  readonly #verify: Ed25519Verify
  readonly #findings: Findings
  readonly #shard: number
  #count = 0
  #sizes: readonly number[] = []
  #looked = 0
  #words: readonly CheckpointWord[] = []
  #newest: Witnessed | undefined

  constructor(policy: LogPolicy, shard: number, verify: Ed25519Verify, findings: Findings) {
    this.#policy = policy
    this.#keys = witnessKeys(policy)
    this.#shard = shard
    this.#verify = verify
    this.#findings = findings
  }

  /** A checkpoint that this log was found to extend, or is. */
  async take({ note, size }: OpenedCheckpoint): Promise<void> {
    const read = await cosignaturesOf(note, this.#keys, this.#verify)
    if (!read.ok) {
      const what = `the checkpoint over ${size} leaves: ${read.detail}`
      this.#findings.add({ level: 'broken', code: 'cosignature_invalid', shard: this.#shard, what })
      this.#tell({ size, met: false, by: [] })
      return
    }
    const cosigned = read.cosignatures.map(({ key }) => key)
    const met = meetsQuorum(this.#policy, cosigned)
    this.#tell({ size, met, by: cosigned.map(({ cosigner }) => cosigner) })
    if (!met) return
    if (this.#sizes.includes(size)) return
    this.#count++
    this.#sizes = [...this.#sizes, size].sort((a, b) => b - a).slice(0, maxSizes)
    if (this.#newest && this.#newest.size > size) return
    this.#newest = { size, by: read.cosignatures.map(({ key, time }) => ({ witness: key.cosigner, time })) }
  }

  /** The same checkpoint comes with and without its cosignatures, from the folder and from elsewhere. */
  #tell(word: CheckpointWord): void {
    const known = this.#words.find(({ size }) => size === word.size)
    if (!known) this.#looked++
    else if (known.met || known.by.length > word.by.length) return
    const others = this.#words.filter(({ size }) => size !== word.size)
    this.#words = [...others, word].sort((a, b) => b.size - a.size).slice(0, maxSizes)
  }

  /** What no quorum vouches for is said: all of the log, or its end. */
  finish(size: number): WitnessedSummary {
    const newest = this.#newest
    const add = (level: 'broken' | 'note', code: 'quorum_missing' | 'unwitnessed', what: string): void =>
      this.#findings.add({ level, code, shard: this.#shard, what })
    if (!newest)
      add('broken', 'quorum_missing', 'no checkpoint of this log has the cosignatures that the policy asks for')
    else if (newest.size < size) {
      add('note', 'unwitnessed', `the last ${size - newest.size} leaves are under no checkpoint with a quorum yet`)
    }
    return { newest, count: this.#count, sizes: this.#sizes, looked: this.#looked, checkpoints: this.#words }
  }
}
