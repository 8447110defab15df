/** The canned questions over HTTP. */

import { Hono } from 'hono'
import { z } from 'zod'
import { formatAnswerCsv } from '../../audit/query/answer-format.ts'
import { canned } from '../../audit/query/node/canned.ts'
import { questions, readAsked } from '../../audit/query/questions.ts'
import type { Db } from '../../audit/store/schema.ts'
import { WritError } from '../../core/fault.ts'
import type { Json } from '../../core/json.ts'
import { type DoorApp, type DoorEnv, readJson } from './http.ts'

export interface QuestionDeps {
  readonly db: Db
  readonly nowMs: () => number
}

/** Data of a policy, for the question about its grants. */
const maxDataBytes = 4 * 1024 ** 2
const dataBody = z.strictObject({ data: z.json() })

export function questionRoutes({ db, nowMs }: QuestionDeps): DoorApp {
  const app: DoorApp = new Hono<DoorEnv>()

  app.get('/v1/audit/ask', (c) =>
    c.json({
      questions: questions.map(({ name, asks, about, takes, since }) => ({ name, asks, about, takes, since })),
    }),
  )

  const answer = async (name: string, url: string, data?: Json): Promise<Response> => {
    const { format = 'json', ...pairs } = Object.fromEntries(new URL(url, 'http://admin').searchParams)
    const found = await canned(
      { db, ...(data !== undefined && { data }) },
      readAsked(name, Object.entries(pairs), nowMs()),
    )
    if (format === 'csv') {
      return new Response(formatAnswerCsv(found), { headers: { 'content-type': 'text/csv; charset=utf-8' } })
    }
    if (format !== 'json') throw new WritError('usage', 'format is one of json, csv')
    return Response.json(found)
  }
  app.get('/v1/audit/ask/:name', (c) => answer(c.req.param('name'), c.req.url))
  app.post('/v1/audit/ask/:name', async (c) => {
    const { data } = await readJson(c.req.raw, maxDataBytes, dataBody)
    return answer(c.req.param('name'), c.req.url, data as Json)
  })
  return app
}
