/** A folder of evidence: records as they are in the log, the proof of each, the log's key, and a program that checks them. */

import { utf8 } from '../../core/bytes.ts'
import type { Receipt } from '../../core/log.ts'
import { formatReceipt } from '../log/receipt.ts'
import { checker } from './checker.ts'

export interface Proven {
  /** `epoch-seq`. */
  readonly id: string
  readonly shard: number
  /** The producer's bytes, verbatim. */
  readonly leaf: Uint8Array
  readonly receipt: Receipt
}

export interface EvidenceNotes {
  /** Verifier key of the log (C2SP signed-note). */
  readonly verifierKey: string
  /** What was asked for, in words. */
  readonly asked: string
  /** Newest checkpoints, by shard. */
  readonly checkpoints: readonly { readonly shard: number; readonly note: string }[]
  /** Text of the policy that says whose cosignatures are asked for (C2SP tlog-policy). */
  readonly policy?: string
  /** Time stamps with the checkpoints that they are of, by their path: `0/000001.tsr`. */
  readonly timestamps?: ReadonlyMap<string, Uint8Array>
}

/** Files by their path. The same records, checkpoints and key give the same bytes. */
export function evidenceFiles(records: readonly Proven[], notes: EvidenceNotes): ReadonlyMap<string, Uint8Array> {
  const files = new Map<string, string | Uint8Array>(Object.entries(checker))
  files.set('log.pub', `${notes.verifierKey}\n`)
  for (const { shard, note } of notes.checkpoints) files.set(`checkpoints/${shard}`, note)
  if (notes.policy !== undefined) files.set('witness.policy', notes.policy)
  for (const [path, content] of notes.timestamps ?? []) files.set(`timestamps/${path}`, content)
  for (const { id, leaf, receipt } of records) {
    files.set(`records/${id}.json`, leaf)
    files.set(`records/${id}.tlog-proof`, formatReceipt(receipt))
  }
  files.set('README.md', readme(records.length, notes))
  const bytes = [...files].map(
    ([path, content]) => [path, typeof content === 'string' ? utf8(content) : content] as const,
  )
  return new Map(bytes.sort(([a], [b]) => (a < b ? -1 : 1)))
}

const readme = (
  count: number,
  { asked, verifierKey, policy, timestamps }: EvidenceNotes,
): string => `# Evidence: ${count} records of a log

Asked for: ${asked}

- \`records/<id>.json\`: a record, byte for byte as its producer wrote it. These bytes are the leaf of the log.
- \`records/<id>.tlog-proof\`: proof that the leaf is in the log (c2sp.org/tlog-proof@v1), with a signed checkpoint.
- \`checkpoints/<shard>\`: the newest signed checkpoint of each log (c2sp.org/tlog-checkpoint).
- \`log.pub\`: the key that checkpoints are signed with:
  \`${verifierKey}\`
- \`check.sh\`: checks all of it with Go and golang.org/x/mod, without the program that made this folder.
${policy === undefined ? '' : witnessText}${timestamps?.size ? timestampText : ''}
    sh check.sh '<verifier key that you were given by somebody you trust>'${policy === undefined ? '' : witnessCommand}

What it shows: each record is in the log that this key signs, at this place, with these bytes. What it does not show: that
the records are all there are of their kind, which takes the whole log (\`writ audit verify\`).
`

const witnessText = `- \`witness.policy\`: whose cosignatures a checkpoint is to have (c2sp.org/tlog-policy). As it lies here it says what the
  log's operator asks for; from somebody you trust it says what you ask for.
`

const timestampText = `- \`timestamps/<shard>/<n>.tsr\`: what a time stamp authority said of the checkpoint beside it, \`<n>.note\` (RFC 3161).
  check.sh has openssl verify them when the authority's certificate is in TSA_CA.
`

const witnessCommand = `
    sh check.sh '<verifier key>' '<policy file that you were given>'

With a policy given, a record whose checkpoint lacks the quorum is wrong; without, it is only said.`
