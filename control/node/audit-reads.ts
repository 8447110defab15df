/** Who may read the audit, and that they did: every door asks here first. A reading that cannot be recorded is none. */

import type { MiddlewareHandler } from 'hono'
import { WritError } from '../../core/fault.ts'
import type { Json } from '../../core/json.ts'
import type { RecordSink } from '../../core/ports.ts'
import type { AuditReadBody } from '../../core/record.ts'
import type { DoorEnv } from './http.ts'
import { pulled } from './pulled.ts'

/** Whom a door knows the reader as. */
export type Reader = Pick<AuditReadBody, 'door' | 'reader' | 'claimed'>

export interface ReadsParts {
  readonly sink: () => Pick<RecordSink, 'keep'>
  /** May this reader ask that? Default: who has the socket or the page's token may, nobody else. */
  readonly authorize?: (input: Json) => Promise<{ readonly allow: boolean; readonly reason: string }>
}

const maxQuestion = 1024

export interface AuditReads {
  /** Throws `forbidden`, which is recorded too. */
  allow(reader: Reader, action: string, question: string): Promise<void>
  /** Recorded before what was read is handed out. */
  told(reader: Reader, action: string, question: string, count: number): Promise<void>
}

export function makeReads({ sink, authorize }: ReadsParts): AuditReads {
  const keep = async (
    reader: Reader,
    action: string,
    question: string,
    more: Partial<AuditReadBody>,
  ): Promise<void> => {
    const text = question.slice(0, maxQuestion).toWellFormed()
    const body = { kind: 'audit_read' as const, ...reader, action, question: text, verdict: 'allow' as const }
    await sink().keep({ ...body, count: 0, times: 1, ...more })
  }
  return {
    async allow(reader, action, question) {
      const answer = authorize
        ? await authorize({ reader: { ...reader }, action, question })
        : { allow: reader.door !== 'api', reason: 'only the operator’s socket and the page may read' }
      if (answer.allow) return
      await keep(reader, action, question, { verdict: 'deny', reason: answer.reason.slice(0, 512).toWellFormed() })
      throw new WritError('forbidden', 'you may not read this of the audit', {
        cure: 'ask whoever keeps the policy that spec.audit.access names',
      })
    },
    told: (reader, action, question, count) => keep(reader, action, question, { count }),
  }
}

/** Guards every reading of an app by `allow` and `told`; what it hands out is counted by `rows`, `findings` or lines. */
export function recordedReads(
  reads: AuditReads,
  reader: (claimed: string | undefined) => Reader,
): MiddlewareHandler<DoorEnv> {
  return async (c, next) => {
    if (!isReading(c.req.method, c.req.path)) return next()
    const { pathname, search } = new URL(c.req.url, 'http://door')
    const action = pathname === '/' ? 'page' : pathname.replace(/^\/(?:v1\/)?(?:audit\/)?/, '').split('/')[0]!
    const question = `${pathname}${search}`
    const who = reader(c.req.header('writ-reader')?.slice(0, 128))
    await reads.allow(who, action, question)
    await next()
    if (c.res.status >= 300) return
    if (!/^\/v1\/audit\/(?:export|tail)$/.test(pathname)) {
      await reads.told(who, action, question, await countIn(c.res))
      return
    }
    // What is streamed is recorded when it begins, and again with its lines when it ends.
    await reads.told(who, action, question, 0)
    const ended = (lines: number): Promise<void> => reads.told(who, action, question, lines)
    if (c.res.body) c.res = new Response(counted(c.res.body, ended), c.res)
  }
}

function counted(
  body: ReadableStream<Uint8Array>,
  ended: (lines: number) => Promise<void>,
): ReadableStream<Uint8Array> {
  const chunks = async function* (): AsyncGenerator<Uint8Array> {
    let lines = 0
    try {
      for await (const chunk of body) {
        for (const byte of chunk) if (byte === 10) lines++
        yield chunk
      }
    } finally {
      await ended(lines).catch(() => undefined) // Its beginning stands in the log.
    }
  }
  return pulled(chunks())
}

/** What of a door's paths is of the audit. */
const isReading = (method: string, path: string): boolean =>
  method === 'GET'
    ? /^\/(?:v1\/(?:audit\/|report$|quarantine\/preview$)|record\/|report$|checks$|$)/.test(path)
    : method === 'POST' &&
      (path.startsWith('/v1/audit/ask/') || ['/v1/audit/disclose', '/v1/audit/subject'].includes(path))

async function countIn(response: Response): Promise<number> {
  const type = response.headers.get('content-type') ?? ''
  if (type.includes('ndjson')) return Math.max(0, (await response.clone().text()).split('\n').length - 2)
  if (!type.includes('json')) return 1
  const body = (await response.clone().json()) as { readonly [name: string]: unknown }
  for (const name of ['rows', 'records', 'findings', 'edges', 'reached', 'checks']) {
    const list = body[name]
    if (Array.isArray(list)) return list.length
  }
  return 1
}
