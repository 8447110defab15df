/** Documents to and from Rego's values. Policies may hand back the syntax trees that they were given. */

import { isArray, isNumber, objectOf, RegoObject, toInteger, type Value } from '../../value.ts'
import { BuiltinError } from '../builtin.ts'
import type {
  Argument,
  ArgumentDefinition,
  Child,
  Definition,
  Directive,
  DirectiveDefinition,
  EnumValueDefinition,
  Field,
  FieldDefinition,
  Fragment,
  Literal,
  Operation,
  OperationType,
  QueryDocument,
  SchemaDefinition,
  SchemaDocument,
  Selection,
  TypeReference,
  VariableDefinition,
} from './document.ts'

type Plain = string | number | boolean | undefined | readonly Plain[] | { readonly [name: string]: Plain }

/** Members without content are left out: nothing, empty lists, objects of which nothing is left. */
export function documentValue(document: QueryDocument | SchemaDocument): Value {
  return pruned(document as unknown as Plain) ?? objectOf([])
}

function pruned(plain: Plain): Value | undefined {
  if (typeof plain !== 'object') return plain
  if (Array.isArray(plain)) {
    const items = (plain as readonly Plain[]).flatMap((item) => pruned(item) ?? [])
    return items.length === 0 ? undefined : items
  }
  const entries: [Value, Value][] = []
  for (const [name, member] of Object.entries(plain)) {
    const value = pruned(member)
    if (value !== undefined) entries.push([name, value])
  }
  return entries.length === 0 ? undefined : objectOf(entries)
}

type Read<T> = (value: Value | undefined) => T

export const queryOf: Read<QueryDocument> = (value) => ({
  Operations: list(value, 'Operations', operation),
  Fragments: list(value, 'Fragments', fragment),
})

export const schemaOf: Read<SchemaDocument> = (value) => ({
  Schema: list(value, 'Schema', schemaDefinition),
  SchemaExtension: list(value, 'SchemaExtension', schemaDefinition),
  Directives: list(value, 'Directives', directiveDefinition),
  Definitions: list(value, 'Definitions', definition),
  Extensions: list(value, 'Extensions', definition),
})

const operation: Read<Operation> = (value) => ({
  Operation: text(value, 'Operation'),
  Name: text(value, 'Name'),
  VariableDefinitions: list(value, 'VariableDefinitions', variable),
  Directives: list(value, 'Directives', directive),
  SelectionSet: list(value, 'SelectionSet', selection),
})

const fragment: Read<Fragment> = (value) => ({
  Name: text(value, 'Name'),
  VariableDefinition: list(value, 'VariableDefinition', variable),
  TypeCondition: text(value, 'TypeCondition'),
  Directives: list(value, 'Directives', directive),
  SelectionSet: list(value, 'SelectionSet', selection),
})

/** OPA reads every selection as a field, so that a fragment is one without a name, which no type has. */
const selection: Read<Selection> = (value) => field(value)

const field: Read<Field> = (value) => ({
  Alias: text(value, 'Alias'),
  Name: text(value, 'Name'),
  Arguments: list(value, 'Arguments', argument),
  Directives: list(value, 'Directives', directive),
  SelectionSet: list(value, 'SelectionSet', selection),
})

const variable: Read<VariableDefinition> = (value) => ({
  Variable: text(value, 'Variable'),
  Type: typeReference(member(value, 'Type')),
  DefaultValue: optional(value, 'DefaultValue', literal),
  Directives: list(value, 'Directives', directive),
  Used: flag(value, 'Used'),
})

const directive: Read<Directive> = (value) => ({
  Name: text(value, 'Name'),
  Arguments: list(value, 'Arguments', argument),
  Location: text(value, 'Location'),
})

const argument: Read<Argument> = (value) => ({ Name: text(value, 'Name'), Value: literal(member(value, 'Value')) })

const child: Read<Child> = (value) => ({ Name: text(value, 'Name'), Value: literal(member(value, 'Value')) })

const literal: Read<Literal> = (value) => ({
  Raw: text(value, 'Raw'),
  Kind: count(value, 'Kind'),
  Children: list(value, 'Children', child),
  ExpectedTypeHasDefault: flag(value, 'ExpectedTypeHasDefault'),
})

const typeReference: Read<TypeReference> = (value) => ({
  NamedType: text(value, 'NamedType'),
  Elem: optional(value, 'Elem', typeReference),
  NonNull: flag(value, 'NonNull'),
})

const schemaDefinition: Read<SchemaDefinition> = (value) => ({
  Description: text(value, 'Description'),
  Directives: list(value, 'Directives', directive),
  OperationTypes: list(value, 'OperationTypes', operationType),
})

const operationType: Read<OperationType> = (value) => ({
  Operation: text(value, 'Operation'),
  Type: text(value, 'Type'),
})

const directiveDefinition: Read<DirectiveDefinition> = (value) => ({
  Description: text(value, 'Description'),
  Name: text(value, 'Name'),
  Arguments: list(value, 'Arguments', argumentDefinition),
  Locations: list(value, 'Locations', word),
  IsRepeatable: flag(value, 'IsRepeatable'),
})

const definition: Read<Definition> = (value) => ({
  Kind: text(value, 'Kind'),
  Description: text(value, 'Description'),
  Name: text(value, 'Name'),
  Directives: list(value, 'Directives', directive),
  Interfaces: list(value, 'Interfaces', word),
  Fields: list(value, 'Fields', fieldDefinition),
  Types: list(value, 'Types', word),
  EnumValues: list(value, 'EnumValues', enumValue),
  BuiltIn: flag(value, 'BuiltIn'),
})

const argumentDefinition: Read<ArgumentDefinition> = (value) => ({
  Description: text(value, 'Description'),
  Name: text(value, 'Name'),
  DefaultValue: optional(value, 'DefaultValue', literal),
  Type: typeReference(member(value, 'Type')),
  Directives: list(value, 'Directives', directive),
})

const fieldDefinition: Read<FieldDefinition> = (value) => ({
  ...argumentDefinition(value),
  Arguments: list(value, 'Arguments', argumentDefinition),
})

const enumValue: Read<EnumValueDefinition> = (value) => ({
  Description: text(value, 'Description'),
  Name: text(value, 'Name'),
  Directives: list(value, 'Directives', directive),
})

const word: Read<string> = (value) => (typeof value === 'string' ? value : wrong('a text'))

/** Null counts as nothing, as in Go. */
function member(value: Value | undefined, name: string): Value | undefined {
  if (!(value instanceof RegoObject)) return wrong('an object')
  return value.get(name) ?? undefined
}

function list<T>(value: Value | undefined, name: string, read: Read<T>): readonly T[] {
  const items = member(value, name)
  if (items === undefined) return []
  return isArray(items) ? items.map(read) : wrong('a list')
}

function optional<T>(value: Value | undefined, name: string, read: Read<T>): T | undefined {
  const found = member(value, name)
  return found === undefined ? undefined : read(found)
}

function text(value: Value | undefined, name: string): string {
  return word(member(value, name) ?? '')
}

function flag(value: Value | undefined, name: string): boolean {
  const found = member(value, name) ?? false
  return typeof found === 'boolean' ? found : wrong('true or false')
}

function count(value: Value | undefined, name: string): number {
  const found = member(value, name) ?? 0
  return Number((isNumber(found) ? toInteger(found) : undefined) ?? wrong('an integer'))
}

function wrong(wanted: string): never {
  throw new BuiltinError(`this is no syntax tree of GraphQL: ${wanted} is expected`)
}
