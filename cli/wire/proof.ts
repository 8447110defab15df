/** Records of a log with their proofs: where they are is asked, the proof is read from the log's files and checked. */

import type { Proven } from '../../audit/evidence/evidence.ts'
import { parseCheckpoint } from '../../audit/log/checkpoint.ts'
import { leafHash } from '../../audit/log/merkle.ts'
import { parseNote } from '../../audit/log/note.ts'
import { entryAt, newestCheckpoint, receiptFor, receiptInLog, witnessedFile } from '../../audit/log/prove.ts'
import { verifyReceipt } from '../../audit/log/receipt.ts'
import { verifyEd25519 } from '../../audit/node/ed25519.ts'
import type { LogPlace } from '../../audit/node/examine.ts'
import { sourcesIn } from '../../audit/node/logfolder.ts'
import { WritError } from '../../core/fault.ts'
import { isObject } from '../../core/json.ts'
import { decisionId, parseDecisionId, parseEvent } from '../../core/record.ts'
import { askRunning } from '../ask.ts'
import type { PlaceOptions } from '../place.ts'

/** Where an entry stands: its shard's log, and its index there. */
export interface Located {
  readonly id: string
  readonly shard: number
  readonly index: number
}

/** Throws `usage` and `not_found`. */
export async function locate(id: string, options: Pick<PlaceOptions, 'state' | 'database'>): Promise<Located> {
  const parsed = parseDecisionId(id)
  if (!parsed) {
    throw new WritError('usage', `${JSON.stringify(id)} is no id of a record`, {
      cure: 'ids are printed by `writ audit query`, and look like 0123456789abcdef01234567-17',
    })
  }
  if (options.database === undefined) {
    const answer = await askRunning(options.state, `/v1/audit/record/${id}`)
    const { shard, index } = isObject(answer) ? answer : {}
    if (typeof shard === 'number' && typeof index === 'number') return { id, shard, index }
  }
  const [{ findLeaf }, { openStoreOf }] = await Promise.all([
    import('../../audit/query/node/leaf.ts'),
    import('../place.ts'),
  ])
  const store = await openStoreOf(options)
  try {
    const leaf = await findLeaf(store.db, parsed)
    if (!leaf)
      throw new WritError('not_found', `no record ${id} in this log`, { cure: 'a new record takes a moment to arrive' })
    return { id, shard: leaf.shard, index: leaf.index }
  } finally {
    await store.close()
  }
}

/**
 * The entry and its proof, which holds by the place's key. Throws `unavailable` while no checkpoint covers it, and
 * `log_invalid` where files are missing, the proof does not hold, or another record stands there.
 */
export async function proveEntry({ id, shard, index }: Located, { dir, key, sha256 }: LogPlace): Promise<Proven> {
  const source = (await sourcesIn(dir)).find((one) => one.shard === shard)
  // Under the witnessed checkpoint, where it covers the entry: that is the one others have seen too.
  const witnessed = source && (await newestCheckpoint(source.read, witnessedFile))
  const seen = witnessed && witnessed.checkpoint.size > index
  const receipt =
    source &&
    (await (seen ? receiptFor(source.read, index, sha256, witnessedFile) : receiptInLog(source.read, index, sha256)))
  const under = receipt && parseCheckpoint(parseNote(receipt.note)?.text ?? '')
  if (!source || !receipt || !under) {
    throw new WritError('unavailable', `no checkpoint in ${dir} covers leaf ${index} of log ${shard} yet`, {
      cure: 'one is signed each second while the auditor runs; try again, or give the log’s folder with --log',
    })
  }
  const leaf = await entryAt(source.read, index, under.size)
  const read = parseEvent(leaf)
  const found = 'event' in read ? decisionId(read.event) : 'no record'
  if (found !== id) throw broken(`leaf ${index} of log ${shard} is ${found}, where the tables have ${id}`)
  const verified = await verifyReceipt(receipt, leafHash(sha256, leaf), [key], sha256, verifyEd25519)
  if (!verified.ok) throw broken(`the proof of ${id} does not hold: ${verified.detail}`)
  return { id, shard, leaf, receipt }
}

const broken = (why: string): WritError =>
  new WritError('log_invalid', why, { cure: 'run `writ audit verify`, which names everything that is broken' })
