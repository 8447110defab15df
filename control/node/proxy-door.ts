/**
 * A proxy's two doors. What tells nothing secret and changes nothing is on loopback HTTP: whether it is ready, whether it
 * lives, its metrics. What tells more, its configuration, who calls whom and the requests themselves, is on a Unix
 * socket that its owner alone can open.
 */

import { createServer } from 'node:http'
import { type AddressInfo, isIP } from 'node:net'
import { getRequestListener } from '@hono/node-server'
import { z } from 'zod'
import { WritError } from '../../core/fault.ts'
import type { Json } from '../../core/json.ts'
import type { AccessEntry } from '../../proxy/telemetry/access-log.ts'
import type { TapFilter } from '../../proxy/telemetry/tap.ts'
import { problemResponse } from '../problem.ts'
import { type AdminDoor, openSocketDoor } from './admin-door.ts'
import { closeServer, type DoorApp, type DoorLimits, doorApp, listen, serverTimes, type Unexpected } from './http.ts'

/** What the door on loopback shows, of a proxy and of an agent. */
export interface OpenDoorParts {
  /** Why it is not ready; empty where it is. */
  notReady(): readonly string[]
  /** Prometheus' text format. */
  metrics(): string
  readonly unexpected: Unexpected
}

export interface ProxyDoorParts extends OpenDoorParts {
  /** What is in force; no key stands in it. */
  config(): Json
  graph(): Json
  tap(filter: TapFilter, maxPerSecond: number, show: (entry: AccessEntry) => boolean): () => void
}

export interface OpenDoor {
  readonly address: string
  readonly port: number
  close(): Promise<void>
}

/** Opens the HTTP door. Throws a WritError `in_use` where somebody listens there. */
export async function openProxyDoor(
  where: { readonly address: string; readonly port: number },
  parts: OpenDoorParts,
  limits: DoorLimits = {},
): Promise<OpenDoor> {
  const app = doorApp(parts.unexpected)
  app.use(async (c, next) => {
    if (isNamed(c.env.incoming.headers.host)) {
      return problemResponse({ code: 'forbidden', detail: 'this door has no name', cure: 'call it by its address' })
    }
    return next()
  })
  openRoutes(app, parts)
  const server = createServer(serverTimes(limits), getRequestListener(app.fetch, { overrideGlobalObjects: false }))
  server.maxConnections = limits.connections ?? 64
  await listen(server, where)
  const { address, port } = server.address() as AddressInfo
  return { address, port, close: () => closeServer(server) }
}

/** Opens the door for the owner alone. Throws as `openSocketDoor` does. */
export function openProxySocket(path: string, parts: ProxyDoorParts, limits: DoorLimits = {}): Promise<AdminDoor> {
  const app = doorApp(parts.unexpected)
  openRoutes(app, parts)
  app.get('/config', (c) => c.json(parts.config()))
  app.get('/graph', (c) => c.json(parts.graph()))
  app.get('/tap', (c) => {
    const read = tapQuery.safeParse(c.req.query())
    if (!read.success) {
      const issue = read.error.issues[0]
      throw new WritError('usage', `${issue?.path.join('.') || 'the query'}: ${issue?.message ?? 'is wrong'}`, {
        cure: `filter by ${Object.keys(tapQuery.shape).join(', ')}`,
      })
    }
    const { max_per_second, ...filter } = read.data
    return new Response(tapStream(parts, filter, max_per_second), {
      headers: { 'content-type': 'application/x-ndjson' },
    })
  })
  return openSocketDoor(path, app, limits)
}

function openRoutes(app: DoorApp, parts: OpenDoorParts): void {
  app.get('/live', (c) => c.text('live\n'))
  app.get('/ready', (c) => {
    const why = parts.notReady()
    return why.length === 0 ? c.text('ready\n') : c.text(`not ready: ${why.join('; ')}\n`, 503)
  })
  app.get('/metrics', (c) =>
    c.body(parts.metrics(), 200, { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' }),
  )
}

/** A page of a browser reaches loopback by a name of its own (DNS rebinding); probes and collectors use addresses. */
function isNamed(host = ''): boolean {
  const name = host.replace(/:\d+$/, '').replace(/^\[(.*)\]$/, '$1')
  return name !== 'localhost' && isIP(name) === 0
}

const word = z.string().max(2048)

const tapQuery = z.strictObject({
  direction: z.enum(['inbound', 'outbound']).exactOptional(),
  method: word.exactOptional(),
  path: word.exactOptional(),
  authority: word.exactOptional(),
  source: word.exactOptional(),
  service: word.exactOptional(),
  route: word.exactOptional(),
  verdict: z.enum(['allow', 'deny', 'fault']).exactOptional(),
  code: word.exactOptional(),
  status: z
    .string()
    .regex(/^(?:[1-5][0-9]{2}|[1-5]xx)$/, { error: 'is neither a status nor a class such as 5xx' })
    .exactOptional(),
  max_per_second: z.coerce.number().int().min(1).max(10_000).default(100),
})

/** Lines that may wait for whoever watches; what comes meanwhile is missed. */
const maxWaiting = 256

/** Time between the empty lines that say that the proxy is still there, in milliseconds. */
const beatMs = 15_000

function tapStream({ tap }: ProxyDoorParts, filter: TapFilter, maxPerSecond: number): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder()
  let close = (): void => {}
  let beat: NodeJS.Timeout | undefined
  return new ReadableStream<Uint8Array>(
    {
      start(controller) {
        close = tap(filter, maxPerSecond, (entry) => {
          if ((controller.desiredSize ?? 0) <= 0) return false
          controller.enqueue(encoder.encode(`${JSON.stringify(entry)}\n`))
          return true
        })
        beat = setInterval(() => controller.enqueue(encoder.encode('\n')), beatMs)
        beat.unref()
      },
      cancel() {
        clearInterval(beat)
        close()
      },
    },
    { highWaterMark: maxWaiting },
  )
}
