/** What the audit answers in streams, and what it keeps: exports, the live tail, saved questions, identities. */

import { Hono } from 'hono'
import { z } from 'zod'
import { readQuestion, writeCursor } from '../../audit/query/ask.ts'
import { parseMoment } from '../../audit/query/moment.ts'
import { exported, exportTypes, readFormat } from '../../audit/query/node/export.ts'
import { findDecisions } from '../../audit/query/node/find.ts'
import { reached, whoWas } from '../../audit/query/node/identity.ts'
import { removeQuestion, savedQuestion, savedQuestions, saveQuestion } from '../../audit/query/node/saved.ts'
import { tail } from '../../audit/query/node/tail.ts'
import type { Db } from '../../audit/store/schema.ts'
import { WritError } from '../../core/fault.ts'
import { type DoorApp, type DoorEnv, readJson } from './http.ts'
import { pulled } from './pulled.ts'

export interface StreamDeps {
  readonly db: Db
  readonly actor: string
  readonly nowMs: () => number
}

/** Tails at once; each is a query twice a second. */
const maxTails = 16
const saveBody = z.strictObject({ asked: z.string().max(8192) })

export function streamRoutes({ db, actor, nowMs }: StreamDeps): DoorApp {
  const app: DoorApp = new Hono<DoorEnv>()
  let tails = 0

  app.get('/v1/audit/export', (c) => {
    const { format, pairs } = take(c.req.url, 'format')
    const of = readFormat(format)
    const question = readQuestion(pairs, nowMs(), Number.MAX_SAFE_INTEGER)
    return streamed(exported(db, question, of), exportTypes[of])
  })

  // NDJSON, or server-sent events for a browser, which sends the last id it saw when it comes again.
  app.get('/v1/audit/tail', (c) => {
    const { format = 'json', pairs } = take(c.req.url, 'format')
    if (format !== 'json' && format !== 'sse') throw new WritError('usage', 'format is one of json, sse')
    const last = c.req.header('last-event-id')
    const { cursor, ...question } = readQuestion(last ? [...pairs, ['cursor', last]] : pairs, nowMs())
    if (question.claim || question.fact)
      throw new WritError('usage', 'a tail looks into no records: leave out claim and fact')
    if (tails >= maxTails) {
      throw new WritError('unavailable', `${maxTails} tails are open already`, { cure: 'end one, or try again later' })
    }
    const lines = async function* (): AsyncGenerator<Uint8Array> {
      tails++
      try {
        for await (const item of tail(db, question, { ...(cursor && { from: cursor }), signal: c.req.raw.signal })) {
          const { cursor: at, ...rest } = item
          const next = writeCursor(at)
          const text = JSON.stringify({ ...rest, next })
          yield encoder.encode(format === 'sse' ? `id: ${next}\ndata: ${text}\n\n` : `${text}\n`)
        }
      } finally {
        tails--
      }
    }
    return streamed(lines(), format === 'sse' ? 'text/event-stream' : 'application/x-ndjson')
  })

  app.get('/v1/audit/saved', async (c) => c.json({ questions: await savedQuestions(db) }))
  app.put('/v1/audit/saved/:name', async (c) => {
    const { asked } = await readJson(c.req.raw, 16_384, saveBody)
    await saveQuestion(db, c.req.param('name'), asked, actor, nowMs())
    return c.json(await savedQuestion(db, c.req.param('name')))
  })
  app.delete('/v1/audit/saved/:name', async (c) => {
    await removeQuestion(db, c.req.param('name'))
    return c.json({ removed: c.req.param('name') })
  })
  app.get('/v1/audit/saved/:name/run', async (c) => {
    const { asked } = await savedQuestion(db, c.req.param('name'))
    const pairs = new Map([...new URLSearchParams(asked), ...new URL(c.req.url, 'http://admin').searchParams])
    const each = [...new URLSearchParams(asked)].filter(([name]) => ['claim', 'fact', 'not'].includes(name))
    for (const [name] of each) pairs.delete(name)
    return c.json(await findDecisions(db, readQuestion([...pairs, ...each], nowMs())))
  })

  app.get('/v1/audit/who', async (c) => {
    const { id, at } = c.req.query()
    return c.json(await whoWas(db, idOf(id), at ? parseMoment(at, nowMs(), 'at') : nowMs()))
  })
  app.get('/v1/audit/reach', async (c) => {
    const { id, since = '1h', until } = c.req.query()
    const toMs = until ? parseMoment(until, nowMs(), 'until') : nowMs()
    return c.json(await reached(db, idOf(id), parseMoment(since, nowMs(), 'since'), toMs))
  })
  return app
}

const encoder = new TextEncoder()

function idOf(text: string | undefined): string {
  if (text && text.length <= 2048) return text
  throw new WritError('usage', 'id takes a SPIFFE id, or the end of its path')
}

function take(url: string, name: string): { readonly format: string | undefined; readonly pairs: [string, string][] } {
  const all = [...new URL(url, 'http://admin').searchParams]
  return { format: all.find(([key]) => key === name)?.[1], pairs: all.filter(([key]) => key !== name) }
}

const streamed = (chunks: AsyncGenerator<Uint8Array>, type: string): Response =>
  new Response(pulled(chunks), { headers: { 'content-type': type, 'cache-control': 'no-store' } })
