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
  /** Newest checkpoints, by shard, and the newest of each that witnesses cosigned. */
  readonly checkpoints: readonly { readonly shard: number; readonly note: string; readonly witnessed?: string }[]
  /** Text of the policy that says whose cosignatures are asked for (C2SP tlog-policy). */
  readonly policy?: string
  /** Time stamps with the checkpoints that they are of, by their path: `0/000001.tsr`. */
  readonly timestamps?: ReadonlyMap<string, Uint8Array>
  /** Proofs that the newest checkpoint extends a witnessed or a stamped one, by their path: `timestamps/0/000001.consistency`. */
  readonly extensions?: ReadonlyMap<string, string>
}

/** Files by their path. The same records, checkpoints and key give the same bytes. */
export function evidenceFiles(records: readonly Proven[], notes: EvidenceNotes): ReadonlyMap<string, Uint8Array> {
  const files = new Map<string, string | Uint8Array>(Object.entries(checker))
  files.set('log.pub', `${notes.verifierKey}\n`)
  for (const { shard, note, witnessed } of notes.checkpoints) {
    files.set(`checkpoints/${shard}`, note)
    if (witnessed !== undefined) files.set(`checkpoints/${shard}.witnessed`, witnessed)
  }
  for (const [path, text] of notes.extensions ?? []) files.set(path, text)
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
  { asked, verifierKey, policy, timestamps, checkpoints, extensions }: EvidenceNotes,
): string => `# Evidence: ${count} records of a log

Asked for: ${asked}

- \`records/<id>.json\`: a record, byte for byte as its producer wrote it. These bytes are the leaf of the log.
- \`records/<id>.tlog-proof\`: proof that the leaf is in the log (c2sp.org/tlog-proof@v1), with a signed checkpoint.
- \`checkpoints/<shard>\`: the newest signed checkpoint of each log (c2sp.org/tlog-checkpoint).
- \`log.pub\`: the key that checkpoints are signed with:
  \`${verifierKey}\`
- \`check.sh\`: checks all of it with Go and golang.org/x/mod, without the program that made this folder.
${policy === undefined ? '' : witnessText}${checkpoints.some(({ witnessed }) => witnessed !== undefined) ? witnessedText : ''}${timestamps?.size ? timestampText : ''}${extensions?.size ? extensionText : ''}
Where personal fields of a record were sealed, it has digests in their place, and \`check.sh\` names them as withheld: the
leaf of the log has the digests too, so the proof holds, and what they are of is not here.

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

const witnessedText = `- \`checkpoints/<shard>.witnessed\`: the newest checkpoint that its quorum of witnesses cosigned. Records that it covers are
  proven under it.
`

const extensionText = `- \`*.consistency\`: proof that \`checkpoints/<shard>\` extends the checkpoint beside it (RFC 6962, in the form of
  c2sp.org/tlog-witness): nothing that was there when others saw the log was changed since.
`

const witnessCommand = `
    sh check.sh '<verifier key>' '<policy file that you were given>'

With a policy given, a record whose checkpoint lacks the quorum is wrong; without, it is only said.`
