/** Rules for one type of a schema. */

import { BuiltinError } from '../builtin.ts'
import { checkArguments, checkDirectives, checkName, checkType, type Names, nameOf } from './directives.ts'
import type { Definition, FieldDefinition, TypeReference } from './document.ts'

export interface NamesAndKin extends Names {
  readonly possible: ReadonlyMap<string, ReadonlySet<string>>
}

export function checkDefinition(names: NamesAndKin, definition: Definition): void {
  const { Kind, Name, Fields, Types, EnumValues } = definition
  for (const field of Fields) checkField(names, Kind, field)
  for (const type of Types) {
    if (names.types.get(type)?.Kind !== 'OBJECT') throw new BuiltinError(`${Kind} type "${type}" must be OBJECT.`)
  }
  for (const type of definition.Interfaces) checkImplements(names, definition, type)
  checkKind(names, definition)
  checkOnce(Fields.map((field) => field.Name))
  checkOnce(EnumValues.map((value) => value.Name))
  checkOnce(Types)
  if (!definition.BuiltIn) checkName(Name)
  checkDirectives(names, definition.Directives, Kind, true)
}

function checkField(names: Names, kind: string, { Name, Type, Arguments, Directives }: FieldDefinition): void {
  checkName(Name)
  checkType(names, Type)
  checkArguments(names, Arguments)
  checkDirectives(names, Directives, kind === 'INPUT_OBJECT' ? 'INPUT_FIELD_DEFINITION' : 'FIELD_DEFINITION')
}

const outputKinds: ReadonlySet<string> = new Set(['SCALAR', 'OBJECT', 'INTERFACE', 'UNION', 'ENUM'])
const inputKinds: ReadonlySet<string> = new Set(['SCALAR', 'ENUM', 'INPUT_OBJECT'])

function checkKind(names: Names, { Kind, Name, Fields, EnumValues }: Definition): void {
  switch (Kind) {
    case 'OBJECT':
    case 'INTERFACE':
    case 'INPUT_OBJECT': {
      if (Fields.length === 0) throw new BuiltinError(`${Kind} ${Name}: must define one or more fields.`)
      const kinds = Kind === 'INPUT_OBJECT' ? inputKinds : outputKinds
      const wrong = Fields.find(({ Type }) => !kinds.has(checkType(names, Type).Kind))
      if (wrong) throw new BuiltinError(`${Kind} ${Name}: field must be one of ${[...kinds].join(', ')}.`)
      return
    }
    case 'ENUM':
      if (EnumValues.length === 0) throw new BuiltinError(`ENUM ${Name}: must define one or more unique enum values.`)
      for (const value of EnumValues) {
        if (/^(?:true|false|null)$/.test(value.Name))
          throw new BuiltinError(`ENUM ${Name}: non-enum value ${value.Name}.`)
        checkDirectives(names, value.Directives, 'ENUM_VALUE')
      }
  }
}

function checkOnce(names: readonly string[]): void {
  if (new Set(names).size < names.length) throw new BuiltinError('A member can only be defined once.')
}

/** https://spec.graphql.org/October2021/#IsValidImplementation() */
function checkImplements(names: NamesAndKin, { Name, Fields, Interfaces }: Definition, type: string): void {
  const wanted = names.types.get(type)
  if (wanted?.Kind !== 'INTERFACE') throw new BuiltinError(`"${type}" is no interface.`)
  for (const required of wanted.Fields) {
    const found = Fields.find((field) => field.Name === required.Name)
    if (!found) throw new BuiltinError(`For ${Name} to implement ${type} it must have a field called ${required.Name}.`)
    checkImplementation(names, required, found)
  }
  const missing = wanted.Interfaces.find((one) => !Interfaces.includes(one))
  if (missing) throw new BuiltinError(`Type ${Name} must implement ${missing} because it is implemented by ${type}.`)
}

function checkImplementation(names: NamesAndKin, required: FieldDefinition, found: FieldDefinition): void {
  if (!isCovariant(names, required.Type, found.Type)) {
    throw new BuiltinError(`the field ${required.Name} must have type ${nameOf(required.Type)}.`)
  }
  for (const argument of required.Arguments) {
    const own = found.Arguments.find(({ Name }) => Name === argument.Name)
    if (!own || !isCompatible(argument.Type, own.Type)) {
      throw new BuiltinError(`the field ${required.Name} must have the same arguments`)
    }
  }
  const surplus = found.Arguments.filter(({ Name }) => !required.Arguments.some((one) => one.Name === Name))
  if (surplus.some(({ Type, DefaultValue }) => Type.NonNull && !DefaultValue)) {
    throw new BuiltinError(`any additional arguments on ${found.Name} must be optional or have a default value`)
  }
}

/** May a field of `actual` type stand where one of `required` type is promised? */
function isCovariant(names: NamesAndKin, required: TypeReference, actual: TypeReference): boolean {
  if (required.NonNull && !actual.NonNull) return false
  if (required.NamedType !== '') {
    const possible = names.possible.get(required.NamedType)
    return required.NamedType === actual.NamedType || possible?.has(actual.NamedType) === true
  }
  return required.Elem !== undefined && actual.Elem !== undefined && isCovariant(names, required.Elem, actual.Elem)
}

/** The same type, or one that is stricter where the other is not. */
function isCompatible(type: TypeReference, other: TypeReference): boolean {
  if (type.NamedType !== other.NamedType) return false
  if (type.Elem && !(other.Elem && isCompatible(type.Elem, other.Elem))) return false
  return !other.NonNull || type.NonNull
}
