/** `writ schema`: the JSON Schemas of the kinds that a mesh file may hold, and of a policy's input. */

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Command } from 'commander'
import { jsonSchemaOf, type Kind, kinds } from '../control/mesh/schema.ts'
import { WritError } from '../core/fault.ts'
import { policyInputSchema } from '../core/input-schema.ts'
import type { Json } from '../core/json.ts'

export function schemaCommand(): Command {
  return new Command('schema')
    .description('print the JSON Schema of a kind of the mesh file, or of the input that a policy reads')
    .argument('[kind]', `${kinds.join(', ')}; or ${input}`)
    .option('--write <folder>', 'write one file per kind, or the one that is named')
    .action((kind: string | undefined, options: { readonly write?: string }) => {
      const wanted: readonly Wanted[] =
        kind === input ? [input] : kinds.filter((it) => kind === undefined || it === kind)
      if (wanted.length === 0) {
        throw new WritError('usage', `there is no kind ${kind}`, { cure: `one of ${kinds.join(', ')}, ${input}` })
      }
      const schemas = wanted.map((it) => [it, `${JSON.stringify(schemaOf(it), null, 2)}\n`] as const)
      if (options.write === undefined) for (const [, text] of schemas) process.stdout.write(text)
      else for (const [it, text] of schemas) writeFileSync(join(options.write, `${it}.json`), text)
    })
}

const input = 'PolicyInput'

type Wanted = Kind | typeof input

const schemaOf = (name: Wanted): Json => (name === input ? policyInputSchema : jsonSchemaOf(name))
