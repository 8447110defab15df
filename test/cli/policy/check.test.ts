import { join } from 'node:path'
import { expect } from 'vitest'
import { checkCommand } from '../../../cli/policy-check.ts'
import { schemaCommand } from '../../../cli/schema.ts'
import { policyInputSchema } from '../../../core/input-schema.ts'
import { needs } from '../../parts/needs.ts'
import { printed } from '../recorded.ts'
import { policyFolder } from './folder.ts'

const test = needs('opa')

const rules = (condition: string): string => `package shop

# METADATA
# entrypoint: true
allow if ${condition}
`

test('a misspelt member of the input is an error with file, line and the name that it may be; the right one is not', async () => {
  const good = await policyFolder({ 'a.rego': rules('input.attributes.request.http.method == "GET"') })
  expect(await printed(checkCommand(), good)).toEqual({
    out: 'shop  compiles, and reads what there is\n',
    err: '',
    code: 0,
  })
  const bad = await policyFolder({ 'a.rego': rules('input.attributes.request.http.metod == "GET"') })
  expect(await printed(checkCommand(), bad)).toEqual({
    out: `${bad}/a.rego:5:10: undefined ref: input.attributes.request.http.metod
  cure: it may be method
shop  1 problem
`,
    err: '',
    code: 1,
  })
})

test('a member of another type is an error; any header and any member of the query may be read', async () => {
  const odd = await policyFolder({ 'a.rego': rules('input.parsed_path == "/orders"') })
  expect((await printed(checkCommand(), odd)).out).toContain('a.rego:5:10: match error: array is never string')
  const free = 'input.attributes.request.http.headers["x-role"] == input.parsed_query.role[0]'
  expect((await printed(checkCommand(), await policyFolder({ 'a.rego': rules(free) }))).code).toBe(0)
})

test('strict mode: an import or variable that nobody uses is an error', async () => {
  const text = `package shop\n\nimport data.other\n\nallow if {\n\ta := 1\n\tinput.source_principal\n}\n`
  const { out } = await printed(checkCommand(), await policyFolder({ 'a.rego': text }))
  expect(out).toContain('a.rego:3:1: import data.other unused')
  expect(out).toContain('a.rego:6:2: assigned var a unused')
})

test("schemas of one's own stand beside the input's, for the rules whose annotations name them", async () => {
  const text = (member: string, input: string): string => `package shop.authz

# METADATA
# schemas:
#   - data.shop: schema.shop
allow if data.shop.${member} == input.${input}
`
  const shop = { type: 'object', properties: { owner: { type: 'string' } }, additionalProperties: false }
  const schemas = join(await policyFolder({ 'shop.json': JSON.stringify(shop) }, 'schemas'))
  const check = async (member: string, input: string) =>
    (await printed(checkCommand(), await policyFolder({ 'a.rego': text(member, input) }), '--schema', schemas)).out
  expect(await check('owner', 'source_principal')).toMatch(/compiles/)
  expect(await check('onwer', 'source_principal')).toMatch(
    /a\.rego:6:10: undefined ref: data\.shop\.onwer\n {2}cure: it may be owner/,
  )
  expect(await check('owner', 'source_principle')).toMatch(
    /undefined ref: input\.source_principle\n {2}cure: it may be source_principal/,
  )
})

test('a file that does not parse, and a package outside of the roots, are told; a folder that is not there is another fault', async () => {
  const torn = await policyFolder({ 'a.rego': 'package shop\nallow if {\n' })
  expect((await printed(checkCommand(), torn)).out).toMatch(/a\.rego:\d+:\d+: /)
  const outside = await policyFolder({ 'a.rego': rules('input.source_principal'), '.manifest': '{"roots": ["bank"]}' })
  expect(await printed(checkCommand(), outside)).toMatchObject({
    out: expect.stringContaining('do not permit') as string,
    code: 1,
  })
  await expect(printed(checkCommand(), join(torn, 'nowhere'))).rejects.toMatchObject({ code: 'not_found' })
})

test('JSON holds each problem with its place', async () => {
  const bad = await policyFolder({ 'a.rego': rules('input.nobody == "x"') })
  const { out, code } = await printed(checkCommand(), bad, '--json')
  expect([JSON.parse(out), code]).toMatchObject([
    [{ policy: 'shop', problems: [{ place: { file: `${bad}/a.rego`, row: 5, column: 10 }, code: 'rego_type_error' }] }],
    1,
  ])
})

test('the schema is printed for editors', async () => {
  expect(JSON.parse((await printed(schemaCommand(), 'PolicyInput')).out)).toEqual(policyInputSchema)
})
