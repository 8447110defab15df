/** Where `$ref` leads: within the document, by pointer or by the names that its parts give themselves. Nowhere else. */

import { isArray, RegoObject, type Value } from '../../value.ts'
import { LimitError } from '../builtin.ts'
import { fail } from './words.ts'

export interface References {
  /** A reference as it stands in the scope of a base, made absolute. */
  resolve(base: string, reference: string): string
  /** What an absolute reference names, and the base for references in it. Throws a SchemaError. */
  find(target: string): { readonly node: Value; readonly base: string }
}

const maxDepth = 256

export function makeReferences(document: Value): References {
  const named = new Map<string, Value>([['', document]])
  const name = (node: Value, base: string, depth: number): void => {
    if (depth === 0) throw new LimitError(`a schema is nested more than ${maxDepth} deep`)
    if (isArray(node)) for (const item of node) name(item, base, depth - 1)
    if (!(node instanceof RegoObject)) return
    const id = node.get(node.has('id') ? 'id' : '$id')
    const inner = typeof id === 'string' ? resolve(base, id) : base
    if (inner !== base) {
      if (named.has(inner)) throw fail(`Reference already exists: "${inner}"`)
      named.set(inner, node)
    }
    for (const [key, value] of node.entries) {
      if (key === 'const' || key === 'enum') continue // Taken literally.
      // Members of these are named by the author, and may be called "$id".
      const children =
        membersAreSchemas.has(key as string) && value instanceof RegoObject ? value.entries.map(([, v]) => v) : [value]
      for (const child of children) name(child, inner, depth - 1)
    }
  }
  name(document, '', maxDepth)

  return {
    resolve,
    find(target) {
      const whole = named.get(target)
      if (whole !== undefined) return { node: whole, base: target }
      const [base, fragment] = splitFragment(target)
      const root = named.get(base)
      if (root === undefined) throw fail(`the reference ${target} leads out of the schema`)
      return { node: pointed(root, fragment), base }
    },
  }
}

const membersAreSchemas: ReadonlySet<string> = new Set(['properties', 'dependencies', 'patternProperties'])

/** An empty fragment is none. */
function resolve(base: string, reference: string): string {
  const [document] = splitFragment(base)
  const clean = reference.replace(/#$/, '')
  if (clean === '' || clean.startsWith('#')) return document + clean
  return URL.parse(clean, document === '' ? undefined : document)?.href ?? clean
}

function splitFragment(reference: string): readonly [string, string] {
  const at = reference.indexOf('#')
  return at < 0 ? [reference, ''] : [reference.slice(0, at), reference.slice(at + 1)]
}

/** RFC 6901, as the fragment of a URI. */
function pointed(root: Value, fragment: string): Value {
  if (fragment === '') return root
  if (!fragment.startsWith('/')) throw fail(`JSON pointer must be empty or start with a "/"`)
  let node: Value | undefined = root
  for (const step of fragment.slice(1).split('/')) {
    const key = unescaped(step)
    node =
      node instanceof RegoObject
        ? node.get(key)
        : node !== undefined && isArray(node) && /^(0|[1-9][0-9]*)$/.test(key)
          ? node[Number(key)]
          : undefined
    if (node === undefined) throw fail(`Object has no key '${key}'`)
  }
  return node
}

function unescaped(step: string): string {
  try {
    return decodeURIComponent(step).replaceAll('~1', '/').replaceAll('~0', '~')
  } catch {
    throw fail(`invalid URL escape in ${step}`)
  }
}
