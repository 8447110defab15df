/** Is a query one that a schema answers? graphql-js holds it to the rules that gqlparser has. */

import {
  type ASTVisitor,
  buildASTSchema,
  FieldsOnCorrectTypeRule,
  FragmentsOnCompositeTypesRule,
  GraphQLError,
  type GraphQLSchema,
  getNamedType,
  isScalarType,
  isSpecifiedScalarType,
  Kind,
  KnownArgumentNamesRule,
  KnownDirectivesRule,
  KnownFragmentNamesRule,
  KnownOperationTypesRule,
  KnownTypeNamesRule,
  LoneAnonymousOperationRule,
  MaxIntrospectionDepthRule,
  NoFragmentCyclesRule,
  NoUndefinedVariablesRule,
  NoUnusedFragmentsRule,
  NoUnusedVariablesRule,
  OverlappingFieldsCanBeMergedRule,
  PossibleFragmentSpreadsRule,
  ProvidedRequiredArgumentsRule,
  ScalarLeafsRule,
  SingleFieldSubscriptionsRule,
  UniqueArgumentNamesRule,
  UniqueDirectivesPerLocationRule,
  UniqueFragmentNamesRule,
  UniqueInputFieldNamesRule,
  UniqueOperationNamesRule,
  UniqueVariableNamesRule,
  type ValidationContext,
  type ValidationRule,
  ValuesOfCorrectTypeRule,
  VariablesAreInputTypesRule,
  VariablesInAllowedPositionRule,
  validate,
} from 'graphql'
import { BuiltinError } from '../builtin.ts'
import type { QueryDocument } from './document.ts'
import { preludeTypes } from './prelude.ts'
import type { Schema } from './schema.ts'
import { definitionNode, directiveDefinitionNode, named, operationType, queryNodes } from './write.ts'

const rules: readonly ValidationRule[] = [
  FieldsOnCorrectTypeRule,
  FragmentsOnCompositeTypesRule,
  KnownArgumentNamesRule,
  KnownDirectivesRule,
  KnownFragmentNamesRule,
  KnownOperationTypesRule,
  KnownTypeNamesRule,
  LoneAnonymousOperationRule,
  MaxIntrospectionDepthRule,
  NoFragmentCyclesRule,
  NoUndefinedVariablesRule,
  NoUnusedFragmentsRule,
  NoUnusedVariablesRule,
  OverlappingFieldsCanBeMergedRule,
  PossibleFragmentSpreadsRule,
  ProvidedRequiredArgumentsRule,
  ScalarLeafsRule,
  SingleFieldSubscriptionsRule,
  UniqueArgumentNamesRule,
  UniqueDirectivesPerLocationRule,
  UniqueFragmentNamesRule,
  UniqueInputFieldNamesRule,
  UniqueOperationNamesRule,
  UniqueVariableNamesRule,
  ValuesOfCorrectTypeRule,
  VariablesAreInputTypesRule,
  VariablesInAllowedPositionRule,
  numbersInRange,
]

/** gqlparser reads integers as 64 bits and fractions as doubles, except for scalars that a schema makes up. */
function numbersInRange(context: ValidationContext): ASTVisitor {
  const isOwnScalar = (): boolean => {
    const type = getNamedType(context.getInputType())
    return isScalarType(type) && !isSpecifiedScalarType(type)
  }
  const check = (isIn: boolean): void => {
    if (!isIn && !isOwnScalar()) context.reportError(new GraphQLError('a number is out of range'))
  }
  return {
    IntValue: ({ value }) => check(value.length <= 20 && BigInt.asIntN(64, BigInt(value)) === BigInt(value)),
    FloatValue: ({ value }) => check(Number.isFinite(Number(value))),
  }
}

/** The schema as graphql-js wants it. Throws a BuiltinError. */
export function buildSchema({ types, directives, roots }: Schema): GraphQLSchema {
  const own = [...types.values()].filter((definition) => !preludeTypes.includes(definition))
  const operationTypes = [...roots].map(
    ([operation, type]) =>
      ({ kind: Kind.OPERATION_TYPE_DEFINITION, operation: operationType(operation), type: named(type) }) as const,
  )
  const definitions = [
    { kind: Kind.SCHEMA_DEFINITION, operationTypes } as const,
    ...[...directives.values()].map(directiveDefinitionNode),
    ...own.map(definitionNode),
  ]
  // The rules for schemas that count are those of schema.ts.
  return translated(() =>
    buildASTSchema({ kind: Kind.DOCUMENT, definitions }, { assumeValid: true, assumeValidSDL: true }),
  )
}

/** Throws a BuiltinError with the first rule that is broken. */
export function verifyQuery(schema: GraphQLSchema, query: QueryDocument): void {
  const definitions = queryNodes(query)
  const [broken] = translated(() => validate(schema, { kind: Kind.DOCUMENT, definitions }, rules, { maxErrors: 1 }))
  if (broken) throw new BuiltinError(`GraphQL: ${broken.message}`)
}

function translated<T>(work: () => T): T {
  try {
    return work()
  } catch (thrown) {
    throw new BuiltinError(`GraphQL: ${(thrown as Error).message}`)
  }
}
