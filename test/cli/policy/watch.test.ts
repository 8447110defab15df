import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'vitest'
import { needs } from '../../parts/needs.ts'
import { start } from '../writ.ts'
import { policyFolder } from './folder.ts'

const test = needs('opa')

const rules = (value: number): string => `package shop\n\n# METADATA\n# entrypoint: true\nr := ${value}\n`
const tests = 'package shop_test\n\ntest_r if data.shop.r == 1\n'

test('build --watch builds again when a source changes, and ends well at Ctrl-C', async () => {
  const folder = await policyFolder({ 'a.rego': rules(1) })
  const process = start(['policy', 'build', folder, '--watch'])
  const [first] = await process.said(/shop {2}revision \w+ {2}\d+ bytes {2}written/)
  await writeFile(join(folder, 'a.rego'), rules(2))
  const [, second] = await process.said(/written\n(?:.*\n)*?(shop {2}revision \w+ {2}\d+ bytes {2}written)/)
  expect(second).not.toBe(first)
  process.signal('SIGINT')
  expect(await process.ended).toMatchObject({ code: 0 })
})

test('test --watch runs the tests again, and ends well also after one that failed', async () => {
  const folder = await policyFolder({ 'a.rego': rules(1), 'a_test.rego': tests })
  const process = start(['policy', 'test', folder, '--watch'])
  await process.said(/PASS: 1\/1/)
  await writeFile(join(folder, 'a.rego'), rules(2))
  await process.said(/FAIL: 1\/1/)
  process.signal('SIGINT')
  expect(await process.ended).toMatchObject({ code: 0 })
})
