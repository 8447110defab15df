import fc from 'fast-check'
import { expect, test } from 'vitest'
import { equalValues, formatValue, fromJson, parseValue } from '../../../engine/value.ts'
import { ask, askIn, contextAt } from './ask.ts'

const q = (text: string) => JSON.stringify(text)

test('a part of an object is found however deep, and an array’s in one piece', () => {
  expect(ask('object.subset', '{"a": {"b": {1, 2}, "c": 3}}', '{"a": {"b": {2}}}')).toBe('true')
  expect(ask('object.subset', '{"a": {"b": 1}}', '{"a": {"b": 2}}')).toBe('false')
  expect(ask('object.subset', '[1, 2, 3]', '[2, 3]')).toBe('true')
  expect(ask('object.subset', '[1, 2, 3]', '[1, 3]')).toBe('false')
  expect(ask('object.subset', '[1, 2, 3]', '{1, 3}')).toBe('true')
  expect(ask('object.subset', '[1]', '{"a": 1}')).toBe('undefined')
})

test('paths through a graph end at its ends and where they close', () => {
  expect(ask('graph.reachable_paths', '{"a": ["b", "c"], "b": [], "c": {"a"}}', '["a"]')).toBe(
    '{["a", "b"], ["a", "c"]}',
  )
  expect(ask('graph.reachable_paths', '{"a": ["x"]}', '{"a", "z"}')).toBe('{["a"]}')
  const complete = Object.fromEntries(
    Array.from({ length: 12 }, (_, i) => [i, Array.from({ length: 12 }, (_, j) => `${j}`)]),
  )
  expect(() => ask('graph.reachable_paths', JSON.stringify(complete), '["0"]')).toThrow(RangeError)
})

test('ranges step up and down, and not without end', () => {
  expect(ask('numbers.range_step', '0', '7', '3')).toBe('[0, 3, 6]')
  expect(ask('numbers.range_step', '2', '-2', '2')).toBe('[2, 0, -2]')
  for (const by of ['0', '-1', '1.5', '"1"']) expect(ask('numbers.range_step', '0', '1', by)).toBe('undefined')
  expect(() => ask('numbers.range_step', '0', '1000000', '1')).toThrow(RangeError)
})

test('a patch is applied step by step, or not at all', () => {
  const patch = (target: string, ...operations: string[]) => ask('json.patch', target, `[${operations.join(',')}]`)
  expect(patch('{"a": [1, 2]}', '{"op": "add", "path": "/a/-", "value": 3}', '{"op": "remove", "path": "a/0"}')).toBe(
    '{"a": [2, 3]}',
  )
  expect(patch('{"a": {1}}', '{"op": "add", "path": ["a", 2], "value": 2}')).toBe('{"a": {1, 2}}')
  expect(patch('{"a": {[1]}}', '{"op": "add", "path": ["a", [1], 0], "value": 2}')).toBe('{"a": {[2, 1]}}')
  expect(patch('{"a": 1}', '{"op": "move", "from": "/a", "path": "/b~1c"}')).toBe('{"b/c": 1}')
  expect(patch('{"a": null}', '{"op": "copy", "from": "/a", "path": ""}')).toBe('null')
  expect(patch('1', '{"op": "remove", "path": ""}')).toBe('undefined')
  const wrong = [
    '"op": "test", "path": "/a", "value": 2',
    '"op": "remove", "path": "/b"',
    '"op": "add", "path": "/b/c", "value": 1',
    '"op": "x", "path": "/a"',
    '"op": "add", "path": "/a"',
    '"path": "/a"',
  ]
  for (const one of wrong) expect([one, patch('{"a": 1}', `{${one}}`)]).toEqual([one, 'undefined'])
})

test('JSON is printed as asked', () => {
  expect(ask('json.marshal_with_options', '{"b": {2, 1}, "a": "<"}', '{}')).toBe(q('{"a":"\\u003c","b":[1,2]}'))
  expect(ask('json.marshal_with_options', '{"a": [1, {}]}', '{"indent": " ", "prefix": ">"}')).toBe(
    q('>{\n> "a": [\n>  1,\n>  {}\n> ]\n>}'),
  )
  expect(ask('json.marshal_with_options', '{"a": 1.0}', '{"pretty": false, "indent": " "}')).toBe(q('{"a":1.0}'))
  expect(ask('json.marshal_with_options', '1', '{"other": 1}')).toBe('undefined')
})

test('a document is held against a schema, in OPA’s words', () => {
  const schema =
    '{"properties": {"id": {"type": "integer", "minimum": 1}, "tags": {"items": {"enum": ["a"]}}}, "required": ["id"], "additionalProperties": false}'
  expect(ask('json.match_schema', '{"id": 1.0, "tags": ["a"]}', schema)).toBe('[true, []]')
  const said = ask('json.match_schema', '{"tags": ["b"], "x": 0}', schema)
  for (const one of [
    '(Root): id is required',
    '(Root): Additional property x is not allowed',
    'tags.0: tags.0 must be one of the following: \\"a\\"',
  ]) {
    expect(said).toContain(`"error": "${one}"`)
  }
  expect(ask('json.match_schema', '"not JSON"', schema)).toBe('undefined')
  expect(ask('json.match_schema', '{}', '{"type": "no"}')).toBe('undefined')
  expect(ask('json.verify_schema', '{"type": "no"}')).toContain(
    '[false, "jsonschema: has a primitive type that is NOT VALID',
  )
  expect(ask('json.verify_schema', '1')).toBe('[false, "jsonschema: wrong type, expected string or object"]')
})

test('references lead within a schema, back to where they stand too, and nowhere else', () => {
  const tree =
    '{"definitions": {"node": {"properties": {"next": {"$ref": "#/definitions/node"}, "n": {"type": "number"}}}}, "$ref": "#/definitions/node"}'
  expect(ask('json.match_schema', '{"next": {"next": {"n": 1}}}', tree)).toBe('[true, []]')
  expect(ask('json.match_schema', '{"next": {"next": {"n": "1"}}}', tree)).toContain('"field": "next.next.n"')
  expect(
    ask(
      'json.match_schema',
      '[1]',
      '{"$id": "http://a.org/s", "items": {"$ref": "s#x"}, "definitions": {"y": {"$id": "#x", "type": "string"}}}',
    ),
  ).toContain('given: integer')
  expect(ask('json.verify_schema', '{"$ref": "http://example.org/s"}')).toContain('leads out of the schema')
  expect(ask('json.verify_schema', '{"$ref": "#/none"}')).toContain("has no key 'none'")
  expect(() => ask('json.match_schema', '{}', '{"$ref": "#"}')).toThrow(RangeError)
})

test('of a choice it is told what came closest', () => {
  const schema =
    '{"anyOf": [{"type": "string"}, {"required": ["a", "b"]}], "not": {"required": ["c"]}, "if": {"required": ["a"]}, "then": {"maxProperties": 1}, "else": false}'
  expect(ask('json.match_schema', '{"a": 1}', schema)).toContain('(Root): b is required')
  expect(ask('json.match_schema', '{"a": 1}', schema)).not.toContain('string')
  expect(ask('json.match_schema', '{"a": 1, "b": 2, "c": 3}', schema)).toContain('number_not')
  expect(ask('json.match_schema', '{"a": 1, "b": 2}', schema)).toContain('condition_then')
  expect(ask('json.match_schema', '{"b": 1}', schema)).toContain('condition_else')
})

test('YAML is read by go-yaml’s rules', () => {
  for (const [text, wanted] of Object.entries({
    'a: yes\nb: true': '{"a": "yes", "b": true}',
    '[0x1f, 010, 0o10, 1_000, 1e3, .5, ~]': '[31, 8, 8, 1000, 1000, 0.5, null]',
    '- 9007199254740993\n- 2023-01-01\n- "1"': '[9007199254740993, "2023-01-01", "1"]',
    'a: &x {b: 1, c: 2}\nd:\n  <<: *x\n  c: 3': '{"a": {"b": 1, "c": 2}, "d": {"b": 1, "c": 3}}',
    'a: 1\na: 2\n1: b': '{"1": "b", "a": 2}',
    '---\na\n---\nb': '"a"',
    'a: !!str 1': '{"a": "1"}',
    '': 'null',
  })) {
    expect([text, ask('yaml.unmarshal', q(text))]).toEqual([text, wanted])
  }
  for (const bad of ['a: [', 'a: b: c', '- .inf', 'a: *b', '{[1]: 2}', ' a:\nb: 1', '---\na\n---\n[']) {
    expect([bad, ask('yaml.unmarshal', q(bad)), ask('yaml.is_valid', q(bad))]).toEqual([bad, 'undefined', 'false'])
  }
  expect(ask('yaml.is_valid', '1')).toBe('false')
})

test('aliases that multiply are refused before they are expanded', () => {
  const lines = ['a0: &a0 [x, x, x, x, x, x, x, x, x, x]']
  for (let i = 1; i < 12; i++)
    lines.push(
      `a${i}: &a${i} [${Array(10)
        .fill(`*a${i - 1}`)
        .join(', ')}]`,
    )
  expect(() => ask('yaml.is_valid', q(lines.join('\n')))).toThrow('too large or too deep')
})

test('YAML is written as go-yaml writes it', () => {
  const value =
    '{"k10": [1, {"b": 2, "a": []}, [3]], "k9": "true", "m": "x: y", "t": "a\\nb\\n", "e": {}, "u": "\\u0001", "f": 1e21, "s": "it\'s", "q": "\'"}'
  expect(JSON.parse(ask('yaml.marshal', value))).toBe(
    `e: {}\nf: 1e+21\nk9: "true"\nk10:\n  - 1\n  - a: []\n    b: 2\n  - - 3\nm: 'x: y'\nq: ''''\ns: it's\nt: |\n  a\n  b\nu: "\\x01"\n`,
  )
})

test('what is written as YAML is read back as it was', () => {
  fc.assert(
    fc.property(fc.jsonValue({ noUnicodeString: false }), (json) => {
      const value = fromJson(JSON.parse(JSON.stringify(json)))
      expect(equalValues(parseValue(ask('yaml.unmarshal', ask('yaml.marshal', formatValue(value)))), value)).toBe(true)
    }),
    { numRuns: 300 },
  )
})

test('UUIDs are made from the seed, one for each key, and read in every form', () => {
  const context = contextAt()
  const [a, again, b] = ['"a"', '"a"', '"b"'].map((key) => askIn(context, 'uuid.rfc4122', key))
  expect(a).toMatch(/^"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"$/)
  expect([again, b === a]).toEqual([a, false])
  expect(askIn(contextAt(), 'uuid.rfc4122', '"a"')).toBe(a)
  expect(ask('uuid.parse', '"urn:uuid:6ba7b810-9dad-11d1-80b4-00c04fd430c8"')).toBe(
    '{"clocksequence": 180, "macvariables": "global:unicast", "nodeid": "00-c0-4f-d4-30-c8", "time": 886630433151182400, "variant": "RFC4122", "version": 1}',
  )
  expect(ask('uuid.parse', '"6ba7b8109dad41d180b400c04fd430c8"')).toBe('{"variant": "RFC4122", "version": 4}')
  for (const bad of [
    '',
    'x',
    '6ba7b810-9dad-11d1-80b4-00c04fd430cg',
    'urn:uuix:6ba7b810-9dad-11d1-80b4-00c04fd430c8',
  ]) {
    expect(ask('uuid.parse', q(bad))).toBe('undefined')
  }
})

test('what is drawn lies below the bound, is the same for the same key, and repeats with the seed', () => {
  const context = contextAt()
  const draws = Array.from({ length: 200 }, (_, i) => Number(askIn(context, 'rand.intn', `"${i}"`, '-10')))
  expect(new Set(draws)).toEqual(new Set([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]))
  expect(Array.from({ length: 200 }, (_, i) => Number(askIn(context, 'rand.intn', `"${i}"`, '10')))).toEqual(draws)
  expect(askIn(contextAt(), 'rand.intn', '"0"', '10')).toBe(String(draws[0]))
  expect(ask('rand.intn', '"x"', '0')).toBe('0')
})

test('nothing of the host shows', () => {
  expect(ask('opa.runtime')).toBe('{}')
  expect(ask('trace', '"note"')).toBe('true')
  expect(ask('trace', '1')).toBe('undefined')
})
