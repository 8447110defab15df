/** The console's door: HTTP on loopback, for the one browser that was given the token. */

import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { getRequestListener } from '@hono/node-server'
import { WritError } from '../../core/fault.ts'
import { problemResponse } from '../problem.ts'
import {
  closeServer,
  type DoorApp,
  type DoorEnv,
  type DoorLimits,
  doorApp,
  listen,
  serverTimes,
  type Unexpected,
} from './http.ts'

export interface PageDoorOptions extends DoorLimits {
  /** TCP port on 127.0.0.1. Default: a free one. */
  readonly port?: number
}

export interface PageDoor {
  /** What the operator opens: `http://127.0.0.1:PORT/?token=…`. */
  readonly url: string
  readonly port: number
  close(): Promise<void>
}

/** The page has no script, no image and no font; its style stands in it, and its forms ask it again. */
const pageHeaders: Readonly<Record<string, string>> = {
  'content-security-policy':
    "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'cache-control': 'no-store',
}

export async function openPageDoor(
  page: Pick<DoorApp, 'fetch' | 'routes'>,
  unexpected: Unexpected,
  options: PageDoorOptions = {},
): Promise<PageDoor> {
  const token = randomBytes(32).toString('base64url')
  const session = randomBytes(32).toString('base64url')
  let port = 0
  const app = doorApp(unexpected)

  app.use(async (c, next) => {
    await next()
    for (const [name, value] of Object.entries(pageHeaders)) c.res.headers.set(name, value)
  })
  app.use(async (c, next) => {
    const refusal = strangerIn(c.req.raw, c.env, port)
    return refusal ?? (await next())
  })
  app.use(async (c, next) => {
    const given = c.req.query('token')
    if (given !== undefined && c.req.path === '/') {
      if (!equal(given, token)) throw locked('the token is wrong')
      c.header('set-cookie', `${cookieName(port)}=${session}; HttpOnly; SameSite=Strict; Path=/`)
      return c.redirect('/', 303) // So that the token stays in no history and no referrer.
    }
    if (!cookiesOf(c.req.header('cookie'), cookieName(port)).some((value) => equal(value, session))) {
      throw locked('this page needs the token that was printed at start')
    }
    return next()
  })
  app.route('/', page as DoorApp)

  const server = createServer(serverTimes(options), getRequestListener(app.fetch, { overrideGlobalObjects: false }))
  server.maxConnections = options.connections ?? 256
  await listen(server, { address: '127.0.0.1', port: options.port ?? 0 })
  port = (server.address() as AddressInfo).port
  return { url: `http://127.0.0.1:${port}/?token=${token}`, port, close: () => closeServer(server) }
}

/** Cookies do not know ports: without the port in its name, two doors of one machine would log each other out. */
const cookieName = (port: number): string => `writ_${port}`

const locked = (why: string): WritError =>
  new WritError('unauthorized', why, { cure: 'open the whole address that writ printed, with its token' })

/** Refuses what no browser sends for this page itself: another host (DNS rebinding), another site, another method. */
function strangerIn(request: Request, { incoming }: DoorEnv['Bindings'], port: number): Response | undefined {
  const names = [`127.0.0.1:${port}`, `localhost:${port}`]
  const host = incoming.headers.host ?? ''
  if (!names.includes(host)) return forbidden(`this page is not at ${JSON.stringify(host)}`)
  const { origin } = incoming.headers
  if (origin !== undefined && origin !== `http://${host}`) return forbidden('the request comes from another origin')
  const site = incoming.headers['sec-fetch-site']
  if (site !== undefined && site !== 'none' && site !== 'same-origin') {
    return forbidden('the request comes from another site')
  }
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    const detail = 'this page can only be read'
    return problemResponse({ code: 'usage', status: 405, detail, headers: { allow: 'GET, HEAD' } })
  }
  return undefined
}

const forbidden = (detail: string): Response =>
  problemResponse({ code: 'forbidden', detail, cure: 'open the address that writ printed in a new tab' })

const cookiesOf = (header: string | undefined, name: string): string[] =>
  (header ?? '')
    .split(';')
    .map((pair) => pair.trim())
    .filter((pair) => pair.startsWith(`${name}=`))
    .map((pair) => pair.slice(name.length + 1))

/** By digest, so that neither length nor content shows in the time. */
export const equal = (a: string, b: string): boolean => timingSafeEqual(digest(a), digest(b))
const digest = (text: string): Buffer => createHash('sha256').update(text).digest()
