/** What every door has in common: bounded bodies, bounded times, and problem details for whatever goes wrong. */

import type { Server } from 'node:http'
import type { HttpBindings } from '@hono/node-server'
import { Hono } from 'hono'
import type { z } from 'zod'
import { concat, fromUtf8 } from '../../core/bytes.ts'
import { WritError } from '../../core/fault.ts'
import { parseJson } from '../../core/json.ts'
import { problemResponse } from '../problem.ts'

export type DoorEnv = { Bindings: HttpBindings }
export type DoorApp = Hono<DoorEnv>

export interface DoorLimits {
  /** Open connections; further ones are closed at once. Default 4096. */
  readonly connections?: number
  /** Time in which a whole request must have arrived, in milliseconds. Default 10 000. */
  readonly requestMs?: number
}

/** Told of what nobody expected; the caller only reads that it happened. */
export type Unexpected = (thrown: unknown) => void

export function doorApp(unexpected: Unexpected): DoorApp {
  const app: DoorApp = new Hono<DoorEnv>()
  app.notFound((c) => problemResponse({ code: 'not_found', detail: `nothing at ${c.req.method} ${c.req.path}` }))
  app.onError((thrown) => {
    if (thrown instanceof TooLarge) {
      return problemResponse({ code: 'usage', status: 413, detail: thrown.message, headers: { connection: 'close' } })
    }
    if (thrown instanceof WritError && thrown.code !== 'internal') {
      return problemResponse({ code: thrown.code, detail: thrown.message, cure: thrown.cure })
    }
    unexpected(thrown)
    return problemResponse({ code: 'internal', detail: 'something went wrong that the log of this process tells' })
  })
  return app
}

/** A body beyond its limit. */
export class TooLarge extends Error {}

/** A body as JSON of the given shape. Throws what `doorApp` answers: 413, or 400 with the first field that is wrong. */
export async function readJson<T>(request: Request, maxBytes: number, shape: z.ZodType<T>): Promise<T> {
  const value = parseJson(textOf(await readBody(request, maxBytes)))
  if (value === undefined) throw new WritError('usage', 'the body is not JSON')
  const read = shape.safeParse(value)
  if (read.success) return read.data
  const issue = read.error.issues[0]
  const at = issue?.path.map(String).join('.')
  throw new WritError('usage', `the body${at ? ` at ${at}` : ''}: ${issue?.message ?? 'is wrong'}`)
}

/** Throws `TooLarge`. */
export async function readBody(request: Request, maxBytes: number): Promise<Uint8Array> {
  const tooLarge = new TooLarge(`a body has at most ${maxBytes} bytes here`)
  if (Number(request.headers.get('content-length') ?? 0) > maxBytes) throw tooLarge
  const chunks: Uint8Array[] = []
  let length = 0
  for await (const chunk of request.body ?? []) {
    length += chunk.length
    if (length > maxBytes) throw tooLarge
    chunks.push(chunk)
  }
  return concat(...chunks)
}

function textOf(bytes: Uint8Array): string {
  try {
    return fromUtf8(bytes)
  } catch {
    throw new WritError('usage', 'the body is not UTF-8')
  }
}

/** Options of a server that no slow peer can hold: given when it is made, as Node reads the interval only then. */
export function serverTimes(limits: DoorLimits): {
  requestTimeout: number
  headersTimeout: number
  keepAliveTimeout: number
  connectionsCheckingInterval: number
} {
  const requestMs = limits.requestMs ?? 10_000
  return {
    requestTimeout: requestMs,
    headersTimeout: requestMs,
    keepAliveTimeout: 60_000,
    connectionsCheckingInterval: Math.min(requestMs, 1000),
  }
}

export function listen(
  server: Server,
  where: { readonly address: string; readonly port: number } | string,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const failed = (thrown: NodeJS.ErrnoException): void => {
      const place = typeof where === 'string' ? where : `${where.address}:${where.port}`
      const inUse = thrown.code === 'EADDRINUSE'
      reject(
        new WritError(inUse ? 'in_use' : 'unavailable', `cannot listen on ${place}: ${thrown.message}`, {
          cure: inUse ? 'stop what listens there, or choose another place' : 'check the address and the permissions',
          cause: thrown,
        }),
      )
    }
    server.once('error', failed)
    const ready = (): void => {
      server.off('error', failed)
      resolve()
    }
    if (typeof where === 'string') server.listen(where, ready)
    else server.listen(where.port, where.address, ready)
  })
}

/** Ends idle connections at once, busy ones when they have answered or after two seconds. */
export function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => {
    const late = setTimeout(() => server.closeAllConnections(), 2000)
    server.close(() => {
      clearTimeout(late)
      resolve()
    })
    server.closeIdleConnections()
  })
}
