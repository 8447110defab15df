import { expect } from 'vitest'
import { lintCommand } from '../../../cli/policy-lint.ts'
import { needs } from '../../parts/needs.ts'
import { printed } from '../recorded.ts'
import { policyFolder } from './folder.ts'

const test = needs('opa')

const files = (condition: string): Readonly<Record<string, string>> => ({
  'a.rego': `package shop

# METADATA
# entrypoint: true
allow if {
	input.source_principal == "spiffe://a/b"
	${condition}
}
`,
  'a_test.rego': 'package shop_test\n\ntest_it if not data.shop.allow with input as {}\n',
})

test('a warning is printed with its place, rule and cure, and ends with 1', async () => {
  const folder = await policyFolder(files('startswith(input.attributes.request.http.path, "/")'))
  expect(await printed(lintCommand(), folder)).toEqual({
    out: `${folder}/a.rego:7:2: warning wildcard: startswith with "/" holds for whatever it is asked about
  cure: say what it is meant to fit
shop  1 warning
`,
    err: '',
    code: 1,
  })
})

test('a note is printed and ends with 0, and so does nothing', async () => {
  const noted = await printed(lintCommand(), await policyFolder(files('time.now_ns() > 0')))
  expect([noted.out.split('\n').at(-2), noted.code]).toEqual(['shop  1 note', 0])
  const { out, code } = await printed(lintCommand(), await policyFolder(files('input.writ.service == "x"')))
  expect([out, code]).toEqual(['shop  nothing found\n', 0])
})

test('JSON holds each finding', async () => {
  const { out } = await printed(lintCommand(), await policyFolder(files('input.metod == "x"')), '--json')
  expect(JSON.parse(out)).toMatchObject([
    { policy: 'shop', findings: [{ rule: 'rejected', level: 'error', place: { row: 7 } }] },
  ])
})
