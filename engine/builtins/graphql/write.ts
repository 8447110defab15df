/** From gqlparser's syntax tree to graphql-js's, which verifies queries. */

import {
  type ConstDirectiveNode,
  type ConstValueNode,
  type DefinitionNode,
  type DirectiveDefinitionNode,
  type DirectiveNode,
  type EnumValueDefinitionNode,
  type FieldDefinitionNode,
  type FragmentDefinitionNode,
  type InputValueDefinitionNode,
  Kind,
  type ListTypeNode,
  type NamedTypeNode,
  type NameNode,
  type OperationDefinitionNode,
  OperationTypeNode,
  type SelectionNode,
  type SelectionSetNode,
  type TypeDefinitionNode,
  type TypeNode,
  type ValueNode,
  type VariableDefinitionNode,
} from 'graphql'
import { BuiltinError } from '../builtin.ts'
import {
  type Argument,
  type ArgumentDefinition,
  type Definition,
  type Directive,
  type DirectiveDefinition,
  type EnumValueDefinition,
  type FieldDefinition,
  type Literal,
  type QueryDocument,
  type Selection,
  type TypeReference,
  type VariableDefinition,
  valueKind,
} from './document.ts'

export function queryNodes({ Operations, Fragments }: QueryDocument): readonly DefinitionNode[] {
  return [
    ...Operations.map(
      (one): OperationDefinitionNode => ({
        kind: Kind.OPERATION_DEFINITION,
        operation: operationType(one.Operation),
        name: one.Name === '' ? undefined : name(one.Name),
        variableDefinitions: one.VariableDefinitions.map(variableNode),
        directives: one.Directives.map(directiveNode),
        selectionSet: selectionNodes(one.SelectionSet),
      }),
    ),
    ...Fragments.map(
      (one): FragmentDefinitionNode => ({
        kind: Kind.FRAGMENT_DEFINITION,
        name: name(one.Name),
        // Variables of a fragment's own are read by gqlparser, but known to none of its rules.
        typeCondition: named(one.TypeCondition),
        directives: one.Directives.map(directiveNode),
        selectionSet: selectionNodes(one.SelectionSet),
      }),
    ),
  ]
}

export function operationType(text: string): OperationTypeNode {
  switch (text) {
    case '':
    case 'query':
      return OperationTypeNode.QUERY
    case 'mutation':
      return OperationTypeNode.MUTATION
    case 'subscription':
      return OperationTypeNode.SUBSCRIPTION
    default:
      throw new BuiltinError('GraphQL: an operation is a query, a mutation or a subscription')
  }
}

const variableNode = (one: VariableDefinition): VariableDefinitionNode => ({
  kind: Kind.VARIABLE_DEFINITION,
  variable: { kind: Kind.VARIABLE, name: name(one.Variable) },
  type: typeNode(one.Type),
  defaultValue: one.DefaultValue && constant(one.DefaultValue),
  directives: one.Directives.map(constantDirective),
})

const selectionNodes = (selections: readonly Selection[]): SelectionSetNode => ({
  kind: Kind.SELECTION_SET,
  selections: selections.map(selectionNode),
})

function selectionNode(one: Selection): SelectionNode {
  const directives = one.Directives.map(directiveNode)
  if ('Alias' in one) {
    return {
      kind: Kind.FIELD,
      alias: one.Alias === one.Name ? undefined : name(one.Alias),
      name: name(one.Name),
      arguments: one.Arguments.map(argumentNode),
      directives,
      selectionSet: one.SelectionSet.length === 0 ? undefined : selectionNodes(one.SelectionSet),
    }
  }
  if ('SelectionSet' in one) {
    return {
      kind: Kind.INLINE_FRAGMENT,
      typeCondition: one.TypeCondition === '' ? undefined : named(one.TypeCondition),
      directives,
      selectionSet: selectionNodes(one.SelectionSet),
    }
  }
  return { kind: Kind.FRAGMENT_SPREAD, name: name(one.Name), directives }
}

const argumentNode = (one: Argument) =>
  ({ kind: Kind.ARGUMENT, name: name(one.Name), value: valueNode(one.Value) }) as const

const directiveNode = (one: Directive): DirectiveNode => ({
  kind: Kind.DIRECTIVE,
  name: name(one.Name),
  arguments: one.Arguments.map(argumentNode),
})

/** What gqlparser read as a constant holds no variables; what a policy made up may, and is then no constant. */
const constantDirective = (one: Directive): ConstDirectiveNode => directiveNode(one) as ConstDirectiveNode
const constant = (one: Literal): ConstValueNode => valueNode(one) as ConstValueNode

function typeNode({ NamedType, Elem, NonNull }: TypeReference): TypeNode {
  const type: NamedTypeNode | ListTypeNode = Elem ? { kind: Kind.LIST_TYPE, type: typeNode(Elem) } : named(NamedType)
  return NonNull ? { kind: Kind.NON_NULL_TYPE, type } : type
}

function valueNode({ Kind: kind, Raw: raw, Children: children }: Literal): ValueNode {
  switch (kind) {
    case valueKind.variable:
      return { kind: Kind.VARIABLE, name: name(raw) }
    case valueKind.int:
      return { kind: Kind.INT, value: raw }
    case valueKind.float:
      return { kind: Kind.FLOAT, value: raw }
    case valueKind.string:
    case valueKind.block:
      return { kind: Kind.STRING, value: raw, block: kind === valueKind.block }
    case valueKind.boolean:
      return { kind: Kind.BOOLEAN, value: raw === 'true' }
    case valueKind.null:
      return { kind: Kind.NULL }
    case valueKind.enum:
      return { kind: Kind.ENUM, value: raw }
    case valueKind.list:
      return { kind: Kind.LIST, values: children.map(({ Value }) => valueNode(Value)) }
    case valueKind.object:
      return {
        kind: Kind.OBJECT,
        fields: children.map((one) => ({ kind: Kind.OBJECT_FIELD, name: name(one.Name), value: valueNode(one.Value) })),
      }
    default:
      throw new BuiltinError(`GraphQL: there is no value of kind ${kind}`)
  }
}

/** Of the directives in a schema only `oneOf` counts for queries; the rules for them are those of directives.ts. */
export function definitionNode(one: Definition): TypeDefinitionNode {
  const common = { name: name(one.Name) }
  switch (one.Kind) {
    case 'OBJECT':
    case 'INTERFACE': {
      const members = { ...common, interfaces: one.Interfaces.map(named), fields: one.Fields.map(fieldNode) }
      return one.Kind === 'OBJECT'
        ? { kind: Kind.OBJECT_TYPE_DEFINITION, ...members }
        : { kind: Kind.INTERFACE_TYPE_DEFINITION, ...members }
    }
    case 'UNION':
      return { kind: Kind.UNION_TYPE_DEFINITION, ...common, types: one.Types.map(named) }
    case 'ENUM':
      return { kind: Kind.ENUM_TYPE_DEFINITION, ...common, values: one.EnumValues.map(enumNode) }
    case 'INPUT_OBJECT':
      return {
        kind: Kind.INPUT_OBJECT_TYPE_DEFINITION,
        ...common,
        directives: one.Directives.filter(({ Name }) => Name === 'oneOf').map(constantDirective),
        fields: one.Fields.map(inputNode),
      }
    default:
      return { kind: Kind.SCALAR_TYPE_DEFINITION, ...common }
  }
}

const fieldNode = (one: FieldDefinition): FieldDefinitionNode => ({
  kind: Kind.FIELD_DEFINITION,
  name: name(one.Name),
  arguments: one.Arguments.map(inputNode),
  type: typeNode(one.Type),
})

const inputNode = (one: ArgumentDefinition): InputValueDefinitionNode => ({
  kind: Kind.INPUT_VALUE_DEFINITION,
  name: name(one.Name),
  type: typeNode(one.Type),
  defaultValue: one.DefaultValue && constant(one.DefaultValue),
})

const enumNode = (one: EnumValueDefinition): EnumValueDefinitionNode => ({
  kind: Kind.ENUM_VALUE_DEFINITION,
  name: name(one.Name),
})

export const directiveDefinitionNode = (one: DirectiveDefinition): DirectiveDefinitionNode => ({
  kind: Kind.DIRECTIVE_DEFINITION,
  name: name(one.Name),
  arguments: one.Arguments.map(inputNode),
  repeatable: one.IsRepeatable,
  locations: one.Locations.map(name),
})

export const named = (text: string): NamedTypeNode => ({ kind: Kind.NAMED_TYPE, name: name(text) })
const name = (value: string): NameNode => ({ kind: Kind.NAME, value })
