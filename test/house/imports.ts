/** What a file imports, read by a real parser: no way of writing an import goes unseen. */

import { parseAst } from 'rolldown/parseAst'

export interface Import {
  readonly name: string
  readonly typeOnly: boolean
}

/** An import whose name is worked out while running, which no reader can follow. */
export const computedName = '(computed)'

export function importsOf(text: string): readonly Import[] {
  const found: Import[] = []
  const visit = (value: unknown): void => {
    if (Array.isArray(value)) for (const item of value) visit(item)
    else if (isNode(value)) {
      const source = sourceOf(value)
      if (source) found.push({ name: nameOf(source), typeOnly: isTypeOnly(value) })
      for (const member of Object.values(value)) visit(member)
    }
  }
  visit(parseAst(text, { lang: 'ts' }))
  return found
}

interface Node {
  readonly type: string
  readonly [member: string]: unknown
}

const isNode = (value: unknown): value is Node =>
  typeof value === 'object' && value !== null && typeof (value as { type?: unknown }).type === 'string'

/** The expression that names the module, where the node imports one. */
function sourceOf(node: Node): Node | undefined {
  switch (node.type) {
    case 'ImportDeclaration':
    case 'ExportNamedDeclaration':
    case 'ExportAllDeclaration':
    case 'ImportExpression':
    case 'TSImportType':
      return isNode(node['source']) ? node['source'] : undefined
    case 'TSExternalModuleReference':
      return isNode(node['expression']) ? node['expression'] : undefined
    case 'CallExpression': {
      const callee = node['callee'] as Node
      const [argument] = node['arguments'] as readonly Node[]
      return callee.type === 'Identifier' && callee['name'] === 'require' ? argument : undefined
    }
    default:
      return undefined
  }
}

function nameOf(source: Node): string {
  if (typeof source['value'] === 'string') return source['value']
  const quasis = source.type === 'TemplateLiteral' ? (source['quasis'] as readonly Node[]) : []
  const cooked = (quasis[0]?.['value'] as { cooked?: string } | undefined)?.cooked
  return quasis.length === 1 && cooked !== undefined ? cooked : computedName
}

const isTypeOnly = (node: Node): boolean =>
  node.type === 'TSImportType' || node['importKind'] === 'type' || node['exportKind'] === 'type'
