import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, expect, test } from 'vitest'
import { type Ended, start, temporary, temporaryForAll, writ } from './writ.ts'

/** `npm start -- --once`: the whole line, counted on both sides. */

const folder = temporaryForAll()
const state = join(folder, 'bank-once')
let run: Ended

beforeAll(async () => {
  run = await writ('bank', '--once', '--visits', '24', '--state', join(folder, 'bank'))
})

test('every count of the callers is the count of the log, and it exits 0', () => {
  expect(run).toMatchObject({ code: 0, err: '' })
  const counted = [...run.out.matchAll(/^ {2}(\w+) +callers saw +(\d+) (.) +(\d+) in the log$/gm)].map((it) =>
    it.slice(1),
  )
  expect(counted).toEqual([
    ['allowed', '32', '=', '32'],
    ['denied', '8', '=', '8'],
    ['faults', '0', '=', '0'],
  ])
  expect(run.out).toMatch(/^ {2}verify +holds$/m)
})

test('the report is one page that asks nobody for anything', async () => {
  expect(run.out).toContain(`report     ${join(state, 'report/report.html')}`)
  const page = await readFile(join(state, 'report/report.html'), 'utf8')
  expect(page).toMatch(/^<!doctype html>/i)
  expect(page).not.toMatch(/<(script|link|img|iframe|object|embed)\b/i)
  expect(page).not.toMatch(/(src|action|poster)\s*=|url\(|@import/i)
  expect([...page.matchAll(/href="([^"]*)"/g)].filter(([, to]) => !to!.startsWith('#'))).toEqual([])
})

test('the report as JSON has all checks, and none of what was measured fails', async () => {
  const report = JSON.parse(await readFile(join(state, 'report/report.json'), 'utf8')) as {
    checks: { id: string; verdict: string }[]
  }
  const having = (verdict: string) => report.checks.filter((one) => one.verdict === verdict).map(({ id }) => id)
  expect(report.checks).toHaveLength(22)
  expect(having('fail')).toEqual([])
  expect(having('pass')).toEqual(
    expect.arrayContaining(['M01', 'M02', 'M03', 'M04', 'M05', 'M06', 'M07', 'M08', 'M09']),
  )
})

test('the log verifies from its files; one byte of one entry changed, and that entry is named', async () => {
  const verify = ['audit', 'verify', '--log', join(state, 'log'), '--key', join(state, 'signer/log.pub')]
  expect(await writ(...verify)).toMatchObject({ code: 0, err: '', out: expect.stringMatching(/^verified\n/) as string })

  const entries = join(state, 'log/0/tile/entries')
  // Partial bundles of earlier sizes stay for a while; the checkpoint's is the widest.
  const files = (await readdir(entries, { recursive: true })).filter((name) => /\.p\/\d+$/.test(name))
  const file = files.sort((a, b) => widthOf(b) - widthOf(a))[0]!
  const bytes = await readFile(join(entries, file))
  bytes[bytes.indexOf('"DELETE"') + 1] = 'd'.charCodeAt(0)
  await writeFile(join(entries, file), bytes)
  const tampered = indexOf(bytes, '"dELETE"')

  const broken = await writ(...verify)
  expect(broken).toMatchObject({ code: 1, err: '' })
  expect(broken.out).toMatch(/^BROKEN\n/)
  expect(broken.out).toMatch(new RegExp(`^broken +\\w+ +shard 0 leaf ${tampered}( |$)`, 'm'))
})

test('a folder that another run is at is not taken from under it', async () => {
  const folder = await temporary()
  const where = ['bank', '--once', '--state', join(folder, 'bank')]
  const first = start([...where, '--visits', '1000000'])
  try {
    await expect
      .poll(() => readFile(join(folder, 'bank-once/lock'), 'utf8').catch(() => ''), { timeout: 20_000 })
      .not.toBe('')
    expect(await writ(...where)).toMatchObject({
      code: 3,
      out: '',
      err: expect.stringMatching(/^error in_use: /) as string,
    })
    expect(await readdir(join(folder, 'bank-once'))).toContain('log')
  } finally {
    first.signal('SIGKILL')
    await first.ended
  }
})

const widthOf = (name: string): number => Number(name.slice(name.lastIndexOf('/') + 1))

/** Which entry of the bundle holds this text: each is its length in two bytes, then itself (C2SP tlog-tiles). */
function indexOf(bundle: Buffer, text: string): number {
  const place = bundle.indexOf(text)
  for (let at = 0, index = 0; at < bundle.length; index++) {
    at += 2 + bundle.readUInt16BE(at)
    if (place < at) return index
  }
  throw new Error(`no entry holds ${text}`)
}
