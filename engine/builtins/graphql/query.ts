/** From graphql-js's syntax tree of a query to gqlparser's. */

import {
  type ArgumentNode,
  type DirectiveNode,
  type DocumentNode,
  type FragmentDefinitionNode,
  Kind,
  type OperationDefinitionNode,
  type SelectionNode,
  type SelectionSetNode,
  type TypeNode,
  type ValueNode,
  type VariableDefinitionNode,
} from 'graphql'
import { BuiltinError } from '../builtin.ts'
import { commentsBefore } from './comments.ts'
import {
  type Argument,
  type Child,
  type Directive,
  type Fragment,
  type Literal,
  type Operation,
  type QueryDocument,
  type Selection,
  type TypeReference,
  type VariableDefinition,
  valueKind,
} from './document.ts'

/** Definitions of types have no place in a query, nor have descriptions. */
export function readQuery(document: DocumentNode): QueryDocument {
  const Operations: Operation[] = []
  const Fragments: Fragment[] = []
  for (const node of document.definitions) {
    if (node.kind === Kind.OPERATION_DEFINITION) Operations.push(operation(node))
    else if (node.kind === Kind.FRAGMENT_DEFINITION) Fragments.push(fragment(node))
    else throw new BuiltinError(`GraphQL: a query holds a ${node.kind}`)
  }
  return { Operations, Fragments }
}

function operation(node: OperationDefinitionNode): Operation {
  refuseDescription(node)
  // gqlparser looks for comments of a query without a keyword only when it has passed them.
  const short = node.loc?.startToken.kind === '{'
  return {
    Operation: node.operation,
    Name: node.name?.value ?? '',
    VariableDefinitions: variables(node.variableDefinitions),
    Directives: directives(node.directives),
    SelectionSet: selections(node.selectionSet),
    Comment: short ? undefined : commentsBefore(node),
  }
}

function fragment(node: FragmentDefinitionNode): Fragment {
  refuseDescription(node)
  return {
    Name: node.name.value,
    VariableDefinition: variables(node.variableDefinitions),
    TypeCondition: node.typeCondition.name.value,
    Directives: directives(node.directives),
    SelectionSet: selections(node.selectionSet),
    Comment: commentsBefore(node),
  }
}

function refuseDescription({ description }: { readonly description?: unknown }): void {
  if (description !== undefined) throw new BuiltinError('GraphQL: a query holds a description')
}

function variables(nodes: readonly VariableDefinitionNode[] | undefined): readonly VariableDefinition[] {
  return (nodes ?? []).map((node) => {
    refuseDescription(node)
    return {
      Variable: node.variable.name.value,
      Type: typeReference(node.type),
      DefaultValue: node.defaultValue && literal(node.defaultValue),
      Directives: directives(node.directives),
      Used: false,
      Comment: commentsBefore(node),
    }
  })
}

function selections(set: SelectionSetNode | undefined): readonly Selection[] {
  if (set?.selections.length === 0) throw new BuiltinError('GraphQL: a selection of nothing')
  return (set?.selections ?? []).map(selection)
}

function selection(node: SelectionNode): Selection {
  const Comment = commentsBefore(node)
  switch (node.kind) {
    case Kind.FIELD:
      return {
        Alias: (node.alias ?? node.name).value,
        Name: node.name.value,
        Arguments: args(node.arguments),
        Directives: directives(node.directives),
        SelectionSet: selections(node.selectionSet),
        Comment,
      }
    case Kind.FRAGMENT_SPREAD:
      if (node.arguments?.length) throw new BuiltinError('GraphQL: a fragment is given arguments')
      return { Name: node.name.value, Directives: directives(node.directives), Comment }
    case Kind.INLINE_FRAGMENT:
      return {
        TypeCondition: node.typeCondition?.name.value ?? '',
        Directives: directives(node.directives),
        SelectionSet: selections(node.selectionSet),
        Comment,
      }
  }
}

export function directives(nodes: readonly DirectiveNode[] | undefined): readonly Directive[] {
  return (nodes ?? []).map((node) => ({ Name: node.name.value, Arguments: args(node.arguments), Location: '' }))
}

function args(nodes: readonly ArgumentNode[] | undefined): readonly Argument[] {
  return (nodes ?? []).map((node) => ({
    Name: node.name.value,
    Value: literal(node.value),
    Comment: commentsBefore(node),
  }))
}

export function typeReference(node: TypeNode): TypeReference {
  if (node.kind === Kind.NON_NULL_TYPE) return { ...typeReference(node.type), NonNull: true }
  if (node.kind === Kind.LIST_TYPE) return { NamedType: '', Elem: typeReference(node.type), NonNull: false }
  return { NamedType: node.name.value, NonNull: false }
}

export function literal(node: ValueNode): Literal {
  switch (node.kind) {
    case Kind.VARIABLE:
      return plain(valueKind.variable, node.name.value)
    case Kind.INT:
      return plain(valueKind.int, node.value)
    case Kind.FLOAT:
      return plain(valueKind.float, node.value)
    case Kind.STRING:
      return plain(node.block ? valueKind.block : valueKind.string, node.value)
    case Kind.BOOLEAN:
      return plain(valueKind.boolean, String(node.value))
    case Kind.NULL:
      return plain(valueKind.null, 'null')
    case Kind.ENUM:
      return plain(valueKind.enum, node.value)
    case Kind.LIST: {
      const children = node.values.map((value) => ({ Name: '', Value: literal(value) }))
      return { ...plain(valueKind.list, '', children), Comment: commentsBefore(node) }
    }
    case Kind.OBJECT: {
      const children = node.fields.map((field) => ({
        Name: field.name.value,
        Value: literal(field.value),
        Comment: commentsBefore(field),
      }))
      return { ...plain(valueKind.object, '', children), Comment: commentsBefore(node) }
    }
  }
}

const plain = (kind: number, raw: string, children: readonly Child[] = []): Literal => ({
  Raw: raw,
  Kind: kind,
  Children: children,
  ExpectedTypeHasDefault: false,
})
