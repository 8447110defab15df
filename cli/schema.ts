/** `writ schema`: the JSON Schemas of the kinds that a mesh file may hold. */

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Command } from 'commander'
import { jsonSchemaOf, kinds } from '../control/mesh/schema.ts'
import { WritError } from '../core/fault.ts'

export function schemaCommand(): Command {
  return new Command('schema')
    .description('print the JSON Schema of a kind of the mesh file')
    .argument('[kind]', kinds.join(', '))
    .option('--write <folder>', 'write one file per kind')
    .action((kind: string | undefined, options: { readonly write?: string }) => {
      const wanted = kinds.filter((it) => kind === undefined || it === kind)
      if (wanted.length === 0) {
        throw new WritError('usage', `there is no kind ${kind}`, { cure: `one of ${kinds.join(', ')}` })
      }
      const schemas = wanted.map((it) => [it, `${JSON.stringify(jsonSchemaOf(it), null, 2)}\n`] as const)
      if (options.write === undefined) for (const [, text] of schemas) process.stdout.write(text)
      else for (const [it, text] of schemas) writeFileSync(join(options.write, `${it}.json`), text)
    })
}
