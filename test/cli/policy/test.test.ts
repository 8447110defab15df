import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect } from 'vitest'
import { testCommand } from '../../../cli/policy-test.ts'
import { needs } from '../../parts/needs.ts'
import { printed } from '../recorded.ts'
import { policyFolder } from './folder.ts'

const test = needs('opa')

const rego = `package shop

default allow := false

allow if input.source_principal == "a"

allow if {
	input.source_principal == "b"
	input.writ.service == "x"
}
`
const half = `package shop_test

import data.shop

test_a if shop.allow with input as {"source_principal": "a"}

test_nobody if not shop.allow with input as {}
`
const whole = `${half}
test_b if shop.allow with input as {"source_principal": "b", "writ": {"service": "x"}}
`

describe('coverage', () => {
  test('tells the lines of the rules that no test went through', async () => {
    const folder = await policyFolder({ 'a.rego': rego, 'a_test.rego': half })
    const { out, code } = await printed(testCommand(), folder, '--coverage')
    expect(out).toMatch(/^PASS: 2\/2\n/)
    expect(out).toContain(`${folder}/a.rego  not covered: 7-9\n`)
    expect([out.endsWith('coverage  40.0 %\n') || out, code]).toEqual([true, 0])
    const full = await printed(
      testCommand(),
      await policyFolder({ 'a.rego': rego, 'a_test.rego': whole }),
      '--coverage',
    )
    expect(full.out).toMatch(/^PASS: 3\/3\n100\.0 % {2}\S+a\.rego\ncoverage {2}100\.0 %\n$/)
  })

  test('below the threshold it ends with 1, at the threshold with 0', async () => {
    const folder = await policyFolder({ 'a.rego': rego, 'a_test.rego': half })
    const at = await printed(testCommand(), folder, '--threshold', '40')
    const above = await printed(testCommand(), folder, '--threshold', '40.1')
    expect([at.code, above.code]).toEqual([0, 1])
    expect(above.out).toContain('coverage  40.0 %, which is less than 40.1 %')
    await expect(printed(testCommand(), folder, '--threshold', '101')).rejects.toThrow('0 to 100')
  })

  test('is not measured where a test fails, and that is no pass', async () => {
    const folder = await policyFolder({ 'a.rego': rego, 'a_test.rego': `${half}\ntest_bad if 1 == 2\n` })
    const { out, code } = await printed(testCommand(), folder, '--threshold', '0')
    expect(out).toContain('FAIL: 1/3')
    expect(out).toContain('not measured')
    expect(code).toBe(2)
  })
})

test('--run takes some of the tests, -v names them', async () => {
  const folder = await policyFolder({ 'a.rego': rego, 'a_test.rego': whole })
  const { out } = await printed(testCommand(), folder, '--run', 'test_b', '-v')
  expect(out).toMatch(/test_b: PASS/)
  expect(out).toMatch(/PASS: 1\/1/)
})

test('--junit writes what became of each test, and of a policy that does not compile', async () => {
  const folder = await policyFolder({ 'a.rego': rego, 'a_test.rego': `${half}\ntest_bad if 1 == 2\n` })
  const file = join(folder, 'report.xml')
  expect((await printed(testCommand(), folder, '--junit', file)).code).toBe(2)
  const xml = await readFile(file, 'utf8')
  expect(xml).toContain('<testsuite name="shop" tests="3" failures="1" errors="0"')
  expect(xml).toContain('<failure message="test_bad is not true"/>')
  const torn = await policyFolder({ 'a.rego': 'package shop\nallow if {\n' })
  expect((await printed(testCommand(), torn, '--junit', file)).code).not.toBe(0)
  expect(await readFile(file, 'utf8')).toMatch(/<error message="[^"]*a\.rego/)
})

test("JSON holds OPA's results, and the coverage where it is asked for", async () => {
  const folder = await policyFolder({ 'a.rego': rego, 'a_test.rego': half })
  const [report] = JSON.parse((await printed(testCommand(), folder, '--json', '--coverage')).out)
  expect(report).toMatchObject({ policy: 'shop', code: 0, results: { length: 2 } })
  expect(report.results.map(({ name }: { name: string }) => name).sort()).toEqual(['test_a', 'test_nobody'])
  expect(report.coverage.files).toEqual([{ file: 'a.rego', percent: 40, uncovered: [7, 8, 9] }])
})
