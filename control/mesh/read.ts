/** From text to documents that have the right shape, each field with its line. Says what is wrong; never throws. */

import { type Document, isAlias, isMap, isNode, isScalar, isSeq, LineCounter, type Node, parseAllDocuments } from 'yaml'
import type { z } from 'zod'
import { messageOf } from '../../core/fault.ts'
import { isObject } from '../../core/json.ts'
import { fieldOf, type Path, type Place, type Placed, type Problem } from './problem.ts'
import { apiVersions, documents, isKind, type Kind, kinds, type MeshDocument, type Specs } from './schema.ts'

/** Longest mesh file, in characters; also the most documents in one. */
export const maxTextLength: number = 4 * 1024 * 1024
export const maxDocuments = 4096

export type MeshDocuments = { readonly [K in Kind]: Placed<Specs[K]>[] }

export function readDocuments(text: string): { readonly found: MeshDocuments; readonly problems: Problem[] } {
  const found: MeshDocuments = {
    Mesh: [],
    Workload: [],
    Service: [],
    PolicyBinding: [],
    PolicySource: [],
    PolicyData: [],
    Quarantine: [],
    RegistrationEntry: [],
    PlatformIssuer: [],
    FederatedDomain: [],
    TrafficPolicy: [],
    RouteFilter: [],
    ExternalService: [],
    HTTPRoute: [],
    GRPCRoute: [],
    TLSRoute: [],
    Gateway: [],
  }
  const problems: Problem[] = []
  try {
    readInto(found, problems, text)
  } catch (thrown) {
    // The parser's own limits: nesting deeper than the stack, more aliases than a person writes.
    problems.push(atTop(`cannot be read: ${messageOf(thrown)}`, 'nest less deeply and use fewer aliases'))
  }
  return { found, problems }
}

function readInto(found: MeshDocuments, problems: Problem[], text: string): void {
  if (text.length > maxTextLength) {
    problems.push(atTop(`is longer than ${maxTextLength} characters`, 'split the mesh'))
    return
  }
  const lines = new LineCounter()
  const parsed = parseAllDocuments(text, { lineCounter: lines, logLevel: 'silent' })
  if (!Array.isArray(parsed) || parsed.length === 0) return
  if (parsed.length > maxDocuments) {
    problems.push(atTop(`has more than ${maxDocuments} documents`, 'split the mesh'))
    return
  }
  for (const [index, document] of parsed.entries()) {
    if (document.contents === null || (isScalar(document.contents) && document.contents.value === null)) {
      if (document.errors.length === 0 && document.warnings.length === 0) continue // An empty document says nothing.
    }
    readOne(found, problems, document, `document ${index + 1}`, lines)
  }
}

function readOne(
  found: MeshDocuments,
  problems: Problem[],
  document: Document.Parsed,
  nameless: string,
  lines: LineCounter,
): void {
  // A warning is a tag or value that the parser did not understand and would drop.
  for (const fault of [...document.errors, ...document.warnings]) {
    const { line, col } = lines.linePos(fault.pos[0])
    const problem = fault.message.split('\n')[0]!.replace(/ at line \d+, column \d+:?$/, '')
    problems.push({ level: 'error', document: nameless, line, column: col, field: '', problem, cure: 'mend the YAML' })
  }
  if (document.errors.length + document.warnings.length > 0) return

  const value: unknown = document.toJS({ maxAliasCount: 100 })
  const at = placesOf(document, lines)
  const kind = isObject(value) ? value['kind'] : undefined
  if (!isKind(kind)) {
    const problem = kind === undefined ? 'has no kind' : `${JSON.stringify(kind)} is not a kind that is read here`
    const cure = `one of ${kinds.join(', ')}`
    problems.push({ level: 'error', document: nameless, ...at(['kind']), field: 'kind', problem, cure })
    return
  }
  const label = labelOf(kind, value) ?? `${kind} (${nameless})`
  const read = documents[kind].safeParse(value)
  if (!read.success) {
    for (const issue of read.error.issues) {
      for (const { path, problem, cure } of explain(issue, value, kind)) {
        problems.push({ level: 'error', document: label, ...at(path), field: fieldOf(path), problem, cure })
      }
    }
    return
  }
  const { metadata, spec } = read.data as MeshDocument<never>
  found[kind].push({ label, name: metadata.name, createdAt: metadata.creationTimestamp, spec, at })
}

function labelOf(kind: Kind, value: unknown): string | undefined {
  const metadata = isObject(value) ? value['metadata'] : undefined
  const name = isObject(metadata) ? metadata['name'] : undefined
  return typeof name === 'string' && /^[\x21-\x7e]{1,253}$/.test(name) ? `${kind}/${name}` : undefined
}

interface Explained {
  readonly path: Path
  readonly problem: string
  readonly cure: string
}

function explain(issue: z.core.$ZodIssue, value: unknown, kind: Kind): Explained[] {
  const path = issue.path.filter((step) => typeof step !== 'symbol')
  const given = valueAt(value, path)
  if (given === undefined && issue.code !== 'unrecognized_keys') {
    return [{ path, problem: 'is missing', cure: 'add it' }]
  }
  switch (issue.code) {
    case 'unrecognized_keys':
      return issue.keys.map((key) => ({
        path: [...path, key],
        problem: 'is unknown or not supported',
        cure: `remove it; writ schema ${kind} lists what there is`,
      }))
    case 'invalid_value': {
      const values = issue.values.map(String).map((text) => (text === '' ? '""' : text))
      if (path.length === 1 && path[0] === 'apiVersion') {
        return [{ path, problem: `${show(given)} is not read for ${kind}`, cure: `use ${apiVersions[kind]}` }]
      }
      return [{ path, problem: `${show(given)} is not supported`, cure: `use ${values.join(' or ')}` }]
    }
    case 'invalid_type':
      return [{ path, problem: `${show(given)} is not of type ${issue.expected}`, cure: `write a ${issue.expected}` }]
    case 'invalid_union': {
      // The branch that got furthest is the one that was meant.
      const depth = (branch: readonly z.core.$ZodIssue[]): number => Math.max(0, ...branch.map((it) => it.path.length))
      const meant = [...issue.errors].sort((a, b) => depth(b) - depth(a))[0]
      if (meant && isObject(given)) {
        const inner = meant.flatMap((it) => explain(it, given, kind))
        return inner.map((it) => ({ ...it, path: [...path, ...it.path] }))
      }
      return [{ path, problem: issue.message, cure: 'write one of the two' }]
    }
    default:
      return [{ path, problem: issue.message, cure: `change ${show(given)}` }]
  }
}

function valueAt(value: unknown, path: Path): unknown {
  let at = value
  for (const step of path) {
    if (typeof at !== 'object' || at === null || !Object.hasOwn(at, step)) return undefined
    at = (at as Readonly<Record<string | number, unknown>>)[step]
  }
  return at
}

function show(value: unknown): string {
  if (isObject(value)) return 'a mapping'
  if (Array.isArray(value)) return 'a list'
  const text = typeof value === 'string' ? JSON.stringify(value) : String(value)
  return text.length <= 60 ? text : `${text.slice(0, 60)}…`
}

/** Where a field stands: its key in a mapping, its item in a list, or the nearest thing around it that there is. */
function placesOf(document: Document.Parsed, lines: LineCounter): (path: Path) => Place {
  return (path) => {
    let node: Node | null = document.contents
    let offset = node?.range?.[0] ?? document.range?.[0] ?? 0
    for (const step of path) {
      if (isAlias(node)) node = node.resolve(document) ?? null
      if (isMap(node)) {
        const pair = node.items.find((item) => isScalar(item.key) && String(item.key.value ?? '') === String(step))
        if (!pair) break
        offset = (isNode(pair.key) ? pair.key.range?.[0] : undefined) ?? offset
        node = isNode(pair.value) ? pair.value : null
      } else if (isSeq(node) && typeof step === 'number') {
        const item: unknown = node.items[step]
        node = isNode(item) ? item : null
        offset = node?.range?.[0] ?? offset
      } else break
    }
    const { line, col } = lines.linePos(offset)
    return { line: Math.max(line, 1), column: Math.max(col, 1) }
  }
}

const atTop = (problem: string, cure: string): Problem => ({
  level: 'error',
  document: 'the file',
  line: 1,
  column: 1,
  field: '',
  problem,
  cure,
})
