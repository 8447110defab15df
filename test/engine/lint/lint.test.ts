import fc from 'fast-check'
import { describe, expect } from 'vitest'
import { policyInputSchema } from '../../../core/input-schema.ts'
import type { Json } from '../../../core/json.ts'
import { readModule } from '../../../engine/lint/module.ts'
import { lintPolicy } from '../../../engine/lint/policy.ts'
import { findShadowed } from '../../../engine/lint/shadowed.ts'
import { findUnidentified } from '../../../engine/lint/unidentified.ts'
import { findWildcards, findWildcardsInData } from '../../../engine/lint/wildcard.ts'
import { lintFolder } from '../../../engine/node/lint.ts'
import { openOpa } from '../../../engine/node/opa.ts'
import { policyFolder } from '../../cli/policy/folder.ts'
import { needs } from '../../parts/needs.ts'

const test = needs('opa')

/** Rule, file and row of each finding, over the trees that OPA itself gives. */
async function found(
  files: Readonly<Record<string, string>>,
  ...entrypoints: readonly string[]
): Promise<readonly string[]> {
  const opa = await openOpa({ env: process.env, say: () => undefined })
  const findings = await lintFolder(await policyFolder(files), { opa, input: policyInputSchema, entrypoints })
  return findings.map(({ rule, place }) => `${rule} ${place.file}:${place.row}`)
}

/** One module, whose entry point is asked by a test; what is given begins in row 7. */
const shop = (rules: string): Readonly<Record<string, string>> => ({
  'a.rego': `package shop

# METADATA
# entrypoint: true
result := {"allowed": allow}

${rules}`,
  'a_test.rego': 'package shop_test\n\nimport data.shop\n\ntest_it if shop.result == {"allowed": false}\n',
})

const of = (rules: string): Promise<readonly string[]> => found(shop(rules))
const known = 'input.source_principal == "spiffe://a/b"'
const quiet = `default allow := false\n\nallow if ${known}\n`

test('a policy that says who may do what, and is tested, is passed', async () => {
  expect(await of(quiet)).toEqual([])
})

describe('unused rules', () => {
  test('a rule or function to which no entry point leads is found; one that another needs is not', async () => {
    expect(await of(`${quiet}\nidle := 1\n\ntwice(x) := x * 2\n`)).toEqual([
      'unused-rule a.rego:11',
      'unused-rule a.rego:13',
    ])
    expect(
      await of(
        `default allow := false\n\nallow if {\n\t${known}\n\ttwice(1) == 2\n}\n\ntwice(x) := x * two\n\ntwo := 2\n`,
      ),
    ).toEqual([])
  })

  test('what is reached by a name that is not fixed is used', async () => {
    const rules = `default allow := false\n\nallow if {\n\t${known}\n\tdata.lib[input.parsed_path[0]]\n}\n`
    const lib = { 'lib.rego': 'package lib\n\norders := true\n\nnested.accounts := true\n' }
    expect(await found({ ...shop(rules), ...lib })).toEqual([])
    const one = rules.replace('[input.parsed_path[0]]', '.orders')
    expect(await found({ ...shop(one), ...lib })).toEqual(['unused-rule lib.rego:5'])
  })

  test('without an entry point nothing can be told of use, and that is what is said; a named one is enough', async () => {
    const files = { 'a.rego': `package shop\n\nallow if ${known}\n\nidle := 1\n` }
    expect(await found(files)).toEqual(['no-entrypoint a.rego:1'])
    expect(await found(files, 'shop/allow')).toEqual(['untested-entrypoint a.rego:3', 'unused-rule a.rego:5'])
  })
})

describe('shadowed names', () => {
  test('a variable that is called like a rule, an import or a builtin is found; any other is not', async () => {
    const allow = (name: string): string =>
      `default allow := false\n\nallow if {\n\t${known}\n\tsome ${name} in input.parsed_path\n\t${name} == limit\n}\n\nlimit := "x"\n`
    expect(await of(allow('step'))).toEqual([])
    expect(await of(allow('result'))).toEqual(['shadowed-name a.rego:11'])
    expect(await of(allow('count'))).toEqual(['shadowed-name a.rego:11'])
    const imported = {
      ...shop(''),
      'a.rego': shop(allow('lib'))['a.rego']!.replace('package shop\n', 'package shop\n\nimport data.lib\n'),
    }
    expect(await found(imported)).toContain('shadowed-name a.rego:13')
  })

  test('also arguments, what is assigned, and a rule that is called like a builtin', async () => {
    expect(await of(`default allow := false\n\nallow if {\n\t${known}\n\tf(1)\n}\n\nf(allow) if allow == 1\n`)).toEqual(
      ['shadowed-name a.rego:14'],
    )
    expect(await of(`default allow := false\n\nallow if {\n\t${known}\n\tmax := 1\n\tmax == 1\n}\n`)).toEqual([
      'shadowed-name a.rego:11',
    ])
    expect(await of(`default allow := false\n\nallow if {\n\t${known}\n\tupper == 1\n}\n\nupper := 1\n`)).toEqual([
      'shadowed-name a.rego:14',
    ])
  })
})

describe('who is calling', () => {
  test('a way to allow without a proof is found, also where another way has one', async () => {
    const open = 'allow if input.attributes.request.http.method == "GET"\n'
    expect(await of(`${quiet}\n${open}`)).toEqual(['allow-unidentified a.rego:11'])
    expect(
      await of(`${quiet}\nallow if {\n\tinput.attributes.request.http.method == "GET"\n\tinput.source_principal\n}\n`),
    ).toEqual([])
  })

  test('a proof counts through rules and functions, but not where it is negated', async () => {
    const by = (condition: string, helper: string) =>
      of(`default allow := false\n\nallow if ${condition}\n\n${helper}\n`)
    expect(await by('caller == "a"', 'caller := trim_prefix(input.source_principal, "x")')).toEqual([])
    expect(await by('mine(1)', 'mine(x) if input.attributes.source.principal == data.owners[x]')).toEqual([])
    expect(await by('not caller', 'caller := input.source_principal')).toContain('allow-unidentified a.rego:9')
    const either = 'known if input.source_principal\n\nknown if input.writ.service == "open"'
    expect(await by('known', either)).toEqual(['allow-unidentified a.rego:9'])
  })

  test('a token counts where it is verified, and not where it is only decoded', async () => {
    const by = (call: string) =>
      of(
        `default allow := false\n\nallow if {\n\ttoken := input.attributes.request.http.headers.authorization\n\t${call}\n}\n`,
      )
    expect(await by('io.jwt.verify_es256(token, data.key)')).toEqual([])
    expect(await by('[_, {"sub": "a"}, _] = io.jwt.decode(token)')).toEqual(['allow-unidentified a.rego:9'])
    expect(await by('input.writ.token.claims.sub == token')).toEqual([])
    expect(await by('input.writ.service == token')).toEqual(['allow-unidentified a.rego:9'])
  })
})

describe('failing open', () => {
  test('allow if not deny is found; with a fact that must be there it is not', async () => {
    const rules = (more: string): string =>
      `default allow := false\n\nallow if {\n\tnot deny\n${more}}\n\ndeny if input.source_principal == "spiffe://a/evil"\n`
    expect(await of(rules(''))).toEqual(['allow-unidentified a.rego:9', 'fails-open a.rego:9'])
    expect(await of(rules('\tinput.source_principal\n'))).toEqual([])
  })

  test('so is an empty set of refusals', async () => {
    const rules = `default allow := false\n\nallow if count(deny) == 0\n\ndeny contains "no" if input.source_principal == "x"\n`
    expect(await of(rules)).toContain('fails-open a.rego:9')
    expect(await of(rules.replace('== 0', '== 1'))).not.toContain('fails-open a.rego:9')
  })

  test('a default that allows is an error; one that denies is none', async () => {
    expect(await of(`default allow := true\n\nallow := false if ${known}\n`)).toEqual(['default-allow a.rego:7'])
    expect(await of(quiet)).toEqual([])
  })
})

describe('wildcards', () => {
  const calling = (call: string) => of(`default allow := false\n\nallow if {\n\t${known}\n\t${call}\n}\n`)
  const path = 'input.attributes.request.http.path'

  test('a condition that any path fits is found; one that means something is not', async () => {
    for (const all of [`startswith(${path}, "/")`, `regex.match("^.*$", ${path})`, `glob.match("**", [], ${path})`]) {
      expect(await calling(all), all).toEqual(['wildcard a.rego:11'])
    }
    for (const some of [
      `startswith(${path}, "/orders")`,
      `regex.match("^/orders/.*$", ${path})`,
      `glob.match("/orders/*", ["/"], ${path})`,
    ]) {
      expect(await calling(some), some).toEqual([])
    }
  })

  test('a star that is granted is found, in rules and in data; one that is only compared with is not', async () => {
    const rules = (grant: string, condition: string) =>
      `default allow := false\n\nallow if {\n\t${known}\n\tsome grant in grants\n\t${condition}\n}\n\ngrants := [{"method": "${grant}"}]\n`
    expect(await of(rules('*', 'grant.method == "GET"'))).toEqual(['wildcard a.rego:15'])
    expect(await of(rules('GET', 'grant.method in {"*", "GET"}'))).toEqual([])
    const data = (method: string): string => `{"shop": {"edges": [\n  {"from": "a", "method": "${method}"}\n]}}`
    expect(await found({ ...shop(quiet), 'data.json': data('*') })).toEqual(['wildcard data.json:2'])
    expect(await found({ ...shop(quiet), 'data.json': data('GET') })).toEqual([])
    expect(await found({ ...shop(quiet), 'data.yaml': 'shop:\n  callers:\n    - spiffe://a/*\n' })).toEqual([
      'wildcard data.yaml:3',
    ])
  })
})

describe('answers that change', () => {
  test('the time is a note, another machine or chance a warning, and what follows from the request nothing', async () => {
    const opa = await openOpa({ env: process.env, say: () => undefined })
    const rules = `default allow := false\n\nallow if {\n\t${known}\n\ttime.now_ns() > 1\n\trand.intn("x", 2) == 1\n\tcount("x") == 1\n}\n`
    const findings = await lintFolder(await policyFolder(shop(rules)), { opa, input: policyInputSchema })
    expect(findings.map(({ rule, level, place }) => `${rule} ${level} ${place.row}`)).toEqual([
      'unstable note 11',
      'unstable warning 12',
    ])
  })
})

describe('entry points and packages', () => {
  test('an entry point that no test asks is found; a test of what leads to it is enough', async () => {
    const { 'a.rego': rules } = shop(quiet)
    const asking = (what: string): string => `package shop_test\n\ntest_it if ${what}\n`
    expect(await found({ 'a.rego': rules!, 'a_test.rego': asking('data.shop.allow') })).toEqual([
      'untested-entrypoint a.rego:5',
    ])
    expect(await found({ 'a.rego': rules!, 'a_test.rego': asking('data.shop.result.allowed') })).toEqual([])
  })

  test('a package outside of the roots is found, one below them is not', async () => {
    const files = { ...shop(quiet), '.manifest': '{"roots": ["shop", "shop_test"]}' }
    expect(await found(files)).toEqual([])
    expect(await found({ ...files, '.manifest': '{"roots": ["sho", "shop_test"]}' })).toEqual([
      'outside-roots a.rego:1',
    ])
  })
})

test('what OPA says is found too: unused imports and variables, and what does not compile', async () => {
  const files = shop(`${quiet.replace(known, `{\n\tidle := 1\n\t${known}\n\tinput.metod == "x"\n}`)}`)
  const imported = {
    ...files,
    'a.rego': files['a.rego']!.replace('package shop\n', 'package shop\n\nimport data.other\n'),
  }
  expect(await found(imported)).toEqual(['unused-import a.rego:3', 'unused-variable a.rego:12', 'rejected a.rego:14'])
  expect(await found({ 'a.rego': 'package shop\n\nallow if {' })).toEqual(['rejected a.rego:3'])
})

describe('a comment silences', () => {
  const star = 'startswith(input.attributes.request.http.path, "/")'
  const rules = (above: string, beside: string): string =>
    `default allow := false\n\nallow if {\n\t${known}\n${above}\t${star}${beside}\n}\n`

  test('the rule that it names, on its line or above it, and no other rule or line', async () => {
    expect(await of(rules('', ' # writ: allow wildcard'))).toEqual([])
    expect(await of(rules('\t# writ: allow wildcard, unstable\n\t# since all may read\n', ''))).toEqual([])
    expect(await of(rules('', ' # writ: allow unstable'))).toEqual(['wildcard a.rego:11'])
    expect(await of(`# writ: allow wildcard\n${rules('', '')}`)).toEqual(['wildcard a.rego:12'])
  })

  test('data by its file, since JSON has no comments', async () => {
    const data = { 'data.json': '{"shop": {"callers": ["*"]}}' }
    expect(await found({ ...shop(`${quiet}\n# writ: allow wildcard in data.json\n`), ...data })).toEqual([])
    expect(await found({ ...shop(`${quiet}\n# writ: allow wildcard in other/data.json\n`), ...data })).toEqual([
      'wildcard data.json:1',
    ])
  })

  test('and where there is no such rule, that is found', async () => {
    expect(await of(`${quiet}# writ: allow wildcrad\n`)).toEqual(['silenced-nothing a.rego:10'])
  })
})

test("the bank's policy passes", async () => {
  const opa = await openOpa({ env: process.env, say: () => undefined })
  expect(await lintFolder('policies/bank', { opa, input: policyInputSchema })).toEqual([])
})

test('no tree and no data make it throw', () => {
  fc.assert(
    fc.property(fc.json(), fc.string(), (tree, text) => {
      const policy = lintPolicy([readModule('a.rego', JSON.parse(tree) as Json)])
      findUnidentified(policy)
      findWildcards(policy)
      findShadowed(policy, new Set())
      findWildcardsInData({ name: 'data.yaml', bytes: new TextEncoder().encode(text) })
    }),
  )
})
