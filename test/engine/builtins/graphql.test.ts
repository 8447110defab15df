import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Json } from '../../../core/json.ts'
import { BuiltinError, LimitError } from '../../../engine/builtins/builtin.ts'
import { graphql } from '../../../engine/builtins/graphql.ts'
import { makePatternCache, type PatternCache } from '../../../engine/builtins/patterns.ts'
import { fromJson, toJson, type Value } from '../../../engine/value.ts'
import { contextAt } from './context.ts'

const context = contextAt()
const call = (name: string, ...args: readonly Json[]): Json =>
  toJson(graphql[`graphql.${name}`]!(context, ...args.map(fromJson)) as Value)

const schema = `
  type Query { user(id: ID!): User pets(first: Int = 10): [Pet!]! }
  type Mutation { rename(input: Rename!): User }
  type User { id: ID! name: String pets: [Pet!] }
  interface Pet { name: String }
  type Dog implements Pet { name: String barks: Boolean }
  union Any = Dog | User
  input Rename { id: ID! name: String! }
  enum Size { SMALL BIG }
`

describe('parse_query', () => {
  test("shows gqlparser's tree, without what is empty", () => {
    expect(
      call(
        'parse_query',
        'query Q($id: ID!) { u: user(id: $id) @include(if: true) { ...F ... on User { name } } } fragment F on User { id }',
      ),
    ).toEqual({
      Operations: [
        {
          Operation: 'query',
          Name: 'Q',
          VariableDefinitions: [{ Variable: 'id', Type: { NamedType: 'ID', NonNull: true }, Used: false }],
          SelectionSet: [
            {
              Alias: 'u',
              Name: 'user',
              Arguments: [{ Name: 'id', Value: { Raw: 'id', Kind: 0, ExpectedTypeHasDefault: false } }],
              Directives: [
                {
                  Name: 'include',
                  Arguments: [{ Name: 'if', Value: { Raw: 'true', Kind: 5, ExpectedTypeHasDefault: false } }],
                  Location: '',
                },
              ],
              SelectionSet: [{ Name: 'F' }, { TypeCondition: 'User', SelectionSet: [{ Alias: 'name', Name: 'name' }] }],
            },
          ],
        },
      ],
      Fragments: [{ Name: 'F', TypeCondition: 'User', SelectionSet: [{ Alias: 'id', Name: 'id' }] }],
    })
  })

  test('keeps the comments that stand before something', () => {
    const query = '# one\n# two\nquery Q { # alias\n a(# arg\n x: 1) }'
    expect(call('parse_query', query)).toMatchObject({
      Operations: [
        {
          Comment: { List: [{ Value: '# one' }, { Value: '# two' }] },
          SelectionSet: [
            { Comment: { List: [{ Value: '# alias' }] }, Arguments: [{ Comment: { List: [{ Value: '# arg' }] } }] },
          ],
        },
      ],
    })
  })

  test.each([
    ['nothing', '', {}],
    ['a list of numbers', '{ f(x: [1, 2.5]) }', undefined],
  ])('reads %s', (_, query, expected) => {
    const parsed = call('parse_query', query)
    if (expected) expect(parsed).toEqual(expected)
    expect(parsed).toBeTypeOf('object')
  })

  test.each([
    ['a selection of nothing', '{ a {} }'],
    ['a type', 'type A { a: Int }'],
    ['a description', '"about" query { a }'],
    ['arguments for a fragment', '{ ...F(x: 1) } fragment F on T { a }'],
    ['an open brace', '{ a'],
  ])('refuses %s', (_, query) => {
    expect(() => call('parse_query', query)).toThrow(BuiltinError)
  })

  test('a query as deep as is allowed is read, a deeper one is not', () => {
    const nested = (depth: number) => `${'{ a '.repeat(depth)}${'}'.repeat(depth)}`
    expect(call('parse_query', nested(200))).toBeTypeOf('object')
    expect(() => call('parse_query', nested(201))).toThrow('nested more than 200 deep')
    expect(() => call('parse_query', nested(100_000))).toThrow(LimitError)
  })

  test('a query as long as is allowed is read, a longer one is not', () => {
    const long = (tokens: number) => `{ ${'a '.repeat(tokens - 2)} }`
    expect(call('parse_query', long(10_000))).toBeTypeOf('object')
    expect(() => call('parse_query', long(10_001))).toThrow('more than 10000 tokens')
  })

  test('any text is read or refused', () => {
    const word = fc.constantFrom(
      ...'{}()[]:=!$@|&#"'.split(''),
      '...',
      'query',
      'fragment',
      'on',
      'type',
      'a',
      '1',
      '"""',
      '\n',
    )
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.array(word, { maxLength: 30 }).map((words) => words.join(' ')),
        ),
        (text) => {
          for (const name of ['parse_query', 'parse_schema']) {
            try {
              call(name, text)
            } catch (thrown) {
              expect(thrown).toBeInstanceOf(BuiltinError)
            }
          }
          expect(call('is_valid', text, schema)).toBeTypeOf('boolean')
          expect(call('schema_is_valid', text)).toBeTypeOf('boolean')
        },
      ),
    )
  })
})

describe('schema_is_valid', () => {
  test.each([
    [true, 'extensions of what is not there', 'extend type A { a: Int }'],
    [true, 'an interface that is met', 'interface I { a: I } type A implements I { a: A }'],
    [false, 'an interface that is not', 'interface I { a: Int! } type A implements I { a: Int }'],
    [false, 'a type twice', 'type A { a: Int } type A { b: Int }'],
    [false, 'a type of the language again', 'scalar Int'],
    [false, 'a reserved name', 'type __A { a: Int }'],
    [false, 'an unknown type', 'type A { a: B }'],
    [false, 'input where output is asked', 'type A { a: I } input I { a: Int }'],
    [false, 'output where input is asked', 'type A { a(x: A): Int }'],
    [false, 'input that holds itself', 'input I { a: J! } input J { a: I! }'],
    [true, 'input that may hold itself', 'input I { a: J! } input J { a: I }'],
    [false, 'a union of what is no object', 'union U = E enum E { A }'],
    [false, 'a directive in another place', 'directive @d on FIELD type A @d { a: Int }'],
    [true, 'a directive in its place', 'directive @d on OBJECT type A @d { a: Int }'],
    [false, 'a directive without its argument', 'directive @d(x: Int!) on OBJECT type A @d { a: Int }'],
    [false, 'two schemas', 'schema { query: A } schema { query: A } type A { a: Int }'],
    [false, 'a query', '{ a }'],
  ])('%s for %s', (valid, _, text) => {
    expect(call('schema_is_valid', text)).toBe(valid)
  })

  test('a chain of input is followed however long it is', () => {
    const links = Array.from({ length: 5000 }, (_, i) => `input I${i} { a: I${i + 1}! }`).join(' ')
    expect(call('schema_is_valid', `${links} input I5000 { a: Int }`)).toBe(true)
    expect(call('schema_is_valid', `${links} input I5000 { a: I0! }`)).toBe(false)
  })
})

describe('is_valid', () => {
  test.each([
    [true, 'a field', '{ pets { name } }'],
    [false, 'a field that is not there', '{ cats { name } }'],
    [false, 'an object without a selection', '{ pets }'],
    [true, 'a field of one kind of pet', '{ pets { ... on Dog { barks } } }'],
    [false, 'a field that only one kind of pet has', '{ pets { barks } }'],
    [false, 'a required argument left out', '{ user { id } }'],
    [true, 'a variable', 'query($id: ID!) { user(id: $id) { id } }'],
    [false, 'a variable that may be null', 'query($id: ID) { user(id: $id) { id } }'],
    [false, 'a variable that is not used', 'query($id: ID) { pets { name } }'],
    [false, 'a value of another type', '{ pets(first: "ten") { name } }'],
    [true, 'a mutation', 'mutation { rename(input: { id: 1, name: "x" }) { id } }'],
    [false, 'a mutation without all of its input', 'mutation { rename(input: { id: 1 }) { id } }'],
    [false, 'a subscription that the schema has not', 'subscription { pets { name } }'],
    [false, 'two fields under one name', '{ pets { x: name } pets(first: 2) { x: name } }'],
    [false, 'a fragment that holds itself', '{ pets { ...F } } fragment F on Pet { ...F }'],
    [false, 'a number beyond 64 bits', '{ user(id: 99999999999999999999) { id } }'],
    [false, 'a syntax error', '{'],
  ])('%s for %s', (valid, _, query) => {
    expect(call('is_valid', query, schema)).toBe(valid)
  })

  test('trees are taken where texts are', () => {
    const [query, other] = ['{ pets { name } }', '{ cats }'].map((text) => call('parse_query', text))
    const parsed = call('parse_schema', schema)
    expect(call('is_valid', query!, parsed)).toBe(true)
    expect(call('is_valid', other!, parsed)).toBe(false)
    expect(call('is_valid', query!, schema)).toBe(true)
    expect(call('schema_is_valid', parsed)).toBe(true)
    expect(call('is_valid', { Operations: 1 }, parsed)).toBe(false)
    expect(call('is_valid', 1, schema)).toBe(false)
  })

  test('the same schema is read once', () => {
    const kept = makePatternCache()
    let read = 0
    const patterns: PatternCache = {
      compiled: (kind, text, compile) =>
        kept.compiled(kind, text, () => {
          read++
          return compile()
        }),
    }
    const isValid = () => graphql['graphql.is_valid']!({ ...context, patterns }, '{ pets { name } }', schema)
    expect([isValid(), isValid(), read]).toEqual([true, true, 1])
  })

  test('a query that would take long to compare is refused in time', () => {
    const slow = `{ ${'pets { name } '.repeat(1900)} }`
    expect(call('is_valid', slow, schema)).toBe(false)
    expect(call('is_valid', `{ ${'pets { name } '.repeat(100)} }`, schema)).toBe(true)
  })
})

describe('parse', () => {
  test('gives both trees of a query that holds, and nothing of one that does not', () => {
    const query = '{ pets { name } }'
    const trees = [call('parse_query', query), call('parse_schema', schema)]
    expect(call('parse', query, schema)).toEqual(trees)
    expect(call('parse_and_verify', query, schema)).toEqual([true, ...trees])
    expect(() => call('parse', '{ cats }', schema)).toThrow(BuiltinError)
    expect(call('parse_and_verify', '{ cats }', schema)).toEqual([false, {}, {}])
    expect(call('parse_and_verify', query, 'type')).toEqual([false, {}, {}])
  })
})
