import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { createServer, type Server } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TLSSocket } from 'node:tls'
import { afterAll, beforeAll, expect } from 'vitest'
import { run } from './child.ts'
import { startChromium } from './chromium.ts'
import { needs, pathOf } from './needs.ts'
import { startNginx } from './nginx.ts'
import { putUnderLoad } from './vegeta.ts'
import { startWorkerd } from './workerd.ts'

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'writ-parts-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

needs('nginx')('nginx serves, also after it was killed', async () => {
  const server = await startNginx({
    http: (port) => `server { listen 127.0.0.1:${port}; location / { return 200 "hello $uri"; } }`,
  })
  try {
    expect(await textOf(server.port, '/a')).toBe('hello /a')
    await server.kill()
    await expect(textOf(server.port, '/a')).rejects.toThrow()
    await server.restart()
    expect(await textOf(server.port, '/b')).toBe('hello /b')
  } finally {
    await server.remove()
  }
})

needs('nginx')('nginx with a faulty configuration says what is wrong with it', async () => {
  await expect(startNginx({ http: () => 'nonsense;' })).rejects.toThrow('unknown directive "nonsense"')
})

needs('workerd')('workerd answers a fetch with what its modules export', async () => {
  const server = await startWorkerd({
    modules: {
      'main.js': `import { greeting } from './greeting.js'
        export default { fetch: (request) => new Response(greeting + new URL(request.url).pathname) }`,
      'greeting.js': `export const greeting = 'hello '`,
    },
  })
  try {
    expect(await textOf(server.port, '/a')).toBe('hello /a')
  } finally {
    await server.remove()
  }
})

needs('opa')('opa evaluates and knows how to build Wasm', async () => {
  expect(await run(pathOf('opa'), ['eval', '--format=raw', '1 + 1'])).toBe('2\n')
  expect(await run(pathOf('opa'), ['version'])).toMatch(/WebAssembly: (?:available|unavailable)/)
})

needs('curl')('curl speaks HTTPS', async () => {
  expect(await run(pathOf('curl'), ['--version'])).toMatch(/^Protocols: .*\bhttps\b/m)
})

needs('chromium')('Chromium shows a page as a person would see it', async () => {
  const browser = await startChromium()
  try {
    const page = await browser.newPage()
    await page.goto('data:text/html,<title>T</title><button onclick="this.textContent=`pressed`">press</button>')
    await page.getByRole('button', { name: 'press', exact: true }).click()
    expect(await page.locator('button').textContent()).toBe('pressed')
  } finally {
    await browser.close()
  }
})

needs('vegeta', 'openssl')('vegeta shows its client certificate and asks for each target in turn', async () => {
  const tls = await certificates()
  const seen: string[] = []
  const server = await mutualTls(tls, (who, path) => seen.push(`${who} ${path}`))
  try {
    const base = `https://localhost:${(server.address() as AddressInfo).port}`
    const targets = ['/a', '/b', '/c'].map((path) => ({ method: 'GET', url: base + path }))
    const report = await putUnderLoad({ targets, rate: 30, seconds: 1, connections: 1, tls })
    expect(report).toMatchObject({ requests: 30, status_codes: { 200: 30 }, errors: [] })
    expect(new Set(seen)).toEqual(new Set(['caller /a', 'caller /b', 'caller /c']))

    const stranger = await putUnderLoad({
      targets,
      rate: 5,
      seconds: 1,
      tls: { ...tls, cert: tls.own, key: tls.ownKey },
    })
    expect(stranger.status_codes).toEqual({ 0: 5 })
  } finally {
    server.close()
  }
})

async function textOf(port: number, path: string): Promise<string> {
  return (await fetch(`http://127.0.0.1:${port}${path}`)).text()
}

interface Certificates {
  readonly roots: string
  readonly cert: string
  readonly key: string
  readonly server: string
  readonly serverKey: string
  /** Signed by itself alone. */
  readonly own: string
  readonly ownKey: string
}

async function certificates(): Promise<Certificates> {
  const file = (name: string): string => join(folder, name)
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '1']
  const make = (name: string, more: readonly string[]): Promise<string> =>
    run(pathOf('openssl'), [
      ...['req', '-x509', ...key, '-subj', `/CN=${name}`],
      ...['-keyout', file(`${name}.key`), '-out', file(`${name}.pem`), ...more],
    ])
  await make('root', [])
  const byRoot = ['-CA', file('root.pem'), '-CAkey', file('root.key'), '-addext', 'basicConstraints=critical,CA:false']
  await make('localhost', [...byRoot, '-addext', 'subjectAltName=DNS:localhost'])
  await make('caller', byRoot)
  await make('own', [])
  return {
    roots: file('root.pem'),
    cert: file('caller.pem'),
    key: file('caller.key'),
    server: file('localhost.pem'),
    serverKey: file('localhost.key'),
    own: file('own.pem'),
    ownKey: file('own.key'),
  }
}

async function mutualTls(tls: Certificates, seen: (who: string, path: string) => void): Promise<Server> {
  const [ca, cert, key] = await Promise.all([tls.roots, tls.server, tls.serverKey].map((file) => readFile(file)))
  const server = createServer({ ca: ca!, cert: cert!, key: key!, requestCert: true }, (request, response) => {
    const common = (request.socket as TLSSocket).getPeerCertificate().subject.CN
    seen(String(common), request.url ?? '')
    response.end('ok')
  })
  return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(server)))
}
