/** Rules for directives, arguments and names in a schema. */

import { BuiltinError } from '../builtin.ts'
import {
  type ArgumentDefinition,
  type Definition,
  type Directive,
  type DirectiveDefinition,
  type TypeReference,
  valueKind,
} from './document.ts'

/** What names mean. */
export interface Names {
  readonly types: ReadonlyMap<string, Definition>
  readonly directives: ReadonlyMap<string, DirectiveDefinition>
}

export function checkName(name: string): void {
  if (name.startsWith('__')) throw new BuiltinError(`Name "${name}" must not begin with "__"`)
}

/** The name at the heart of lists. */
export function nameOf(type: TypeReference): string {
  return type.NamedType !== '' || !type.Elem ? type.NamedType : nameOf(type.Elem)
}

export function typeText({ NamedType, Elem, NonNull }: TypeReference): string {
  return `${Elem ? `[${typeText(Elem)}]` : NamedType}${NonNull ? '!' : ''}`
}

export function checkType({ types }: Names, type: TypeReference): Definition {
  const definition = types.get(nameOf(type))
  if (!definition) throw new BuiltinError(`Undefined type ${nameOf(type)}.`)
  return definition
}

const inputKinds: ReadonlySet<string> = new Set(['SCALAR', 'ENUM', 'INPUT_OBJECT'])

/** `within` is the directive whose arguments they are, which may not stand on them. */
export function checkArguments(names: Names, list: readonly ArgumentDefinition[], within?: string): void {
  for (const { Name, Type, Directives } of list) {
    checkName(Name)
    if (!inputKinds.has(checkType(names, Type).Kind)) {
      throw new BuiltinError(`cannot use ${typeText(Type)} as argument ${Name} because it is not a valid input type`)
    }
    if (Directives.some((directive) => directive.Name === within)) {
      throw new BuiltinError(`Directive ${within} cannot refer to itself.`)
    }
    checkDirectives(names, Directives, 'ARGUMENT_DEFINITION')
  }
}

/** `merged` directives come from several places, so that one may stand there more than once. */
export function checkDirectives(
  names: Names,
  list: readonly Directive[],
  location: string,
  merged: boolean = false,
): void {
  const seen = new Set<string>()
  for (const directive of list) {
    const { Name } = directive
    checkName(Name)
    const definition = names.directives.get(Name)
    if (!definition) throw new BuiltinError(`Undefined directive ${Name}.`)
    if (!merged && seen.has(Name) && !definition.IsRepeatable) {
      throw new BuiltinError(`The directive ${Name} can only be used once at this location.`)
    }
    seen.add(Name)
    if (!definition.Locations.includes(location)) {
      throw new BuiltinError(`Directive ${Name} is not applicable on ${location}.`)
    }
    checkGivenArguments(directive, definition)
  }
}

function checkGivenArguments({ Name, Arguments }: Directive, definition: DirectiveDefinition): void {
  const unknown = Arguments.find((given) => !definition.Arguments.some((one) => one.Name === given.Name))
  if (unknown) throw new BuiltinError(`Undefined argument ${unknown.Name} for directive ${Name}.`)
  for (const { Name: wanted, Type, DefaultValue } of definition.Arguments) {
    if (!Type.NonNull || DefaultValue) continue
    const given = Arguments.find((one) => one.Name === wanted)
    if (!given || given.Value.Kind === valueKind.null) {
      throw new BuiltinError(`Argument ${wanted} for directive ${Name} cannot be null.`)
    }
  }
}
