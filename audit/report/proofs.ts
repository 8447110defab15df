/** Sampled records with their proofs, under the checkpoints that a report names. */

import type { ComplianceReport } from '../../core/compliance.ts'
import { WritError } from '../../core/fault.ts'
import type { Sha256 } from '../../core/ports.ts'
import type { Proven } from '../evidence/evidence.ts'
import { leafHash } from '../log/merkle.ts'
import type { Ed25519Verify, NoteKey } from '../log/note.ts'
import { entryAt, newestCheckpoint, receiptFor, receiptInLog, witnessedFile } from '../log/prove.ts'
import { verifyReceipt } from '../log/receipt.ts'
import type { TreeSource } from '../verify/tree.ts'
import { pinSources } from './pinned.ts'

export interface ProofParts {
  readonly sources: readonly TreeSource[]
  readonly key: NoteKey
  readonly formerKeys?: readonly NoteKey[]
  readonly verifyNote: Ed25519Verify
  readonly sha256: Sha256
}

/** Each once. Throws `log_invalid` where a proof does not hold. */
export async function provenSamples(report: ComplianceReport, parts: ProofParts): Promise<readonly Proven[]> {
  const sources = await pinSources(parts.sources, report.checkpoints)
  const proven = new Map<string, Proven>()
  for (const { shard, index, id } of report.checks.flatMap(({ sample }) => sample)) {
    const source = sources.find((one) => one.shard === shard)
    if (id === '' || proven.has(id) || !source?.checkpoint) continue
    const leaf = await entryAt(source.read, index, source.checkpoint.size)
    // Under the witnessed checkpoint, where it covers the leaf: that is the one others have seen too.
    const witnessed = await newestCheckpoint(source.read, witnessedFile)
    const receipt =
      witnessed && witnessed.checkpoint.size > index
        ? await receiptFor(source.read, index, parts.sha256, witnessedFile)
        : await receiptInLog(source.read, index, parts.sha256)
    const keys = [parts.key, ...(parts.formerKeys ?? [])]
    const verified =
      receipt && (await verifyReceipt(receipt, leafHash(parts.sha256, leaf), keys, parts.sha256, parts.verifyNote))
    if (!verified?.ok) {
      throw new WritError('log_invalid', `the proof of ${id} does not hold: ${verified?.detail ?? 'there is none'}`, {
        cure: 'run `writ audit verify`, which names everything that is broken',
      })
    }
    proven.set(id, { id, shard, leaf, receipt: receipt! })
  }
  return [...proven.values()]
}
