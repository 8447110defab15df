import { type IncomingHttpHeaders, request } from 'node:http'
import { Hono } from 'hono'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { DoorApp } from '../../../control/node/http.ts'
import { openPageDoor, type PageDoor } from '../../../control/node/page-door.ts'

let door: PageDoor
let token = ''
let cookie = ''

beforeEach(async () => {
  const page = new Hono() as unknown as DoorApp
  page.get('/', (c) => c.html('<p>decisions</p>'))
  page.post('/', (c) => c.html('changed'))
  door = await openPageDoor(page, () => {})
  token = new URL(door.url).searchParams.get('token') ?? ''
  cookie = String((await get(`/?token=${token}`, {})).headers['set-cookie']).split(';')[0] ?? ''
})
afterEach(() => door.close())

interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly text: string
}

function get(path: string, headers: Readonly<Record<string, string>>, method = 'GET'): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const sending = request({ host: '127.0.0.1', port: door.port, path, method, headers, agent: false }, (answer) => {
      let text = ''
      answer.setEncoding('utf8').on('data', (chunk: string) => (text += chunk))
      answer.on('end', () => resolve({ status: answer.statusCode ?? 0, headers: answer.headers, text }))
    })
    sending.on('error', reject)
    sending.end()
  })
}

test('the printed address sets a cookie that scripts and other sites cannot use, and leads to the page', async () => {
  const first = await get(`/?token=${token}`, {})
  expect([first.status, first.headers.location]).toEqual([303, '/'])
  expect(first.headers['set-cookie']).toEqual([
    expect.stringMatching(new RegExp(`^writ_${door.port}=[A-Za-z0-9_-]{43}; HttpOnly; SameSite=Strict; Path=/$`)),
  ])
  expect(first.headers['set-cookie']?.[0]).not.toContain(token)
  expect(await get('/', { cookie })).toMatchObject({ status: 200, text: '<p>decisions</p>' })
  expect(await get('/', { cookie: `other=1; ${cookie}; more=2` })).toMatchObject({ status: 200 })
  expect(await get('/', { cookie, host: `localhost:${door.port}` })).toMatchObject({ status: 200 })
  expect(await get('/', { cookie }, 'HEAD')).toMatchObject({ status: 200, text: '' })
})

test('without token or cookie, or with wrong ones, there is no page', async () => {
  expect(await get('/', {})).toMatchObject({ status: 401 })
  expect(await get(`/?token=${'A'.repeat(43)}`, {})).toMatchObject({ status: 401 })
  expect(await get('/?token=', { cookie })).toMatchObject({ status: 401 })
  expect(await get('/', { cookie: `writ_${door.port}=${token}` })).toMatchObject({ status: 401 })
  expect(await get('/', { cookie: `${cookie}x` })).toMatchObject({ status: 401 })
  expect(await get('/', { cookie: cookie.replace(`writ_${door.port}`, 'writ_1') })).toMatchObject({ status: 401 })
  expect(await get('/', { cookie: `x${cookie}` })).toMatchObject({ status: 401 })
  expect(await get('/else', {})).toMatchObject({ status: 401 })
})

test('another host is refused even with the cookie: that is how DNS rebinding comes', async () => {
  for (const host of [
    'evil.example',
    `evil.example:${door.port}`,
    '127.0.0.1',
    `127.0.0.1:${door.port + 1}`,
    `127.0.0.1.nip.io:${door.port}`,
  ]) {
    expect(await get('/', { cookie, host }), host).toMatchObject({ status: 403 })
    expect((await get(`/?token=${token}`, { host })).headers['set-cookie'], host).toBeUndefined()
  }
})

test('another site is refused even with the cookie, our own page is not', async () => {
  const own = `http://127.0.0.1:${door.port}`
  for (const headers of [
    { origin: 'https://evil.example' },
    { origin: 'null' },
    { origin: `http://127.0.0.1:${door.port + 1}` },
    { origin: `http://localhost:${door.port}` },
    { 'sec-fetch-site': 'cross-site' },
    { 'sec-fetch-site': 'same-site' },
  ]) {
    expect(await get('/', { cookie, ...headers }), JSON.stringify(headers)).toMatchObject({ status: 403 })
  }
  for (const headers of [{ origin: own }, { 'sec-fetch-site': 'none' }, { 'sec-fetch-site': 'same-origin' }]) {
    expect(await get('/', { cookie, ...headers }), JSON.stringify(headers)).toMatchObject({ status: 200 })
  }
})

test('the page can be read and nothing else', async () => {
  for (const method of ['POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS']) {
    const answer = await get('/', { cookie }, method)
    expect([method, answer.status, answer.headers['allow']]).toEqual([method, 405, 'GET, HEAD'])
  }
})

test('every answer carries the headers that keep a browser from helping others, refusals too', async () => {
  for (const answer of [await get('/', { cookie }), await get('/', {}), await get('/', { host: 'evil.example' })]) {
    expect(answer.headers['content-security-policy']).toContain("default-src 'none'")
    expect(answer.headers['content-security-policy']).toContain("frame-ancestors 'none'")
    expect(answer.headers['content-security-policy']).not.toContain('script-src')
    expect(answer.headers).toMatchObject({
      'x-content-type-options': 'nosniff',
      'cache-control': 'no-store',
      'referrer-policy': 'no-referrer',
    })
    expect(answer.headers['access-control-allow-origin']).toBeUndefined()
  }
})

test('each start has a token of its own', async () => {
  const other = await openPageDoor(new Hono() as unknown as DoorApp, () => {})
  await other.close()
  expect(new URL(other.url).searchParams.get('token')).not.toBe(token)
})
