/** A schema put together from definitions and what extends them, and the rules that gqlparser holds it to. */

import { BuiltinError } from '../builtin.ts'
import { checkDefinition } from './definition.ts'
import { checkArguments, checkDirectives, checkName } from './directives.ts'
import type { Definition, DirectiveDefinition, SchemaDocument } from './document.ts'
import { preludeDirectives, preludeTypes } from './prelude.ts'

export interface Schema {
  readonly types: ReadonlyMap<string, Definition>
  readonly directives: ReadonlyMap<string, DirectiveDefinition>
  /** Name of the type that each operation begins with. */
  readonly roots: ReadonlyMap<string, string>
  /** Names of the types that may stand where one is asked for. */
  readonly possible: ReadonlyMap<string, ReadonlySet<string>>
}

/** Throws a BuiltinError where a rule is broken. */
export function makeSchema(document: SchemaDocument): Schema {
  const types = typesOf(document)
  const directives = directivesOf(document)
  const schema = { types, directives, roots: rootsOf(document, types), possible: possibleTypes(types) }
  for (const { Directives } of [...document.Schema, ...document.SchemaExtension]) {
    checkDirectives(schema, Directives, 'SCHEMA')
  }
  for (const definition of types.values()) if (!isPrelude(definition)) checkDefinition(schema, definition)
  checkInputCircles(types)
  for (const directive of directives.values()) {
    checkName(directive.Name)
    checkArguments(schema, directive.Arguments, directive.Name)
  }
  return schema
}

const isPrelude = (definition: Definition): boolean => preludeTypes.includes(definition)

/** An extension of a type that is not there makes it. */
function typesOf({ Definitions, Extensions }: SchemaDocument): ReadonlyMap<string, Definition> {
  const types = new Map<string, Definition>()
  for (const definition of [...preludeTypes, ...Definitions]) {
    if (types.has(definition.Name)) throw new BuiltinError(`Cannot redeclare type ${definition.Name}.`)
    types.set(definition.Name, definition)
  }
  for (const extension of Extensions) {
    const base = types.get(extension.Name)
    if (base && base.Kind !== extension.Kind) {
      throw new BuiltinError(`Cannot extend type ${extension.Name} because the base type is a ${base.Kind}.`)
    }
    types.set(extension.Name, base ? extended(base, extension) : { ...extension, Description: '', BuiltIn: false })
  }
  return types
}

const extended = (base: Definition, extension: Definition): Definition => ({
  ...base,
  Directives: [...base.Directives, ...extension.Directives],
  Interfaces: [...base.Interfaces, ...extension.Interfaces],
  Fields: [...base.Fields, ...extension.Fields],
  Types: [...base.Types, ...extension.Types],
  EnumValues: [...base.EnumValues, ...extension.EnumValues],
})

/** Those of the prelude may be defined again, and then count as they were defined last. */
function directivesOf({ Directives }: SchemaDocument): ReadonlyMap<string, DirectiveDefinition> {
  const known = new Map(preludeDirectives.map((directive) => [directive.Name, directive]))
  const directives = new Map(known)
  for (const directive of Directives) {
    if (directives.has(directive.Name) && !known.has(directive.Name)) {
      throw new BuiltinError(`Cannot redeclare directive ${directive.Name}.`)
    }
    directives.set(directive.Name, directive)
  }
  return directives
}

/** By name where no schema definition says otherwise. */
function rootsOf(
  { Schema, SchemaExtension }: SchemaDocument,
  types: ReadonlyMap<string, Definition>,
): ReadonlyMap<string, string> {
  if (Schema.length > 1) throw new BuiltinError('Cannot have multiple schema entry points')
  const roots = new Map<string, string>()
  for (const { Operation, Type } of [...Schema, ...SchemaExtension].flatMap(({ OperationTypes }) => OperationTypes)) {
    if (!types.has(Type))
      throw new BuiltinError(`Schema root ${Operation} refers to a type ${Type} that does not exist.`)
    roots.set(Operation, Type)
  }
  if (Schema.length > 0) return roots
  for (const name of ['Query', 'Mutation', 'Subscription']) {
    const operation = name.toLowerCase()
    if (!roots.has(operation) && types.has(name)) roots.set(operation, name)
  }
  return roots
}

function possibleTypes(types: ReadonlyMap<string, Definition>): ReadonlyMap<string, ReadonlySet<string>> {
  const possible = new Map<string, Set<string>>()
  const add = (name: string, type: string): void => {
    const known = possible.get(name)
    if (known) known.add(type)
    else possible.set(name, new Set([type]))
  }
  for (const { Kind, Name, Types, Interfaces } of types.values()) {
    if (Kind === 'UNION') for (const type of Types) add(Name, type)
    if (Kind === 'OBJECT' || Kind === 'INPUT_OBJECT' || Kind === 'INTERFACE') {
      for (const type of Interfaces) add(type, Name)
      if (Kind !== 'INTERFACE') add(Name, Name)
    }
  }
  return possible
}

/** Input that must hold itself could never be written. */
function checkInputCircles(types: ReadonlyMap<string, Definition>): void {
  const done = new Set<string>()
  for (const start of types.keys()) {
    const path = new Set<string>()
    // A stack of its own: a schema may be a long chain.
    const stack: { readonly name: string; readonly leave: boolean }[] = [{ name: start, leave: false }]
    for (let at = stack.pop(); at; at = stack.pop()) {
      if (at.leave) {
        path.delete(at.name)
        done.add(at.name)
        continue
      }
      if (path.has(at.name)) throw new BuiltinError(`Cannot reference Input Object "${at.name}" within itself`)
      const definition = types.get(at.name)
      if (definition?.Kind !== 'INPUT_OBJECT' || done.has(at.name)) continue
      path.add(at.name)
      stack.push({ name: at.name, leave: true })
      for (const { Type } of definition.Fields) {
        if (Type.NonNull && Type.NamedType !== '') stack.push({ name: Type.NamedType, leave: false })
      }
    }
  }
}
