/** `graphql.*`: queries and schemas are read into syntax trees, and queries held against schemas. */

import type { GraphQLSchema } from 'graphql'
import { RegoObject, type Value } from '../value.ts'
import { type BuiltinContext, BuiltinError, type BuiltinFamily } from './builtin.ts'
import type { QueryDocument, SchemaDocument } from './graphql/document.ts'
import { readQuery } from './graphql/query.ts'
import { makeSchema } from './graphql/schema.ts'
import { documentValue, queryOf, schemaOf } from './graphql/shape.ts'
import { parseText, queryLimits, schemaLimits } from './graphql/text.ts'
import { readSchema } from './graphql/types.ts'
import { buildSchema, verifyQuery } from './graphql/verify.ts'
import { stringOf } from './operand.ts'

export const graphql: BuiltinFamily = {
  'graphql.parse': parse,
  'graphql.parse_and_verify': (context, query, schema) =>
    orElse(() => [true, ...parse(context, query!, schema!)], [false, new RegoObject([]), new RegoObject([])]),
  'graphql.parse_query': (_, query) => documentValue(readQuery(parseText(stringOf(query!), queryLimits))),
  'graphql.parse_schema': (context, schema) => documentValue(schemaIn(context, stringOf(schema!)).document),
  'graphql.is_valid': (context, query, schema) =>
    orElse(() => {
      verifyQuery(schemaIn(context, schema!).graphql(), queryIn(query!))
      return true
    }, false),
  'graphql.schema_is_valid': (context, schema) =>
    orElse(() => schemaIn(context, schema!).graphql() !== undefined, false),
}

function parse(context: BuiltinContext, query: Value, schema: Value): readonly [Value, Value] {
  const queryDocument = queryIn(query)
  const { document, graphql: built } = schemaIn(context, schema)
  verifyQuery(built(), queryDocument)
  return [documentValue(queryDocument), documentValue(document)]
}

/** Text, or a syntax tree. */
function queryIn(value: Value): QueryDocument {
  if (typeof value === 'string') return readQuery(parseText(value, queryLimits))
  if (value instanceof RegoObject) return queryOf(value)
  throw new BuiltinError('a query is a string or an object')
}

interface KnownSchema {
  readonly document: SchemaDocument
  /** Throws a BuiltinError where the schema breaks a rule. */
  readonly graphql: () => GraphQLSchema
}

/** Policies hold many queries against few schemas, so what was read of a text is kept. */
function schemaIn({ patterns }: BuiltinContext, value: Value): KnownSchema {
  if (typeof value === 'string') {
    return patterns.compiled('graphql schema', value, () => known(readSchema(parseText(value, schemaLimits))))
  }
  if (value instanceof RegoObject) return known(schemaOf(value))
  throw new BuiltinError('a schema is a string or an object')
}

function known(document: SchemaDocument): KnownSchema {
  let built: GraphQLSchema | undefined
  return {
    document,
    graphql: () => (built ??= buildSchema(makeSchema(document))),
  }
}

function orElse(work: () => Value, otherwise: Value): Value {
  try {
    return work()
  } catch (thrown) {
    if (thrown instanceof BuiltinError) return otherwise
    throw thrown
  }
}
