/** OPA's REST API over our engine: clients of OPA point here and ask the policies that proxies ask. */

import { createServer } from 'node:http'
import { getRequestListener } from '@hono/node-server'
import { type Context, Hono } from 'hono'
import { fromUtf8, toBase64 } from '../../core/bytes.ts'
import { messageOf, WritError } from '../../core/fault.ts'
import type { Json } from '../../core/json.ts'
import { isLoopback } from '../../core/url.ts'
import { type DoorEnv, readBody, serverTimes, TooLarge, type Unexpected } from './http.ts'
import { type Door, type DoorOptions, openDoor } from './open-door.ts'
import { equal } from './page-door.ts'
import { type Compile, maxCompileBytes } from './rego-compile.ts'
import {
  answerQuery,
  type DataParts,
  entrypointsOf,
  readBare,
  readEnvelope,
  readParameter,
  stepsOf,
} from './rego-data.ts'
import { RegoError, regoErrorResponse } from './rego-error.ts'

export interface RegoDoorParts extends DataParts {
  /** Bearer token that all but health checks need. Needed where the door is not on loopback. */
  readonly token?: string | undefined
  /** Path that POST / answers for. Default `system/main`, as in OPA. */
  readonly defaultDecision?: string | undefined
  /** Compiles modules. Default: nobody may. */
  readonly compile?: Compile | undefined
  /** Hears of paths that nothing answers for. */
  readonly warn: (text: string) => void
  readonly unexpected: Unexpected
}

export interface RegoDoorOptions extends DoorOptions {
  /** Length of a body, in bytes. Default 1 MiB. */
  readonly maxBodyBytes?: number
  /** Requests that are answered at a time; further ones are refused with 503. Default 256. */
  readonly concurrent?: number
}

/** Throws `config_invalid` where it would stand open to strangers, or where two policies answer for one path. */
export async function openRegoDoor(parts: RegoDoorParts, options: RegoDoorOptions = {}): Promise<Door> {
  const { address = '127.0.0.1' } = options
  if (parts.token === undefined && !isLoopback(address)) {
    throw new WritError('config_invalid', `without a token this cannot listen on ${address}: anyone could ask`, {
      cure: 'give a token with --token-file, or listen on 127.0.0.1',
    })
  }
  refuseTwice(entrypointsOf(parts.policies))
  const app = regoRoutes(parts, options)
  const server = createServer(serverTimes(options), getRequestListener(app.fetch, { overrideGlobalObjects: false }))
  server.maxConnections = options.connections ?? 1024
  return openDoor(server, options)
}

function refuseTwice(entrypoints: readonly string[]): void {
  const twice = entrypoints.find((entrypoint, i) => entrypoints[i + 1] === entrypoint)
  if (twice === undefined) return
  throw new WritError('config_invalid', `more than one policy answers for ${twice}`, {
    cure: 'say which with --bundle-name',
  })
}

type Ctx = Context<DoorEnv>

export function regoRoutes(parts: RegoDoorParts, options: RegoDoorOptions = {}): Hono<DoorEnv> {
  const { maxBodyBytes = 1024 ** 2, concurrent = 256 } = options
  const app = new Hono<DoorEnv>()
  let running = 0

  app.onError((thrown) => regoErrorResponse(errorOf(thrown, parts.unexpected)))
  app.notFound((c) =>
    regoErrorResponse(new RegoError(404, 'resource_not_found', `nothing at ${c.req.method} ${c.req.path}`)),
  )

  app.use(async (c, next) => {
    const began = process.hrtime.bigint()
    await next()
    const seconds = Number(process.hrtime.bigint() - began) / 1e9
    parts.numbers.request({ code: c.res.status, handler: handlerOf(c.req.path), method: c.req.method }, seconds)
  })
  app.get('/health', (c) => c.json({}))
  app.get('/health/live', (c) => c.json({}))
  app.get('/health/ready', (c) => c.json({}))

  app.use(async (c, next) => {
    admit(c, parts.token)
    if (running >= concurrent)
      throw new RegoError(503, 'unavailable', `${concurrent} requests are being answered already`)
    running++
    try {
      await next()
    } finally {
      running--
    }
  })
  app.get('/metrics', (c) => c.body(parts.numbers.text(), 200, { 'content-type': 'text/plain; version=0.0.4' }))

  const body = async (c: Ctx, max: number): Promise<string> => {
    if (c.req.header('content-encoding') !== undefined) throw wrong('a body with a content-encoding is not read here')
    try {
      return fromUtf8(await readBody(c.req.raw, max))
    } catch (thrown) {
      if (thrown instanceof TooLarge) throw thrown
      throw wrong('the body is not UTF-8')
    }
  }

  const ask = async (c: Ctx, path: readonly string[], read: () => Promise<Json | undefined>) => {
    const began = process.hrtime.bigint()
    const input = await read()
    const parseNs = process.hrtime.bigint() - began
    const { incoming } = c.env
    const requestedBy = `${incoming.socket.remoteAddress}:${incoming.socket.remotePort}`
    const answered = await answerQuery({ path, input, requestedBy, parseNs }, parts)
    if (answered.warning !== undefined) {
      c.header('x-writ-warning', headerText(answered.warning))
      parts.warn(answered.warning)
    }
    return { ...answered, input, handlerNs: Number(process.hrtime.bigint() - began) }
  }

  const v1 = async (c: Ctx, read: () => Promise<Json | undefined>): Promise<Response> => {
    const path = stepsOf(c.req.path.slice('/v1/data'.length))
    const { result, decisionId, metrics, handlerNs, input } = await ask(c, path, read)
    const missing = c.req.method === 'POST' && input === undefined
    return json(c, {
      result,
      ...(decisionId !== undefined && { decision_id: decisionId }),
      ...(flag(c, 'metrics') && { metrics: { ...metrics, timer_server_handler_ns: handlerNs } }),
      ...(flag(c, 'provenance') && { provenance: provenanceOf(parts) }),
      ...(missing && { warning: { code: 'api_usage_warning', message: "'input' key missing from the request" } }),
    })
  }
  const v0 = async (c: Ctx, path: readonly string[]): Promise<Response> => {
    const { result } = await ask(c, path, async () => readBare(await body(c, maxBodyBytes)))
    if (result !== undefined) return json(c, result)
    throw new RegoError(404, 'undefined_document', `document missing: ${['data', ...path].join('.')}`)
  }

  for (const route of ['/v1/data', '/v1/data/*']) {
    app.get(route, (c) => v1(c, async () => readParameter(c.req.query('input'))))
    app.post(route, (c) => v1(c, async () => readEnvelope(await body(c, maxBodyBytes))))
  }
  for (const route of ['/v0/data', '/v0/data/*']) {
    app.post(route, (c) => v0(c, stepsOf(c.req.path.slice('/v0/data'.length))))
  }
  app.post('/', (c) => v0(c, stepsOf(parts.defaultDecision ?? 'system/main')))

  app.post('/v1/policies/compile', async (c) => {
    if (!parts.compile)
      throw new RegoError(403, 'unauthorized', 'nothing is compiled here: it was started without --compile')
    const { bytes, ref, entrypoints } = await parts.compile(await body(c, maxCompileBytes))
    if (/application\/gzip/i.test(c.req.header('accept') ?? '')) {
      return c.body(new Uint8Array(bytes), 200, { 'content-type': 'application/gzip', 'x-writ-revision': ref.revision })
    }
    const { revision, sha256 } = ref
    return json(c, { result: { bundle: toBase64(bytes), revision, sha256, entrypoints } })
  })
  return app
}

const wrong = (message: string): RegoError => new RegoError(400, 'invalid_parameter', message)

/** Without a token the door trusts its host, and no page that a browser of that host has open. */
function admit(c: Ctx, token: string | undefined): void {
  if (token !== undefined) {
    const given = /^Bearer ([\x21-\x7e]{1,1024})$/i.exec(c.req.header('authorization') ?? '')?.[1] ?? ''
    if (equal(given, token)) return
    throw new RegoError(401, 'unauthorized', 'request rejected: it takes the token of this server')
  }
  const host = (c.env.incoming.headers.host ?? '').replace(/:\d+$/, '').replace(/^\[|\]$/g, '')
  if (isLoopback(host) && c.req.header('origin') === undefined) return
  throw new RegoError(
    403,
    'unauthorized',
    'request rejected: it comes from a web page, or by another name of this host',
  )
}

function errorOf(thrown: unknown, unexpected: Unexpected): RegoError {
  if (thrown instanceof RegoError) return thrown
  if (thrown instanceof RangeError) return wrong('the body is nested too deeply')
  if (thrown instanceof TooLarge) return new RegoError(413, 'invalid_parameter', messageOf(thrown))
  if (thrown instanceof WritError && (thrown.code === 'audit_unavailable' || thrown.code === 'compiler_missing')) {
    return new RegoError(503, 'unavailable', thrown.message)
  }
  unexpected(thrown)
  return new RegoError(500, 'internal_error', 'something went wrong that the log of this process tells')
}

const handlers = ['/v1/data', '/v0/data', '/v1/policies/compile', '/health', '/metrics']

function handlerOf(path: string): string {
  const known = handlers.find((one) => path === one || path.startsWith(`${one}/`))
  return known?.slice(1) ?? (path === '/' ? 'index' : 'catchall')
}

/** As OPA reads them: `?metrics`, `?metrics=true`. */
function flag(c: Ctx, name: string): boolean {
  const value = c.req.query(name)
  return value !== undefined && value !== 'false'
}

const json = (c: Ctx, value: Json): Response =>
  c.body(`${JSON.stringify(value, null, flag(c, 'pretty') ? 2 : undefined)}\n`, 200, {
    'content-type': 'application/json',
  })

const provenanceOf = ({ labels, policies }: RegoDoorParts): Json => ({
  version: labels.version,
  build_commit: '',
  build_timestamp: '',
  build_hostname: '',
  bundles: Object.fromEntries(policies.map(({ ref }) => [ref.bundle, { revision: ref.revision }])),
})

/** What came in a path goes into a header: visible ASCII alone. */
const headerText = (text: string): string => text.replace(/[^\x20-\x7e]/g, '?').slice(0, 512)
