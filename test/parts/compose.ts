/** Reads a Compose file as Docker Compose does: the specification's own loader, without a Docker engine. */

import { basename, dirname } from 'node:path'
import { run } from './child.ts'
import { goProgram } from './find.ts'
import type { Part } from './part.ts'

export const compose: Part = {
  install: 'Go, to build compose-go with',
  prepare: (say) => goProgram('compose-go', 'github.com/compose-spec/compose-go/v2/cmd', 'v2.16.2', say),
}

/** The members of a service that are looked at. */
export interface ComposeService {
  readonly image?: string
  readonly command?: readonly string[] | null
  readonly environment?: Readonly<Record<string, string | null>>
  readonly build?: { readonly context: string; readonly dockerfile: string }
  readonly read_only?: boolean
  readonly cap_drop?: readonly string[]
  readonly network_mode?: string
  readonly volumes?: readonly { readonly type: string; readonly source: string; readonly target: string }[]
}

/** The file with its variables as they stand. Throws with what is wrong where it breaks the specification. */
export async function readCompose(
  file: string,
): Promise<{ readonly services: Readonly<Record<string, ComposeService>> }> {
  const program = await compose.prepare(() => undefined)
  return JSON.parse(await run(program, ['-format=json', '-no-interpolation', basename(file)], { cwd: dirname(file) }))
}
