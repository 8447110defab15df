import fc from 'fast-check'
import { expect, test } from 'vitest'
import { ask } from './ask.ts'

const q = (text: string) => JSON.stringify(text)

test('prefixes and suffixes are sought in one text or many', () => {
  expect(ask('strings.any_prefix_match', '"abc"', '{"b", "ab"}')).toBe('true')
  expect(ask('strings.any_prefix_match', '["x", "y"]', '"z"')).toBe('false')
  expect(ask('strings.any_suffix_match', '{"abc"}', '["bc"]')).toBe('true')
  expect(ask('strings.any_suffix_match', '1', '["bc"]')).toBe('undefined')
})

test('places and counts are in characters, not in halves of them', () => {
  expect(ask('indexof_n', '"𝄞a𝄞a"', '"a"')).toBe('[1, 3]')
  expect(ask('indexof_n', '"aaa"', '"aa"')).toBe('[0, 1]')
  expect(ask('indexof_n', '"a"', '""')).toBe('undefined')
  expect(ask('strings.count', '"aaa"', '"aa"')).toBe('1')
  expect(ask('strings.count', '"𝄞é"', '""')).toBe('3')
})

test('a text is split into its first parts, or for a negative number its last', () => {
  expect(ask('strings.split_n', '"a,b,c"', '","', '2')).toBe('["a", "b"]')
  expect(ask('strings.split_n', '"a,b,c"', '","', '-2')).toBe('["b", "c"]')
  expect(ask('strings.split_n', '"é𝄞"', '""', '5')).toBe('["é", "𝄞"]')
})

test('bytes and text change into each other, or are undefined', () => {
  expect(ask('hex.decode', ask('hex.encode', '"é"'))).toBe('"é"')
  expect(ask('hex.decode', '"C3A9"')).toBe('"é"')
  for (const bad of ['"zz"', '"a"', '1']) expect(ask('hex.decode', bad)).toBe('undefined')
  expect(ask('base64url.encode_no_pad', '"a?>"')).toBe('"YT8-"')
})

test('queries are escaped and read as Go has them', () => {
  expect(ask('urlquery.encode', '"a b&é/~"')).toBe('"a+b%26%C3%A9%2F~"')
  expect(ask('urlquery.decode', '"a+b%26"')).toBe('"a b&"')
  expect(ask('urlquery.decode', '"%zz"')).toBe('undefined')
  expect(ask('urlquery.encode_object', '{"b": ["2", "1"], "a": {"x"}, "c": "d e"}')).toBe('"a=x&b=2&b=1&c=d+e"')
  expect(ask('urlquery.encode_object', '{"a": 1}')).toBe('undefined')
  expect(ask('urlquery.decode_object', '"a=1&a=2&b&=c"')).toBe('{"": ["c"], "a": ["1", "2"], "b": [""]}')
  expect(ask('urlquery.decode_object', '"a;b"')).toBe('undefined')
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      expect(ask('urlquery.decode', ask('urlquery.encode', q(text)))).toBe(q(text))
    }),
  )
})

test('a URI is taken apart, and refused where Go refuses it', () => {
  expect(ask('uri.parse', '"HTTPS://u:p@example.org:8443/a%2Fb/c?x=1#f%20g"')).toBe(
    '{"fragment": "f g", "hostname": "example.org", "path": "/a/b/c", "port": "8443", "raw_path": "/a%2Fb/c", "raw_query": "x=1", "scheme": "https"}',
  )
  expect(ask('uri.parse', '"http://[fe80::1%25en0]:80/"')).toContain(
    '"hostname": "fe80::1%en0", "path": "/", "port": "80"',
  )
  expect(ask('uri.parse', '"mailto:a@b"')).toBe('{"scheme": "mailto"}')
  for (const good of ['a', '//host', 'http://h:/', '*', 'x:y'])
    expect([good, ask('uri.is_valid', q(good))]).toEqual([good, 'true'])
  const bad = [
    '',
    ':x',
    'a:b/c'.slice(0, 0),
    '1:b',
    'http://a b/',
    'http://[::1',
    'http://[1.2.3.4]/',
    'http://h:x/',
    'http://a%41/',
    '%zz',
    '\u0001',
    'http://a:1:2/',
  ]
  for (const one of bad) expect([one, ask('uri.is_valid', q(one))]).toEqual([one, 'false'])
})

test('amounts with units are exact, and end where they stop being amounts', () => {
  for (const [text, wanted] of Object.entries({
    '10': '10',
    '1.5Ki': '1536',
    '100m': '0.1000000000',
    '1M': '1000000',
    '1mi': '1048576',
    '1e3': '1000',
    '1E': '1000000000000000000',
    '1e': '1000000000000000000',
    '"2"G': '2000000000',
    '-.5k': '-500',
  })) {
    expect([text, ask('units.parse', q(text))]).toEqual([text, wanted])
  }
  for (const [text, wanted] of Object.entries({
    '1.1kB': '1100',
    '1.5': '1',
    '10MiB': '10485760',
    '0.1gb': '100000000',
    '1e3k': '1000000',
    '3PiB': '3377699720527872',
  })) {
    expect([text, ask('units.parse_bytes', q(text))]).toEqual([text, wanted])
  }
  for (const bad of ['', 'k', '1 k', '1x', '1..2', '1e99999999', '1kx', '--1'])
    expect([bad, ask('units.parse', q(bad))]).toEqual([bad, 'undefined'])
  expect(() => ask('units.parse', '"1e999999"')).toThrow(RangeError)
})

test('versions compare by the paragraphs of SemVer 11', () => {
  const order = [
    '1.0.0-alpha',
    '1.0.0-alpha.1',
    '1.0.0-alpha.beta',
    '1.0.0-beta',
    '1.0.0-beta.2',
    '1.0.0-beta.11',
    '1.0.0-rc.1',
    '1.0.0',
    '1.0.1',
    '2.0.0',
  ]
  for (const [i, a] of order.entries()) {
    for (const [j, b] of order.entries()) expect(ask('semver.compare', q(a), q(b))).toBe(String(Math.sign(i - j)))
  }
  expect(ask('semver.compare', '"v1.0.0+a"', '"1.0.0+b"')).toBe('0')
  for (const bad of ['1.0', '1.0.01', '1.0.0-01', '1.0.0-', '01.0.0', 'x', '1.0.0+', '9223372036854775808.0.0']) {
    expect([bad, ask('semver.is_valid', q(bad))]).toEqual([bad, 'false'])
    expect(ask('semver.compare', q(bad), '"1.0.0"')).toBe('undefined')
  }
})

test('a template is filled, with what is missing said to be undefined', () => {
  const render = (template: string, variables: string) =>
    JSON.parse(ask('strings.render_template', q(template), variables))
  expect(render('{{range $i, $n := .l}}{{if $i}}, {{end}}{{$n}}{{else}}none{{end}}', '{"l": ["a", "b"]}')).toBe('a, b')
  expect(render('{{range .l}}x{{else}}none{{end}}', '{"l": []}')).toBe('none')
  expect(
    render('a {{- .x -}} b {{/* c */}}{{.n}} {{.m.k}} {{printf "%05.1f" 3.14}}', '{"x": "|", "n": 0, "m": {"k": [1]}}'),
  ).toBe('a|b 0 [1] 003.1')
  expect(render('{{.none}} {{with .z}}z{{else}}no z{{end}} {{eq .a "x" "y"}} {{len .a}}', '{"a": "y"}')).toBe(
    '<undefined> no z true 1',
  )
  for (const bad of [
    '{{',
    '{{end}}',
    '{{if .a}}',
    '{{nothing}}',
    '{{.a.b}}',
    '{{$x}}',
    '{{break}}',
    '{{define "t"}}{{end}}',
    '{{index .l 5}}',
  ]) {
    expect([bad, ask('strings.render_template', q(bad), '{"a": 1, "l": []}')]).toEqual([bad, 'undefined'])
  }
  expect(() =>
    ask('strings.render_template', q('{{range 1000}}{{range 1000}}{{range 1000}}x{{end}}{{end}}{{end}}'), '{}'),
  ).toThrow(RangeError)
})

test('no template makes it fail otherwise', () => {
  const unit = fc.constantFrom(
    '{{',
    '}}',
    '.a',
    '.',
    '$',
    'if ',
    'end',
    'range ',
    'else',
    '"x"',
    '(',
    ')',
    '|',
    ':=',
    ' ',
    '-',
    '1',
    'len ',
    'x',
  )
  fc.assert(
    fc.property(fc.array(unit, { maxLength: 12 }), (parts) => {
      ask('strings.render_template', q(parts.join('')), '{"a": [1, {"a": "b"}]}')
    }),
    { numRuns: 1000 },
  )
})

test('long runs of one character are read once, not from each of their places', () => {
  const run = (char: string) => char.repeat(300_000)
  expect(ask('time.parse_duration_ns', q(run('1')))).toBe('undefined')
  expect(ask('indexof_n', q(`${run('a')}b`), q(`${run('a').slice(1)}b`))).toBe('[1]')
  expect(JSON.parse(ask('strings.render_template', q(`${run(' ')}x{{- 1}}`), '{}'))).toBe(`${run(' ')}x1`)
  expect(ask('units.parse', q(`${run('9')}x`))).toBe('undefined')
  expect(ask('yaml.is_valid', q(run('[')))).toBe('false')
})
