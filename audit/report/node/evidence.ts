/** The folder of evidence of a report: proofs, checkpoints, time stamps, what each rule was asked about, and programs that check it. */

import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fromUtf8, utf8 } from '../../../core/bytes.ts'
import type { ComplianceReport } from '../../../core/compliance.ts'
import { evidenceFiles } from '../../evidence/evidence.ts'
import { extensionsOf, stampedEarlier } from '../../evidence/extensions.ts'
import { policyFile } from '../../log/prove.ts'
import { verifyEd25519 } from '../../node/ed25519.ts'
import type { LogPlace } from '../../node/examine.ts'
import { sourcesIn } from '../../node/logfolder.ts'
import { reportChecker } from '../formats/checker.ts'
import { type ReportFiles, sumsText } from '../formats/files.ts'
import { documentJson } from '../formats/json.ts'
import { pinSources } from '../pinned.ts'
import { provenSamples } from '../proofs.ts'

/** `policy`: text of a witness policy (C2SP tlog-policy). Default: the log's own, where its folder has one. */
export async function reportEvidence(
  report: ComplianceReport,
  place: LogPlace,
  policy: string | undefined,
): Promise<ReportFiles> {
  const growing = await sourcesIn(place.dir, place.s3)
  const proven = await provenSamples(report, { ...place, sources: growing, verifyNote: verifyEd25519 })
  const sources = await pinSources(growing, report.checkpoints)
  const timestamps = new Map<string, Uint8Array>()
  const extensions = new Map<string, string>()
  for (const { shard, stamps, note, witnessed } of report.checkpoints) {
    const { read } = sources.find((one) => one.shard === shard)!
    // The newest are of the most: a checkpoint covers all before it.
    for (let number = Math.max(1, stamps - 99); number <= stamps; number++) {
      for (const end of ['note', 'tsr']) {
        const path = `timestamps/${String(number).padStart(6, '0')}.${end}`
        const bytes = await read(path)
        if (bytes) timestamps.set(`${shard}/${path.slice('timestamps/'.length)}`, bytes)
      }
    }
    const seen = witnessed === undefined ? [] : [{ note: witnessed, path: `checkpoints/${shard}.consistency` }]
    const earlier = [...seen, ...stampedEarlier(shard, timestamps)]
    for (const one of await extensionsOf(read, note, earlier, place.sha256)) extensions.set(...one)
  }
  const asked = `report ${report.title}, ${report.from} to ${report.to}, scope ${report.scope.name}`
  const asksFor = policy ?? (await readFile(join(place.dir, policyFile), 'utf8').catch(() => undefined))
  const files = evidenceFiles(proven, {
    ...{ verifierKey: report.verifierKey, asked, checkpoints: report.checkpoints, timestamps, extensions },
    ...(asksFor !== undefined && { policy: asksFor }),
  })
  const more = new Map<string, Uint8Array>(Object.entries(reportChecker).map(([path, text]) => [path, utf8(text)]))
  for (const { id, rows } of report.checks) more.set(`rows/${id}.json`, utf8(documentJson(rows)))
  const readme = fromUtf8(files.get('README.md')!)
  more.set('README.md', utf8(`${readme}${ofReport}`))
  const all = new Map([...files, ...more])
  return new Map([...all, ['SHA256SUMS', utf8(sumsText(all, place.sha256))]])
}

const ofReport = `
## Of a report

- \`rows/<check>.json\`: what the rule of a check was asked about: the counts, whom they are about, and its parameters.
- \`SHA256SUMS\`: of each file here. The report's signature is over this list too.
- \`report/\`: a program that checks the signature of the report beside this folder, and the SHA-256 of each of its files
  and of each file here. With the log's key it goes on with the proofs; TSA_CA names the certificate of the authority
  that stamped:

      TSA_CA=authority.pem sh report/check.sh '<verifier key of the report>' '<verifier key of the log>' '<policy file>'
`
