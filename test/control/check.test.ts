import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { checkCommand } from '../../cli/check.ts'
import { bankText } from './world.ts'

let folder = ''
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'writ-'))
})
afterEach(() => {
  rmSync(folder, { recursive: true, force: true })
  process.exitCode = 0
})

async function check(text: string, ...more: readonly string[]): Promise<{ out: string; exit: unknown }> {
  const file = join(folder, 'mesh.yaml')
  writeFileSync(file, text)
  let out = ''
  const write = vi.spyOn(process.stdout, 'write').mockImplementation((chunk) => {
    out += String(chunk)
    return true
  })
  process.exitCode = 0
  try {
    await checkCommand().parseAsync(['-f', file, '--policies', 'policies', ...more], { from: 'user' })
  } finally {
    write.mockRestore()
  }
  return { out: out.replaceAll(`${folder}/`, ''), exit: process.exitCode }
}

test('a good file is summed up', async () => {
  const { out, exit } = await check(bankText)
  expect(exit).toBe(0)
  expect(out).toMatch(
    /^mesh\.yaml is good: 4 workloads, 3 services, 6 routes, 3 listeners with a policy\nsnapshot sha256:[0-9a-f]{64}\n$/,
  )
})

test('a wrong one is told line by line, and the exit code says so', async () => {
  const { out, exit } = await check(bankText.replace('type: Exact', 'type: Regex'))
  expect(exit).toBe(1)
  expect(out).toMatch(
    /^mesh\.yaml:\d+:19 error config_invalid HTTPRoute\/payments spec\.rules\[0\]\.matches\[1\]\.path\.type: "Regex" is not supported \(use Exact or PathPrefix or RegularExpression\)\n$/,
  )
})

test('warnings are told of a good file, and JSON carries the same', async () => {
  const unbound = bankText.replace('    - { kind: Workload, name: orders }\n', '')
  const { out, exit } = await check(unbound)
  expect(exit).toBe(0)
  expect(out).toContain('warning config_invalid Workload/orders spec.inbound: has no PolicyBinding')
  const json = JSON.parse((await check(unbound, '--json')).out)
  expect(json).toMatchObject({ ok: true, workloads: 4, bindings: 2, problems: [{ level: 'warning' }] })
  const wrong = JSON.parse((await check('', '--json')).out)
  expect(wrong).toMatchObject({ ok: false, problems: [{ problem: 'has no Mesh' }] })
})

test('a file that is not there is an error with a cure', async () => {
  await expect(checkCommand().parseAsync(['-f', join(folder, 'none')], { from: 'user' })).rejects.toMatchObject({
    code: 'not_found',
  })
})
