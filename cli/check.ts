/** `writ check`: reads a mesh file as control would, and says what is wrong with it, line by line. */

import { readFile } from 'node:fs/promises'
import { Command } from 'commander'
import { type Compiled, compileMesh } from '../control/mesh/compile.ts'
import type { Problem } from '../control/mesh/problem.ts'
import { messageOf, WritError } from '../core/fault.ts'
import { readPolicyFolder } from '../engine/node/open.ts'
import { sha256 } from './wire/machine.ts'
import { checkPlaces } from './wire/policy-data.ts'
import { keyFilesOf } from './wire/tokens.ts'

interface Options {
  readonly file: string
  readonly policies: string
  readonly json?: boolean
}

export function checkCommand(): Command {
  return new Command('check')
    .description('check a mesh file: shapes, names, ports, routes and the policies it binds')
    .requiredOption('-f, --file <file>', 'the mesh file')
    .option('--policies <dir>', 'folder of policies, each in a folder of its own', 'policies')
    .option('--json', 'print the result as JSON')
    .action(async (options: Options) => {
      const text = await readFile(options.file, 'utf8').catch((thrown: unknown) => {
        throw new WritError('not_found', `${options.file} cannot be read: ${messageOf(thrown)}`, {
          cure: 'give the mesh file with -f',
        })
      })
      const bundles = await readPolicyFolder(options.policies)
      const compiled = compileMesh(text, {
        bundles: bundles.map(({ ref }) => ref),
        sha256,
        readKeyFile: keyFilesOf(options.file),
      })
      if (compiled.ok) await checkPlaces(bundles, compiled.settings.policyData)
      process.stdout.write(
        options.json ? `${JSON.stringify(jsonOf(compiled), null, 2)}\n` : textOf(compiled, options.file),
      )
      if (!compiled.ok) process.exitCode = 1
    })
}

/** `mesh.yaml:12:5 error config_invalid HTTPRoute/orders spec.rules: what is wrong (what to do)`. */
export function lineOf({ level, document, line, column, field, problem, cure }: Problem, file: string): string {
  const where = field === '' ? document : `${document} ${field}`
  return `${file}:${line}:${column} ${level} config_invalid ${where}: ${problem} (${cure})\n`
}

function textOf(compiled: Compiled, file: string): string {
  const lines = (compiled.ok ? compiled.warnings : compiled.problems).map((problem) => lineOf(problem, file)).join('')
  if (!compiled.ok) return lines
  const { workloads, services, routes, bindings, snapshot } = summaryOf(compiled)
  const counts = [
    [workloads, 'workload'],
    [services, 'service'],
    [routes, 'route'],
    [bindings, 'listener with a policy', 'listeners with a policy'],
  ] as const
  const told = counts.map(([count, one, many = `${one}s`]) => `${count} ${count === 1 ? one : many}`)
  return `${lines}${file} is good: ${told.join(', ')}\nsnapshot ${snapshot}\n`
}

const jsonOf = (compiled: Compiled): object =>
  compiled.ok
    ? { ok: true, ...summaryOf(compiled), problems: compiled.warnings }
    : { ok: false, problems: compiled.problems }

function summaryOf({ snapshot }: Extract<Compiled, { ok: true }>): {
  readonly snapshot: string
  readonly workloads: number
  readonly services: number
  readonly routes: number
  readonly bindings: number
} {
  const listeners = snapshot.workloads.flatMap((workload) => workload.listeners)
  return {
    snapshot: snapshot.name,
    workloads: snapshot.workloads.length,
    services: snapshot.services.length,
    routes: snapshot.routes.length,
    bindings: listeners.filter((it) => it.direction === 'inbound' && it.policy !== undefined).length,
  }
}
