/** What every schema holds besides its own: the scalars, directives and introspection types that gqlparser puts there. */

import type { ArgumentDefinition, Definition, DirectiveDefinition } from './document.ts'

const type = (Kind: string, Name: string): Definition => ({
  Kind,
  Name,
  Description: '',
  Directives: [],
  Interfaces: [],
  Fields: [],
  Types: [],
  EnumValues: [],
  BuiltIn: true,
})

/** The introspection types by kind and name alone: nothing asks for their fields here. */
export const preludeTypes: readonly Definition[] = [
  ...['Int', 'Float', 'String', 'Boolean', 'ID'].map((name) => type('SCALAR', name)),
  ...['Schema', 'Type', 'Field', 'InputValue', 'EnumValue', 'Directive'].map((name) => type('OBJECT', `__${name}`)),
  ...['TypeKind', 'DirectiveLocation'].map((name) => type('ENUM', `__${name}`)),
]

const argument = (Name: string, NamedType: string, NonNull: boolean): ArgumentDefinition => ({
  Name,
  Description: '',
  Type: { NamedType, NonNull },
  Directives: [],
})

const directive = (
  Name: string,
  Arguments: readonly ArgumentDefinition[],
  ...Locations: readonly string[]
): DirectiveDefinition => ({ Name, Description: '', Arguments, Locations, IsRepeatable: false })

const fragments = ['FRAGMENT_SPREAD', 'INLINE_FRAGMENT'] as const

/** A schema may define these again. */
export const preludeDirectives: readonly DirectiveDefinition[] = [
  directive('defer', [argument('if', 'Boolean', false), argument('label', 'String', false)], ...fragments),
  directive('include', [argument('if', 'Boolean', true)], 'FIELD', ...fragments),
  directive('skip', [argument('if', 'Boolean', true)], 'FIELD', ...fragments),
  directive(
    'deprecated',
    [argument('reason', 'String', false)],
    ...['FIELD_DEFINITION', 'ARGUMENT_DEFINITION', 'INPUT_FIELD_DEFINITION', 'ENUM_VALUE'],
  ),
  directive('specifiedBy', [argument('url', 'String', true)], 'SCALAR'),
  directive('oneOf', [], 'INPUT_OBJECT'),
]
