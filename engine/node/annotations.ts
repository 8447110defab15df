/** What a policy says of itself: the METADATA annotations of its packages and rules, as OPA reads them. */

import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { WritError } from '../../core/fault.ts'
import { isObject, type Json, parseJson } from '../../core/json.ts'
import type { Opa } from './opa.ts'

export interface Annotated {
  /** `writ.lib.http`, with the rule's name where it is a rule. */
  readonly path: string
  /** A package, a package with those below it, or a rule. */
  readonly kind: 'package' | 'subpackages' | 'rule'
  readonly title: string
  readonly description: string
  /** `custom.example`. */
  readonly example: string
  /** Of a function, its parameters as a definition names them: `(pattern, given)`. */
  readonly parameters: string
}

/** In order of path for packages, and of place for the rules in them. Throws `policy_invalid` with what OPA says. */
export async function readAnnotations(dir: string, opa: Opa): Promise<readonly Annotated[]> {
  const { code, stdout, stderr } = await opa.run(['inspect', '-a', '-f', 'json', '.'], { cwd: dir })
  const answer = parseJson(stdout)
  const list = isObject(answer) ? (answer['annotations'] ?? []) : undefined
  if (code !== 0 || !Array.isArray(list)) {
    throw new WritError('policy_invalid', `opa inspect: ${(stderr || stdout).trim().slice(0, 2048)}`)
  }
  const found: { readonly one: Annotated; readonly home: string; readonly row: number }[] = []
  for (const entry of list as readonly Json[]) {
    const { annotations, location, path } = isObject(entry) ? entry : {}
    const { file, row } = isObject(location) ? location : {}
    if (!isObject(annotations) || typeof file !== 'string' || typeof row !== 'number') continue
    if (!Array.isArray(path) || file.endsWith('_test.rego')) continue
    const kind = kindOf(annotations['scope'])
    const steps = (path as readonly Json[]).map((term) => String(isObject(term) ? term['value'] : '')).slice(1)
    const { custom } = annotations
    const one: Annotated = {
      path: steps.join('.'),
      kind,
      title: text(annotations['title']),
      description: text(annotations['description']),
      example: text(isObject(custom) ? custom['example'] : undefined),
      parameters: kind === 'rule' ? parametersIn(await readFile(join(dir, file), 'utf8'), steps.at(-1)!) : '',
    }
    found.push({ one, home: (kind === 'rule' ? steps.slice(0, -1) : steps).join('.'), row: kind === 'rule' ? row : 0 })
  }
  return found.toSorted((a, b) => (a.home === b.home ? a.row - b.row : a.home < b.home ? -1 : 1)).map(({ one }) => one)
}

const kindOf = (scope: Json | undefined): Annotated['kind'] =>
  scope === 'package' || scope === 'subpackages' ? scope : 'rule'

const text = (value: Json | undefined): string => (typeof value === 'string' ? value.trim() : '')

/** Of several definitions, the first that gives each of its parameters a name. */
function parametersIn(source: string, name: string): string {
  const heads = source
    .split('\n')
    .filter((line) => line.startsWith(`${name}(`))
    .map((line) => line.slice(name.length, line.indexOf(')') + 1))
  return heads.find((head) => !/[(\s"](?:_|")/.test(head)) ?? heads[0] ?? ''
}
