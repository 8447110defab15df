import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'vitest'
import { fmtCommand } from '../../../cli/policy-fmt.ts'
import { needs } from '../../parts/needs.ts'
import { printed } from '../recorded.ts'
import { policyFolder } from './folder.ts'

const test = needs('opa')

const good = 'package shop\n\na := 1\n\nb := 2\n'
const odd = 'package shop\n\na   :=   1\n\nb := 2\n'

test('--check shows what would change, writes nothing and ends with 1; without it the file is rewritten', async () => {
  const folder = await policyFolder({ 'a.rego': odd, 'b.rego': good })
  expect(await printed(fmtCommand(), folder, '--check')).toEqual({
    out: `${folder}/a.rego\n  from line 3:\n- a   :=   1\n+ a := 1\n`,
    err: '',
    code: 1,
  })
  expect(await readFile(join(folder, 'a.rego'), 'utf8')).toBe(odd)
  expect(await printed(fmtCommand(), folder)).toMatchObject({ out: `${folder}/a.rego\n`, code: 0 })
  expect(await readFile(join(folder, 'a.rego'), 'utf8')).toBe(good)
  const after = await printed(fmtCommand(), folder, '--check')
  expect([after.out, after.code]).toEqual(['all files have the form already\n', 0])
})

test('JSON names the files; what does not parse is told, with its place', async () => {
  const { out } = await printed(fmtCommand(), await policyFolder({ 'a.rego': odd }), '--check', '--json')
  expect(JSON.parse(out)).toMatchObject({ files: [expect.stringMatching(/a\.rego$/)], written: false })
  const torn = await policyFolder({ 'a.rego': 'package shop\nallow if {\n' })
  await expect(printed(fmtCommand(), torn)).rejects.toMatchObject({
    code: 'policy_invalid',
    message: expect.stringContaining('a.rego:') as string,
  })
})
