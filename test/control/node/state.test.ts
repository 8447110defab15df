import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { openCollectorTokens } from '../../../control/node/collector-tokens.ts'
import { openState } from '../../../control/node/state.ts'
import { WritError } from '../../../core/fault.ts'
import type { SpiffeId } from '../../../core/spiffe.ts'

let folder = ''
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'writ-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const codeOf = (work: () => unknown): string => {
  try {
    work()
    return 'good'
  } catch (thrown) {
    return thrown instanceof WritError ? thrown.code : `not ours: ${String(thrown)}`
  }
}

test('the folder is made for its owner alone', () => {
  const before = process.umask(0)
  const state = openState(join(folder, 'new'))
  process.umask(before)
  for (const path of [state.root, state.ca, state.log, state.store, state.spool]) {
    expect(statSync(path).mode & 0o777, path).toBe(0o700)
  }
  expect(state.adminSocket).toBe(join(folder, 'new/admin.sock'))
  expect(readdirSync(state.root).sort()).toEqual(['ca', 'lock', 'log', 'spool', 'store'])
})

test('a folder that others can look into is refused, also one further down', () => {
  openState(folder).release()
  chmodSync(join(folder, 'ca'), 0o750)
  expect(codeOf(() => openState(folder))).toBe('forbidden')
  chmodSync(join(folder, 'ca'), 0o700)
  chmodSync(folder, 0o701)
  expect(codeOf(() => openState(folder))).toBe('forbidden')
  chmodSync(folder, 0o700)
  expect(codeOf(() => openState(folder))).toBe('good')
})

test('what stands in place of a folder is refused: a file, a link to elsewhere', () => {
  writeFileSync(join(folder, 'ca'), '')
  expect(codeOf(() => openState(folder))).toBe('forbidden')
  rmSync(join(folder, 'ca'))
  symlinkSync(tmpdir(), join(folder, 'ca'))
  expect(codeOf(() => openState(folder))).toBe('forbidden')
})

test('one process holds the folder; a lock whose process is gone is taken over', () => {
  const state = openState(folder)
  expect(codeOf(() => openState(folder))).toBe('in_use')
  state.release()
  expect(existsSync(join(folder, 'lock'))).toBe(false)
  writeFileSync(join(folder, 'lock'), '99999999\n')
  expect(codeOf(() => openState(folder))).toBe('good')
  expect(readFileSync(join(folder, 'lock'), 'utf8')).toContain(`"pid":${process.pid},`)
})

const orders = 'spiffe://bank.example/orders' as SpiffeId

test('a collector token speaks for its workload until it is over, also after a restart, and is kept as a hash', () => {
  const path = join(folder, 'tokens.json')
  let nowMs = 1000
  const token = openCollectorTokens(path, () => nowMs).create(orders, 500)
  const again = openCollectorTokens(path, () => nowMs)
  expect(again.find(token)).toBe(orders)
  expect(again.find(`${token}x`)).toBeUndefined()
  expect(again.find('')).toBeUndefined()
  expect(statSync(path).mode & 0o777).toBe(0o600)
  expect(readFileSync(path, 'utf8')).not.toContain(token)
  nowMs = 1499
  expect(again.find(token)).toBe(orders)
  nowMs = 1500
  expect(again.find(token)).toBeUndefined()
  again.create(orders, 500)
  expect(JSON.parse(readFileSync(path, 'utf8')).tokens).toHaveLength(1)
})

test('a token for decision logs is for them alone, and one for records is for those, also after a restart', () => {
  const path = join(folder, 'tokens.json')
  const tokens = openCollectorTokens(path, () => 0)
  const [logs, records] = [tokens.create(orders, 500, 'logs'), tokens.create(orders, 500)]
  for (const one of [tokens, openCollectorTokens(path, () => 0)]) {
    expect([one.find(logs, 'logs'), one.find(logs)]).toEqual([orders, undefined])
    expect([one.find(records, 'logs'), one.find(records)]).toEqual([undefined, orders])
  }
})

test('a file of tokens that is not ours stops the start', () => {
  const path = join(folder, 'tokens.json')
  for (const text of ['', '{}', '{"v":2,"tokens":[]}', '{"v":1,"tokens":[{"sha256":"x"}]}']) {
    writeFileSync(path, text)
    expect(
      codeOf(() => openCollectorTokens(path, () => 0)),
      text,
    ).toBe('version')
  }
})
