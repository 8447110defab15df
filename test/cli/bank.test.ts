import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, test as always, beforeAll, describe, expect } from 'vitest'
import { startChromium } from '../parts/chromium.ts'
import { needs } from '../parts/needs.ts'
import { type Ended, type Started, start, temporaryForAll, writ } from './writ.ts'

/** `npm start`: a bank that stays, its page, the questions to its socket, and its end. */

const inBrowser = needs('chromium')

const folder = temporaryForAll()
const state = join(folder, 'bank')
let bank: Started
let url: URL

const pageUrl = async (process: Started): Promise<URL> =>
  new URL((await process.said(/http:\/\/127\.0\.0\.1:\d+\/\?token=[\w-]+/))[0])

beforeAll(async () => {
  bank = start(['bank', '--state', state])
  url = await pageUrl(bank)
  await bank.said(/Stop with Ctrl-C/)
})

afterAll(async () => {
  bank.signal('SIGKILL')
  await bank.ended
})

describe('the page', () => {
  const get = (path: string, cookie = ''): Promise<Response> =>
    fetch(new URL(path, url), { redirect: 'manual', headers: cookie === '' ? {} : { cookie } })

  always('is closed without the token, and with a wrong one', async () => {
    expect((await get('/')).status).toBe(401)
    expect((await get(`/?token=${'A'.repeat(43)}`)).status).toBe(401)
    expect((await get('/record/000000000000000000000000-1')).status).toBe(401)
    expect((await get('/report')).status).toBe(401)
  })

  always('shows who calls whom and the latest decisions, each with its record, proof and the report', async () => {
    const opened = await get(url.search)
    expect(opened.status).toBe(303)
    const cookie = opened.headers.get('set-cookie')!.split(';')[0]!
    const page = await (await get('/', cookie)).text()
    expect(page).toContain('storefront may not DELETE /orders/{id} at orders: no edge allows it')
    const record = /href="(\/record\/[0-9a-f]{24}-\d+)"/.exec(page)?.[1]
    expect(record).toBeDefined()
    // The newest record waits for its checkpoint, a second at most.
    await expect
      .poll(async () => (await get(record!, cookie)).text(), { timeout: 10_000 })
      .toMatch(/bank\.example\/audit\/0\n\d+\n/)
    expect(page).toContain('href="/report"')
    expect(await (await get('/report', cookie)).text()).toContain('The log was not changed')
    expect((await get('/record/nonsense', cookie)).status).toBe(404)
  })

  inBrowser('renders both tables in a browser, and runs no script', async () => {
    const browser = await startChromium()
    try {
      const page = await browser.newPage()
      const problems: string[] = []
      page.on('pageerror', (error) => problems.push(error.message))
      page.on('console', (message) => problems.push(message.text()))
      await page.goto(url.href)
      expect(new URL(page.url()).search).toBe('') // The token stays in no history.
      expect(await page.locator('section:has(h2:text("Who calls whom")) tbody tr').count()).toBeGreaterThanOrEqual(3)
      expect(await page.locator('section:has(h2:text("Latest decisions")) tbody tr').count()).toBeGreaterThan(10)
      await page.locator('a[href^="/record/"]').first().click()
      await page.getByText('Proof').first().waitFor()
      expect(problems).toEqual([])
    } finally {
      await browser.close()
    }
  })
})

describe('a question to the running bank', () => {
  const query = (...more: readonly string[]): Promise<Ended> =>
    writ('audit', 'query', '--state', state, '--limit', '5', ...more)

  always('is answered as a table, as CSV, and as JSON, filtered as asked', async () => {
    // How a call ended comes a moment after its decision.
    const unended = async (): Promise<readonly string[]> =>
      (await query('--verdict', 'deny')).out
        .trimEnd()
        .split('\n')
        .slice(1)
        .filter((row) => !/ 403 /.test(row))
    await expect.poll(unended, { timeout: 30_000, interval: 500 }).toEqual([])
    const [table, csv, json] = await Promise.all([
      query('--verdict', 'deny'),
      query('--csv', '--direction', 'inbound'),
      query('--json', '--verdict', 'deny', '--direction', 'inbound', '--caller', 'storefront'),
    ])
    expect(table.code).toBe(0)
    const [head, ...rows] = table.out.trimEnd().split('\n')
    expect(head).toMatch(/^TIME \(UTC\) +VERDICT +CALLER +TARGET +REQUEST +STATUS +MS +ID$/)
    expect(rows.length).toBeGreaterThan(0)
    for (const row of rows) expect(row).toMatch(/ deny .* 403 /)

    expect(csv.code).toBe(0)
    expect(csv.out.split('\n')[0]!.split(',')).toEqual(expect.arrayContaining(['time', 'verdict', 'caller', 'id']))
    expect(csv.out.trimEnd().split('\r\n').length).toBe(6)

    expect(json).toMatchObject({ code: 0 })
    const { rows: found } = JSON.parse(json.out) as { rows: { verdict: string; direction: string; caller: string }[] }
    expect(found.length).toBeGreaterThan(0)
    for (const row of found)
      expect(row).toMatchObject({ verdict: 'deny', direction: 'inbound', caller: 'spiffe://bank.example/storefront' })
  })

  always('that is none is refused before it is asked', async () => {
    const { code, out, err } = await query('--since', 'yesterday')
    expect({ code, out }).toEqual({ code: 2, out: '' })
    expect(err).toMatch(/^error usage: .*since/)
  })

  always('for a report is answered with a page, and the log holds', async () => {
    const out = join(folder, 'report')
    const [report, verify] = await Promise.all([
      writ('report', '--state', state, '--out', out),
      writ('audit', 'verify', '--state', state),
    ])
    expect(report).toMatchObject({ code: 0, err: expect.stringMatching(/^\d+ of \d+ leaves read\n$/) })
    expect(report.out).toMatch(/in the log as [0-9a-f]{24}-\d+/)
    expect(await readFile(join(out, 'report.html'), 'utf8')).toContain('Requests arrive over mutual TLS')
    expect(JSON.parse(await readFile(join(out, 'report.json'), 'utf8'))).toMatchObject({ verified: { ok: true } })
    expect(verify).toMatchObject({ code: 0 })
  })

  always('for how the checks stand is answered once they were looked at, and a grant is given', async () => {
    await expect
      .poll(async () => (await writ('report', 'status', '--state', state)).out, { timeout: 50_000, interval: 1000 })
      .toMatch(/ M09 +pass +All/)
    const time = ['--from', '1h', '--to', '2027-12-01T00:00:00Z']
    const [grant, schedule] = await Promise.all([
      writ('report', 'grant', 'ada', '--scope', 'service=orders', ...time, '--state', state),
      writ('report', 'schedule', '--state', state),
    ])
    expect(grant.out).toMatch(/^ada may look until .*\nwa_[\w-]{43}\n$/)
    expect(schedule).toMatchObject({ code: 0, out: expect.stringContaining('no report is scheduled') })
    const grants = await writ('report', 'grants', '--state', state)
    expect(grants.out).toMatch(/^ada +service=orders /m)
  })

  always('for a token is answered with one for a workload, and with what there is for any other', async () => {
    const [token, other] = await Promise.all([
      writ('token', 'orders', '--state', state, '--json'),
      writ('token', 'nobody', '--state', state),
    ])
    expect(token).toMatchObject({ code: 0, err: '' })
    expect(JSON.parse(token.out)).toMatchObject({
      workload: 'orders',
      token: expect.stringMatching(/.{32,}/) as string,
    })
    expect(other).toMatchObject({ code: 2, out: '' })
    expect(other.err).toMatch(/^error not_found: .*nobody.*\n {2}cure: one of ledger, orders, storefront/)
  })
})

describe('the end', () => {
  always('a second bank on the same state is told that it is in use, and changes nothing', async () => {
    const mesh = await readFile(join(state, 'mesh.yaml'), 'utf8')
    const { code, out, err } = await writ('bank', '--state', state)
    expect({ code, out }).toEqual({ code: 3, out: '' })
    expect(err).toMatch(new RegExp(`^error in_use: ${state} .*process ${bank.pid}\\n {2}cure: `))
    expect(await readFile(join(state, 'mesh.yaml'), 'utf8')).toBe(mesh)
  })

  always('after Ctrl-C it exits 0, and nothing of its log is left unproven', async () => {
    bank.signal('SIGINT')
    bank.signal('SIGINT') // As npm and a terminal both send it.
    expect(await bank.ended).toMatchObject({ code: 0 })
    const verify = await writ('audit', 'verify', '--state', state, '--database', '--json')
    expect(verify).toMatchObject({ code: 0, err: '' })
    expect(JSON.parse(verify.out)).toMatchObject({ ok: true, findings: [] })
    // Nobody holds the store now: the question goes to the folder.
    expect(await writ('audit', 'query', '--state', state, '--limit', '1')).toMatchObject({
      code: 0,
      err: expect.stringContaining('--cursor') as string,
    })
  })
})
