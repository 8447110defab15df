/** `npm run soak -- --seconds 600`: the soak, and what came of it as a table. */

import { cpus, loadavg } from 'node:os'
import { parseArgs } from 'node:util'
import { opa } from '../parts/opa.ts'
import { judge, table } from './judge.ts'
import { runSoak } from './soak.ts'

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '600' },
    clients: { type: 'string', default: '1000' },
    rate: { type: 'string', default: '150' },
    'kill-every': { type: 'string', default: '15' },
  },
})
const say = (line: string): void => {
  process.stderr.write(`${line}\n`)
}

process.env['WRIT_OPA'] ??= await opa.prepare(say)
const options = {
  seconds: Number(values.seconds),
  clients: Number(values.clients),
  rate: Number(values.rate),
  killEveryMs: Number(values['kill-every']) * 1000,
  say,
}
const result = await runSoak(options)
const wrong = judge(result)
process.stdout.write(`${cpus().length} cores, load ${loadavg()[0]!.toFixed(1)}\n\n${table(options, result)}\n`)
for (const line of wrong.slice(0, 40)) process.stdout.write(`WRONG ${line}\n`)
if (result.said !== '') process.stdout.write(`the mesh said:\n${result.said.slice(-4000)}\n`)
process.stdout.write(wrong.length === 0 ? 'held\n' : `${wrong.length} WRONG\n`)
process.exit(wrong.length === 0 ? 0 : 1)
