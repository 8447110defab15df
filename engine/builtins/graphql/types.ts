/** From graphql-js's syntax tree of a schema to gqlparser's. */

import {
  type DefinitionNode,
  type DocumentNode,
  type FieldDefinitionNode,
  type InputValueDefinitionNode,
  Kind,
  type NamedTypeNode,
  type SchemaDefinitionNode,
  type SchemaExtensionNode,
  type StringValueNode,
  type TypeDefinitionNode,
  type TypeExtensionNode,
} from 'graphql'
import { BuiltinError } from '../builtin.ts'
import { commentsAfterDescription, commentsBefore, commentsBeforeEnd, commentsBeforeEof } from './comments.ts'
import type {
  ArgumentDefinition,
  Definition,
  Described,
  DirectiveDefinition,
  FieldDefinition,
  SchemaDefinition,
  SchemaDocument,
} from './document.ts'
import { directives, literal, typeReference } from './query.ts'

/** Operations and fragments have no place in a schema. */
export function readSchema(document: DocumentNode): SchemaDocument {
  const schema = {
    Schema: [] as SchemaDefinition[],
    SchemaExtension: [] as SchemaDefinition[],
    Directives: [] as DirectiveDefinition[],
    Definitions: [] as Definition[],
    Extensions: [] as Definition[],
  }
  for (const node of document.definitions) place(node, schema)
  return { ...schema, Comment: commentsBeforeEof(document) }
}

function place(
  node: DefinitionNode,
  schema: {
    readonly Schema: SchemaDefinition[]
    readonly SchemaExtension: SchemaDefinition[]
    readonly Directives: DirectiveDefinition[]
    readonly Definitions: Definition[]
    readonly Extensions: Definition[]
  },
): void {
  switch (node.kind) {
    case Kind.SCHEMA_DEFINITION:
      schema.Schema.push(schemaDefinition(node))
      return
    case Kind.SCHEMA_EXTENSION:
      schema.SchemaExtension.push(schemaDefinition(node))
      return
    case Kind.DIRECTIVE_DEFINITION:
      schema.Directives.push({
        ...described(node),
        Name: node.name.value,
        Arguments: (node.arguments ?? []).map(inputValue),
        Locations: node.locations.map(({ value }) => value),
        IsRepeatable: node.repeatable,
      })
      return
    case Kind.SCALAR_TYPE_DEFINITION:
    case Kind.OBJECT_TYPE_DEFINITION:
    case Kind.INTERFACE_TYPE_DEFINITION:
    case Kind.UNION_TYPE_DEFINITION:
    case Kind.ENUM_TYPE_DEFINITION:
    case Kind.INPUT_OBJECT_TYPE_DEFINITION:
      schema.Definitions.push(definition(node))
      return
    case Kind.SCALAR_TYPE_EXTENSION:
    case Kind.OBJECT_TYPE_EXTENSION:
    case Kind.INTERFACE_TYPE_EXTENSION:
    case Kind.UNION_TYPE_EXTENSION:
    case Kind.ENUM_TYPE_EXTENSION:
    case Kind.INPUT_OBJECT_TYPE_EXTENSION:
      if (node.kind === Kind.INTERFACE_TYPE_EXTENSION && node.interfaces?.length) {
        throw new BuiltinError('GraphQL: an interface is extended by interfaces')
      }
      schema.Extensions.push(definition(node))
      return
    default:
      throw new BuiltinError(`GraphQL: a schema holds a ${node.kind}`)
  }
}

function schemaDefinition(node: SchemaDefinitionNode | SchemaExtensionNode): SchemaDefinition {
  return {
    ...described(node),
    Directives: directives(node.directives),
    OperationTypes: (node.operationTypes ?? []).map((one) => ({
      Operation: one.operation,
      Type: one.type.name.value,
      Comment: commentsBefore(one),
    })),
    EndOfDefinitionComment: commentsBeforeEnd(node),
  }
}

const kinds: Readonly<Record<(TypeDefinitionNode | TypeExtensionNode)['kind'], string>> = {
  [Kind.SCALAR_TYPE_DEFINITION]: 'SCALAR',
  [Kind.SCALAR_TYPE_EXTENSION]: 'SCALAR',
  [Kind.OBJECT_TYPE_DEFINITION]: 'OBJECT',
  [Kind.OBJECT_TYPE_EXTENSION]: 'OBJECT',
  [Kind.INTERFACE_TYPE_DEFINITION]: 'INTERFACE',
  [Kind.INTERFACE_TYPE_EXTENSION]: 'INTERFACE',
  [Kind.UNION_TYPE_DEFINITION]: 'UNION',
  [Kind.UNION_TYPE_EXTENSION]: 'UNION',
  [Kind.ENUM_TYPE_DEFINITION]: 'ENUM',
  [Kind.ENUM_TYPE_EXTENSION]: 'ENUM',
  [Kind.INPUT_OBJECT_TYPE_DEFINITION]: 'INPUT_OBJECT',
  [Kind.INPUT_OBJECT_TYPE_EXTENSION]: 'INPUT_OBJECT',
}

function definition(node: TypeDefinitionNode | TypeExtensionNode): Definition {
  const values = 'values' in node ? (node.values ?? []) : []
  return {
    ...described(node),
    Kind: kinds[node.kind],
    Name: node.name.value,
    Directives: directives(node.directives),
    Interfaces: 'interfaces' in node ? names(node.interfaces) : [],
    Fields: 'fields' in node ? (node.fields ?? []).map(field) : [],
    Types: 'types' in node ? names(node.types) : [],
    EnumValues: values.map((value) => ({
      ...describedWithin(value),
      Name: value.name.value,
      Directives: directives(value.directives),
    })),
    BuiltIn: false,
    EndOfDefinitionComment: commentsBeforeEnd(node),
  }
}

const names = (nodes: readonly NamedTypeNode[] | undefined): readonly string[] =>
  (nodes ?? []).map(({ name }) => name.value)

function field(node: FieldDefinitionNode | InputValueDefinitionNode): FieldDefinition {
  if (node.kind === Kind.INPUT_VALUE_DEFINITION) return { ...inputValue(node), Arguments: [] }
  return {
    ...describedWithin(node),
    Name: node.name.value,
    Arguments: (node.arguments ?? []).map(inputValue),
    Type: typeReference(node.type),
    Directives: directives(node.directives),
  }
}

function inputValue(node: InputValueDefinitionNode): ArgumentDefinition {
  return {
    ...describedWithin(node),
    Name: node.name.value,
    DefaultValue: node.defaultValue && literal(node.defaultValue),
    Type: typeReference(node.type),
    Directives: directives(node.directives),
  }
}

type Describable = Parameters<typeof commentsAfterDescription>[0] & {
  readonly description?: StringValueNode | undefined
}

function described(node: Describable): Described {
  return {
    Description: node.description?.value ?? '',
    BeforeDescriptionComment: node.description && commentsBefore(node.description),
    AfterDescriptionComment: commentsAfterDescription(node, node.description),
  }
}

/** gqlparser passes over what stands before an empty description within a definition. */
function describedWithin(node: Describable): Described {
  const whole = described(node)
  return whole.Description === '' ? { ...whole, BeforeDescriptionComment: undefined } : whole
}
