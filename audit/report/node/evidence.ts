/** The folder of evidence of a report: proofs, checkpoints, time stamps, what each rule was asked about, and programs that check it. */

import { fromUtf8, utf8 } from '../../../core/bytes.ts'
import type { ComplianceReport } from '../../../core/compliance.ts'
import { evidenceFiles } from '../../evidence/evidence.ts'
import { verifyEd25519 } from '../../node/ed25519.ts'
import type { LogPlace } from '../../node/examine.ts'
import { sourcesIn } from '../../node/logfolder.ts'
import { reportChecker } from '../formats/checker.ts'
import type { ReportFiles } from '../formats/files.ts'
import { documentJson } from '../formats/json.ts'
import { provenSamples } from '../proofs.ts'

export async function reportEvidence(
  report: ComplianceReport,
  place: LogPlace,
  policy: string | undefined,
): Promise<ReportFiles> {
  const sources = await sourcesIn(place.dir, place.s3)
  const proven = await provenSamples(report, { ...place, sources, verifyNote: verifyEd25519 })
  const timestamps = new Map<string, Uint8Array>()
  for (const { shard, stamps } of report.checkpoints) {
    const source = sources.find((one) => one.shard === shard)
    // The newest are of the most: a checkpoint covers all before it.
    for (let number = Math.max(1, stamps - 99); source && number <= stamps; number++) {
      for (const end of ['note', 'tsr']) {
        const path = `timestamps/${String(number).padStart(6, '0')}.${end}`
        const bytes = await source.read(path)
        if (bytes) timestamps.set(`${shard}/${path.slice('timestamps/'.length)}`, bytes)
      }
    }
  }
  const asked = `report ${report.title}, ${report.from} to ${report.to}, scope ${report.scope.name}`
  const files = evidenceFiles(proven, {
    verifierKey: report.verifierKey,
    asked,
    checkpoints: report.checkpoints.map(({ shard, note }) => ({ shard, note })),
    ...(policy !== undefined && { policy }),
    timestamps,
  })
  const more = new Map<string, Uint8Array>(Object.entries(reportChecker).map(([path, text]) => [path, utf8(text)]))
  for (const { id, rows } of report.checks) more.set(`rows/${id}.json`, utf8(documentJson(rows)))
  const readme = fromUtf8(files.get('README.md')!)
  more.set('README.md', utf8(`${readme}${ofReport}`))
  return new Map([...files, ...more])
}

const ofReport = `
## Of a report

- \`rows/<check>.json\`: what the rule of a check was asked about: the counts, whom they are about, and its parameters.
- \`report/\`: a program that checks the signature of the report beside this folder and the SHA-256 of each of its files:

      sh report/check.sh '<verifier key of the report>'

A record whose personal fields were sealed has digests in their place. Its proof holds as it is: the leaf of the log has
the digests too, and what they are of is withheld.
`
