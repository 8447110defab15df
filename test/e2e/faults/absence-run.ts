/** `npm run audit:absence -- --away 300`: Kafka away for minutes under load, and what came of it. */

import { cpus, loadavg } from 'node:os'
import { parseArgs } from 'node:util'
import { opa } from '../../parts/opa.ts'
import { type AbsenceResult, runAbsence } from './absence.ts'

const { values } = parseArgs({
  options: {
    rate: { type: 'string', default: '100' },
    before: { type: 'string', default: '30' },
    away: { type: 'string', default: '300' },
    segment: { type: 'string', default: '524288' },
    full: { type: 'boolean', default: false },
  },
})
const say = (line: string): void => {
  process.stderr.write(`${new Date().toISOString().slice(11, 19)} ${line}\n`)
}
process.env['WRIT_OPA'] ??= await opa.prepare(say)
const result = await runAbsence({
  ...{ rate: Number(values.rate), before: Number(values.before), away: Number(values.away), full: values.full, say },
  segmentBytes: Number(values.segment),
})
process.stdout.write(`${tell(result)}\n`)
if (result.judgement.wrong.length > 0) process.exitCode = 1

function tell({ judgement: of, phases, ...run }: AbsenceResult): string {
  const mib = (bytes: number): string => (bytes / 1024 ** 2).toFixed(1)
  return [
    `${values.rate} requests/s, ${cpus().length} cores, load ${loadavg()[0]!.toFixed(1)}; spoolMaxBytes ${run.spoolMaxBytes}`,
    '| phase | s | answers | by status | ms p50, p99, most | CPU ms per 1,000: proxy | spool MiB, segments | RSS MiB: proxy, auditor |',
    '|---|---|---|---|---|---|---|---|',
    ...phases.map((one) => {
      const statuses = Object.entries(one.statuses).map(([status, count]) => `${status}: ${count}`)
      return `| ${[one.name, one.seconds, one.answered, statuses.join(', '), `${one.p50}, ${one.p99}, ${one.most}`, one.proxyCpuMs, `${mib(one.spoolBytes)}, ${one.segments}`, `${one.proxyMb}, ${one.auditorMb}`].join(' | ')} |`
    }),
    `a request took ${run.bytesPerRequest} bytes of the spool; caught up ${run.catchUpSeconds} s after Kafka was back`,
    ...run.notices,
    `answered ${of.answered}, acknowledged ${of.acknowledged.allow} allow and ${of.acknowledged.deny} deny, refused ${of.refused}`,
    `log ${of.leaves} leaves, ${of.epochs} epochs; missing ${of.missing}, doubles ${of.doubles}, gaps ${of.gaps.opened}`,
    run.verify.trimEnd(),
    ...of.wrong.slice(0, 40).map((line) => `WRONG ${line}`),
    of.wrong.length === 0 ? 'held' : `${of.wrong.length} WRONG`,
  ].join('\n')
}
