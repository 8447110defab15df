/** `npm run audit:faults -- --kills 200 --seed 7 --durability strict`: the full fault run, and what came of it. */

import { writeFile } from 'node:fs/promises'
import { cpus, loadavg } from 'node:os'
import { parseArgs } from 'node:util'
import type { Durability } from '../../../core/snapshot.ts'
import { opa } from '../../parts/opa.ts'
import { type FaultResult, runFaults } from './faults.ts'
import { whyNoPower } from './power.ts'

const { values } = parseArgs({
  options: {
    kills: { type: 'string', default: '200' },
    seconds: { type: 'string', default: '3600' },
    seed: { type: 'string', default: '1' },
    durability: { type: 'string', default: 'strict' },
    rate: { type: 'string', default: '100' },
    power: { type: 'string', default: '0.5' },
    wipe: { type: 'string', default: '' },
    out: { type: 'string' },
    keep: { type: 'boolean', default: false },
  },
})

const say = (line: string): void => {
  process.stderr.write(`${new Date().toISOString().slice(11, 23)} ${line}\n`)
}

const durability = values.durability as Durability
if (!['strict', 'bounded', 'replicated'].includes(durability)) throw new Error(`no durability ${durability}`)
const without = await whyNoPower()
if (without && values.power !== '0') throw new Error(`${without}; --power 0 kills processes only`)
process.env['WRIT_OPA'] ??= await opa.prepare(say)

const result = await runFaults({
  durability,
  kills: Number(values.kills),
  seconds: Number(values.seconds),
  seed: Number(values.seed),
  rate: Number(values.rate),
  powerShare: Number(values.power),
  // `3` deletes the spool with the third kill of the proxy, `3u` a while before it, under the running process.
  wipes: new Map(
    values.wipe
      .split(',')
      .filter((word) => word !== '')
      .map((word) => [Number.parseInt(word, 10), word.endsWith('u') ? 'under' : 'with'] as const),
  ),
  preload: without === undefined,
  say,
  ...(values.keep && { keep: true as const }),
})
process.stdout.write(`${tell(result)}\n`)
if (values.out) await writeFile(values.out, `${JSON.stringify(result, null, 2)}\n`)
if (result.judgement.wrong.length > 0) process.exitCode = 1

function tell({ judgement: of, ...run }: FaultResult): string {
  const lines = [
    `${durability}, seed ${values.seed}, ${values.rate} requests/s, ${cpus().length} cores, load ${loadavg()[0]!.toFixed(1)}`,
    `kills       ${Object.entries(run.kills)
      .map(
        ([name, { killed, power, early }]) => `${name} ${killed} (${power} with its power, ${early} while it started)`,
      )
      .join(', ')}`,
    `undone      ${run.undone.writes} writes, ${run.undone.names} names`,
    `answered    ${of.answered}, acknowledged ${of.acknowledged.allow} allow and ${of.acknowledged.deny} deny, refused ${of.refused}`,
    `log         ${of.leaves} leaves, ${of.epochs} epochs, ${of.crashes} crashes told, ${of.checkpointsSeen} checkpoints seen`,
    `doubles     ${of.doubles}`,
    `missing     ${of.missing}, allowed ${of.missingAllowed}${of.missingAllowed > 0 ? `, the oldest ${of.oldestLostMs} ms before the cut` : ''}`,
    `spools lost ${of.spoolsLost}`,
    `gaps        ${of.gaps.opened} opened, ${of.gaps.closed} closed, ${of.gaps.open} numbers open`,
    `recovery    ${Object.entries(run.recovery)
      .map(([name, { median, longest }]) => `${name} ${median} ms, at most ${longest}`)
      .join('; ')}`,
    `gave up     ${JSON.stringify(run.gaveUp)}`,
    `time        ${run.seconds} s, drained ${run.drainMs} ms after the last part was up`,
    `memory      ${JSON.stringify(run.memoryMb)} MB at most`,
    run.verify.trimEnd(),
    ...of.wrong.slice(0, 40).map((line) => `WRONG ${line}`),
    of.wrong.length === 0 ? 'held' : `${of.wrong.length} WRONG`,
  ]
  return lines.join('\n')
}
