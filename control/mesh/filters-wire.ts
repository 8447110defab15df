/** What a snapshot says of filters, as it comes over the wire. What no filter may touch is refused here too. */

import { z } from 'zod'
import { isOwnField, type RouteFilters } from '../../core/filters.ts'
import { pathValue } from './route-match.ts'

const text = z.string().max(4096)
const share = z.number().min(0).max(1)

const token = z.string().regex(/^[!#$%&'*+.^_`|~0-9a-z-]{1,256}$/, { error: 'no header name in lower case' })
const name = token.refine((given) => !isOwnField(given), { error: 'written by the proxy alone' })
const value = z.string().regex(/^[\t\x20-\x7e]{0,4096}$/, { error: 'no header value' })

const changes = z.strictObject({
  set: z.record(name, value).exactOptional(),
  add: z.record(name, value).exactOptional(),
  remove: z.array(name).exactOptional(),
})

export const backendFilters: z.ZodType<Pick<RouteFilters, 'request' | 'response'>> = z.strictObject({
  request: changes.exactOptional(),
  response: changes.exactOptional(),
})

const path = z.strictObject({ type: z.enum(['full', 'prefix']), value: pathValue })
const host = z.string().regex(/^[a-z0-9.-]{1,253}$/, { error: 'no host name' })
const list = z.array(value)

export const filters: z.ZodType<RouteFilters> = z.strictObject({
  request: changes.exactOptional(),
  response: changes.exactOptional(),
  rewrite: z.strictObject({ host: host.exactOptional(), path: path.exactOptional() }).exactOptional(),
  mirrors: z.array(z.strictObject({ service: text, share })).exactOptional(),
  cors: z
    .strictObject({
      ...{ origins: list, methods: list, headers: list, expose: list },
      credentials: z.boolean(),
      maxAgeS: z.int().min(0),
    })
    .exactOptional(),
  redirect: z
    .strictObject({
      scheme: z.enum(['http', 'https']).exactOptional(),
      host: host.exactOptional(),
      port: z.int().min(1).max(65_535).exactOptional(),
      path: path.exactOptional(),
      status: z.literal([301, 302, 303, 307, 308]),
    })
    .exactOptional(),
  answer: z
    .strictObject({
      status: z.int().min(200).max(599),
      headers: z.record(name, value).exactOptional(),
      body: z.string().max(65_536),
    })
    .exactOptional(),
  inject: z
    .strictObject({
      delay: z.strictObject({ ms: z.int().min(1).max(60_000), share }).exactOptional(),
      abort: z
        .strictObject({
          status: z.int().min(400).max(599),
          grpcStatus: z.int().min(1).max(16).exactOptional(),
          share,
        })
        .exactOptional(),
      header: z.strictObject({ name: token, value: value.exactOptional() }).exactOptional(),
    })
    .exactOptional(),
  transform: z
    .strictObject({ request: z.json().exactOptional(), response: z.json().exactOptional(), maxBytes: z.int().min(1) })
    .exactOptional(),
})
