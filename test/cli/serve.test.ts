import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { start, temporary, writ } from './writ.ts'

/** The command as its users run it, with the bank's committed bundle. */

test('it answers for the policies of a folder, keeps decisions, and ends when it is told to', async () => {
  const folder = await temporary()
  const token = join(folder, 'token')
  await writeFile(token, 'a-token-of-24-characters\n', { mode: 0o600 })
  const log = join(folder, 'decisions.jsonl')
  const words = ['--listen', '127.0.0.1:0', '--token-file', token, '--decision-log', log] as const
  const running = start(['policy', 'serve', ...words])
  const [, url] = await running.said(/serving {4}(http:\/\/127\.0\.0\.1:\d+)\/v1\/data\nrule {7}writ\/authz\/result\n/)
  const ask = (authorization: string) =>
    fetch(`${url}/v1/data/writ/authz/result`, { method: 'POST', body: '{"input":{}}', headers: { authorization } })
  expect((await ask('Bearer wrong')).status).toBe(401)
  const answer = await (await ask('Bearer a-token-of-24-characters')).json()
  expect(answer).toMatchObject({ result: { allowed: false }, decision_id: expect.stringMatching(/^[0-9a-f-]{36}$/) })
  running.signal('SIGTERM')
  expect(await running.ended).toMatchObject({ code: 0, err: '' })
  const lines = (await readFile(log, 'utf8')).trimEnd().split('\n')
  expect(lines.map((line) => JSON.parse(line) as object)).toMatchObject([{ path: 'writ/authz/result' }])
})

test('it refuses to stand open, to serve what is not there, and a token that can be guessed', async () => {
  const open = await writ('policy', 'serve', '--listen', '0.0.0.0:0')
  expect([open.code, open.err]).toEqual([2, expect.stringContaining('without a token this cannot listen on 0.0.0.0')])
  const none = await writ('policy', 'serve', '--bundle-name', 'nothing', '--listen', '127.0.0.1:0')
  expect([none.code, none.err]).toEqual([2, expect.stringContaining('holds no bundle nothing')])
  const token = join(await temporary(), 'token')
  await writeFile(token, 'short\n')
  const weak = await writ('policy', 'serve', '--token-file', token, '--listen', '127.0.0.1:0')
  expect([weak.code, weak.err]).toEqual([2, expect.stringContaining('holds no token')])
})
