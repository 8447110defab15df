/** GraphQL documents in the shape of gqlparser's syntax tree, with its names, since that is what policies see. */

export interface TypeReference {
  /** Empty for a list. */
  readonly NamedType: string
  readonly Elem?: TypeReference | undefined
  readonly NonNull: boolean
}

/** What `Kind` of a value says. */
export const valueKind = {
  variable: 0,
  int: 1,
  float: 2,
  string: 3,
  block: 4,
  boolean: 5,
  null: 6,
  enum: 7,
  list: 8,
  object: 9,
} as const

export interface Literal {
  readonly Raw: string
  readonly Kind: number
  readonly Children: readonly Child[]
  readonly ExpectedTypeHasDefault: boolean
  readonly Comment?: Comments | undefined
}

/** Item of a list, whose name is empty, or member of an object. */
export interface Child {
  readonly Name: string
  readonly Value: Literal
  readonly Comment?: Comments | undefined
}

export interface Comments {
  readonly List: readonly { readonly Value: string }[]
}

export interface Argument {
  readonly Name: string
  readonly Value: Literal
  readonly Comment?: Comments | undefined
}

export interface Directive {
  readonly Name: string
  readonly Arguments: readonly Argument[]
  readonly Location: string
}

export interface Field {
  readonly Alias: string
  readonly Name: string
  readonly Arguments: readonly Argument[]
  readonly Directives: readonly Directive[]
  readonly SelectionSet: readonly Selection[]
  readonly Comment?: Comments | undefined
}

export interface FragmentSpread {
  readonly Name: string
  readonly Directives: readonly Directive[]
  readonly Comment?: Comments | undefined
}

export interface InlineFragment {
  readonly TypeCondition: string
  readonly Directives: readonly Directive[]
  readonly SelectionSet: readonly Selection[]
  readonly Comment?: Comments | undefined
}

export type Selection = Field | FragmentSpread | InlineFragment

export interface VariableDefinition {
  readonly Variable: string
  readonly Type: TypeReference
  readonly DefaultValue?: Literal | undefined
  readonly Directives: readonly Directive[]
  readonly Used: boolean
  readonly Comment?: Comments | undefined
}

export interface Operation {
  readonly Operation: string
  readonly Name: string
  readonly VariableDefinitions: readonly VariableDefinition[]
  readonly Directives: readonly Directive[]
  readonly SelectionSet: readonly Selection[]
  readonly Comment?: Comments | undefined
}

export interface Fragment {
  readonly Name: string
  readonly VariableDefinition: readonly VariableDefinition[]
  readonly TypeCondition: string
  readonly Directives: readonly Directive[]
  readonly SelectionSet: readonly Selection[]
  readonly Comment?: Comments | undefined
}

export interface QueryDocument {
  readonly Operations: readonly Operation[]
  readonly Fragments: readonly Fragment[]
}

/** What is said about a definition around it. */
export interface Described {
  readonly Description: string
  readonly BeforeDescriptionComment?: Comments | undefined
  readonly AfterDescriptionComment?: Comments | undefined
}

export interface ArgumentDefinition extends Described {
  readonly Name: string
  readonly DefaultValue?: Literal | undefined
  readonly Type: TypeReference
  readonly Directives: readonly Directive[]
}

export interface FieldDefinition extends ArgumentDefinition {
  readonly Arguments: readonly ArgumentDefinition[]
}

export interface EnumValueDefinition extends Described {
  readonly Name: string
  readonly Directives: readonly Directive[]
}

/** A type, or what extends one. */
export interface Definition extends Described {
  /** SCALAR, OBJECT, INTERFACE, UNION, ENUM or INPUT_OBJECT. */
  readonly Kind: string
  readonly Name: string
  readonly Directives: readonly Directive[]
  readonly Interfaces: readonly string[]
  readonly Fields: readonly FieldDefinition[]
  /** Of a union. */
  readonly Types: readonly string[]
  readonly EnumValues: readonly EnumValueDefinition[]
  readonly BuiltIn: boolean
  readonly EndOfDefinitionComment?: Comments | undefined
}

export interface DirectiveDefinition extends Described {
  readonly Name: string
  readonly Arguments: readonly ArgumentDefinition[]
  readonly Locations: readonly string[]
  readonly IsRepeatable: boolean
}

export interface OperationType {
  readonly Operation: string
  readonly Type: string
  readonly Comment?: Comments | undefined
}

export interface SchemaDefinition extends Described {
  readonly Directives: readonly Directive[]
  readonly OperationTypes: readonly OperationType[]
  readonly EndOfDefinitionComment?: Comments | undefined
}

export interface SchemaDocument {
  readonly Schema: readonly SchemaDefinition[]
  readonly SchemaExtension: readonly SchemaDefinition[]
  readonly Directives: readonly DirectiveDefinition[]
  readonly Definitions: readonly Definition[]
  readonly Extensions: readonly Definition[]
  readonly Comment?: Comments | undefined
}
