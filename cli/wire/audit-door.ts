/**
 * The audit's door, as commands use it: that of the process that holds the store, or, where nobody runs, the same routes
 * over the store itself. So every reading takes one way, whoever asks.
 */

import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { WritError } from '../../core/fault.ts'
import { type Json, parseJson } from '../../core/json.ts'
import type { PlaceOptions } from '../place.ts'

export interface AuditDoor {
  /** Throws the WritError that the answer names. */
  ask(method: string, path: string, body?: Json): Promise<Json>
  /** The bytes of an answer as they come; whoever does not read on holds the sender back. */
  stream(path: string): AsyncIterable<Uint8Array>
  close(): Promise<void>
}

export async function openAuditDoor(options: Pick<PlaceOptions, 'state' | 'database'>): Promise<AuditDoor> {
  const socket = join(options.state, 'admin.sock')
  if (options.database === undefined && existsSync(socket)) {
    const { adminRequest, adminStream, answers } = await import('../../control/node/client.ts')
    if (await answers(socket)) {
      return {
        ask: (method, path, body) => adminRequest(socket, method, path, body),
        stream: (path) => adminStream(socket, path),
        close: async () => undefined,
      }
    }
  }
  return overStore(options)
}

async function overStore(options: Pick<PlaceOptions, 'state' | 'database'>): Promise<AuditDoor> {
  const [{ doorApp }, { readingRoutes }, { openStoreOf }, { faultOf }] = await Promise.all([
    import('../../control/node/http.ts'),
    import('../../control/node/audit-reading.ts'),
    import('../place.ts'),
    import('../../control/node/client.ts'),
  ])
  const store = await openStoreOf(options)
  let broken: unknown
  const app = doorApp((thrown) => {
    broken = thrown
  })
  app.route('/', readingRoutes({ db: store.db, actor: `uid ${process.getuid?.() ?? 0}`, nowMs: Date.now }))
  const request = async (path: string, init: RequestInit = {}): Promise<Response> => {
    const answer = await app.request(path, init)
    if (answer.ok) return answer
    if (broken !== undefined) throw broken
    throw faultOf(answer.status, parseJson(await answer.text()))
  }
  return {
    ask: async (method, path, body) => {
      const sent =
        body === undefined ? {} : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }
      const answer = await request(path, { method, ...sent })
      const text = await answer.text()
      return answer.headers.get('content-type')?.includes('application/json') ? (parseJson(text) ?? null) : text
    },
    stream: async function* (path) {
      const { body } = await request(path)
      if (!body) throw new WritError('internal', `no body at ${path}`)
      yield* body
    },
    close: () => store.close(),
  }
}

/** A path with what is asked for. */
export const pathWith = (path: string, pairs: readonly (readonly [string, string])[]): string =>
  pairs.length === 0 ? path : `${path}?${new URLSearchParams(pairs as [string, string][])}`
