/** A verification as people read it: what was verified, then what was found, the gravest first. */

import { type Finding, plural } from './finding.ts'
import type { ShardSummary, Verification } from './verify.ts'

/** Findings of each level that are printed; JSON has the others. */
const maxLines = 50

export function formatVerification(
  verification: Verification,
  compared?: { readonly leaves: number; readonly outcomes: number },
  archived?: { readonly files: number; readonly leaves: number },
): string {
  const { shards, epochs, trust, findings } = verification
  const leaves = shards.reduce((sum, { size }) => sum + size, 0)
  const lines = [
    verification.ok ? 'verified' : 'BROKEN',
    ...shards.map(({ origin, size, root }) => `  ${origin}: ${plural(size, 'leaf', 'leaves')}, root ${root}`),
    `  key ${verification.verifierKey}`,
    `  ${plural(leaves, 'leaf', 'leaves')} in ${plural(epochs.length, 'epoch')}: ${kindsText(verification)}`,
    ...witnessLines(shards),
    ...trust.roots.map(
      ({ trustDomain, sha256 }) =>
        `  roots of ${trustDomain} ${trust.from === 'pinned' ? 'given' : 'as the log itself announces them'}: ${sha256.join(' ')}`,
    ),
  ]
  const kept = shards.reduce((sum, shard) => sum + shard.kept, 0)
  if (compared) {
    lines.push(
      `  compared with the tables: ${plural(compared.leaves, 'leaf', 'leaves')}, ${plural(compared.outcomes, 'outcome')}`,
    )
  }
  if (archived) {
    lines.push(
      `  archive: ${plural(archived.leaves, 'leaf', 'leaves')} in ${plural(archived.files, 'file')} hashed again`,
    )
  }
  if (compared || kept > 0) lines.push(`  ${plural(kept, 'kept checkpoint')} that this log extends`)
  const stamped = shards.reduce((sum, shard) => sum + (shard.stamped ?? 0), 0)
  if (stamped > 0) {
    lines.push(
      `  ${plural(stamped, 'time stamp')} of checkpoints of this log; who signed them is for openssl ts -verify`,
    )
  }
  for (const level of ['broken', 'warning', 'note'] as const) {
    const list = findings.filter((finding) => finding.level === level)
    lines.push(...list.slice(0, maxLines).map(findingText))
    if (list.length > maxLines) lines.push(`${level.padEnd(8)} ${list.length - maxLines} more; --json has them`)
  }
  if (verification.omitted > 0) lines.push(`${plural(verification.omitted, 'further finding')} not kept`)
  return `${lines.map(printable).join('\n')}\n`
}

/** Without witnesses a log shows changes only to those who kept a checkpoint, and that is said each time. */
function witnessLines(shards: readonly ShardSummary[]): string[] {
  if (shards.some(({ witnessed }) => witnessed === undefined)) {
    return ['  no witness asked for: a second log shown to somebody else would not be noticed (--policy, --witness)']
  }
  return shards.flatMap(({ origin, witnessed }) => {
    const { newest, count, sizes } = witnessed!
    if (!newest) return []
    const by = newest.by.map(({ witness, time }) => `${witness} at ${timeOf(time)}`).join(', ')
    return [
      `  witnessed: ${origin} up to ${plural(newest.size, 'leaf', 'leaves')}, by ${by || 'nobody, which the policy allows'}`,
      `  ${plural(count, 'checkpoint')} of it with a quorum: over ${sizes.slice(0, 5).join(', ')}${count > 5 ? ' and smaller ones' : ''}`,
    ]
  })
}

/** Witnesses may say any number. */
const timeOf = (seconds: number): string =>
  seconds < 253_402_300_800 ? new Date(seconds * 1000).toISOString().replace('.000', '') : `${seconds} s`

function findingText({ level, code, shard, index, id, what }: Finding): string {
  const place = index === undefined ? `shard ${shard}` : `shard ${shard} leaf ${index}`
  return `${level.padEnd(8)} ${code}  ${place}${id === undefined ? '' : `  ${id}`}\n         ${what}`
}

const kindsText = ({ kinds }: Verification): string =>
  Object.entries(kinds)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([kind, count]) => `${count} ${kind}`)
    .join(', ') || 'nothing'

/** Findings quote what strangers wrote; it moves no cursor. */
const printable = (line: string): string => line.replace(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/g, '\ufffd')
