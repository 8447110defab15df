/**
 * Filters of HTTPRoutes as mesh files write them: Gateway API's own, and `RouteFilter` for what that leaves to extensions.
 * Shapes; what they come to is route-filters.ts.
 */

import { z } from 'zod'
import type { Json } from '../../core/json.ts'
import { type BackendFilter, fieldText, headerModifier } from './backend-filters.ts'
import { type ServiceRef, serviceRef } from './refs.ts'
import { headerName, pathValue } from './route-match.ts'
import { duration, host, name, port } from './words.ts'

export type PathModifier =
  | { readonly type: 'ReplaceFullPath'; readonly replaceFullPath: string }
  | { readonly type: 'ReplacePrefixMatch'; readonly replacePrefixMatch: string }

export type HttpRouteFilter =
  | BackendFilter
  | { readonly type: 'URLRewrite'; readonly urlRewrite: { readonly hostname?: string; readonly path?: PathModifier } }
  | {
      readonly type: 'RequestRedirect'
      readonly requestRedirect: {
        readonly scheme?: 'http' | 'https'
        readonly hostname?: string
        readonly path?: PathModifier
        readonly port?: number
        readonly statusCode?: 301 | 302 | 303 | 307 | 308
      }
    }
  | {
      readonly type: 'RequestMirror'
      readonly requestMirror: {
        readonly backendRef: ServiceRef
        readonly percent?: number
        readonly fraction?: { readonly numerator: number; readonly denominator?: number }
      }
    }
  | {
      readonly type: 'CORS'
      readonly cors: {
        readonly allowOrigins: readonly string[]
        readonly allowMethods?: readonly string[]
        readonly allowHeaders?: readonly string[]
        readonly exposeHeaders?: readonly string[]
        readonly allowCredentials?: boolean
        readonly maxAge?: number
      }
    }
  | { readonly type: 'ExtensionRef'; readonly extensionRef: { readonly name: string } }

/** At least one of them. */
export interface RouteFilterSpec {
  readonly directResponse?: { readonly status: number; readonly contentType?: string; readonly body?: string }
  readonly fault?: {
    readonly delay?: { readonly fixed: string; readonly percent?: number }
    readonly abort?: { readonly status: number; readonly grpcStatus?: number; readonly percent?: number }
    readonly header?: { readonly name: string; readonly value?: string }
  }
  readonly transform?: { readonly request?: Json; readonly response?: Json; readonly maxBytes?: number }
}

const pathModifier = z.discriminatedUnion(
  'type',
  [
    z.strictObject({ type: z.literal('ReplaceFullPath'), replaceFullPath: pathValue }),
    z.strictObject({ type: z.literal('ReplacePrefixMatch'), replacePrefixMatch: pathValue }),
  ],
  { error: 'is neither ReplaceFullPath nor ReplacePrefixMatch' },
)

const percent = z.number().min(0).max(100).describe('Share of requests. Default 100.').exactOptional()

const method = z.string().regex(/^(?:\*|[A-Z][A-Z-]{0,31})$/, { error: 'is neither a method in upper case nor *' })
const anyField = z.union([z.literal('*'), headerName])

const cors = z.strictObject({
  allowOrigins: z
    .array(
      z.string().regex(/^(?:\*|[a-z][a-z0-9+.-]{0,31}:\/\/(?:\*\.)?[a-z0-9](?:[a-z0-9.-]{0,252})(?::[0-9]{1,5})?)$/, {
        error: 'is no origin such as https://shop.example, https://*.shop.example or *, in lower case',
      }),
    )
    .min(1)
    .max(64),
  allowMethods: z.array(method).max(16).exactOptional(),
  allowHeaders: z.array(anyField).max(64).exactOptional(),
  exposeHeaders: z.array(anyField).max(64).exactOptional(),
  allowCredentials: z.boolean().exactOptional(),
  maxAge: z.int().min(1).max(86_400).describe('In seconds. Default 5.').exactOptional(),
})

export const routeFilters: z.ZodType<readonly HttpRouteFilter[]> = z
  .array(
    z.discriminatedUnion(
      'type',
      [
        z.strictObject({ type: z.literal('RequestHeaderModifier'), requestHeaderModifier: headerModifier }),
        z.strictObject({ type: z.literal('ResponseHeaderModifier'), responseHeaderModifier: headerModifier }),
        z.strictObject({
          type: z.literal('URLRewrite'),
          urlRewrite: z.strictObject({ hostname: host.exactOptional(), path: pathModifier.exactOptional() }),
        }),
        z.strictObject({
          type: z.literal('RequestRedirect'),
          requestRedirect: z.strictObject({
            scheme: z.enum(['http', 'https']).exactOptional(),
            hostname: host.exactOptional(),
            path: pathModifier.exactOptional(),
            port: port.exactOptional(),
            statusCode: z
              .union([z.literal(301), z.literal(302), z.literal(303), z.literal(307), z.literal(308)], {
                error: 'is none of 301, 302, 303, 307 and 308',
              })
              .describe('Default 302.')
              .exactOptional(),
          }),
        }),
        z.strictObject({
          type: z.literal('RequestMirror'),
          requestMirror: z
            .strictObject({
              backendRef: serviceRef,
              percent: z.int().min(0).max(100).exactOptional(),
              fraction: z
                .strictObject({
                  numerator: z.int().min(0),
                  denominator: z.int().min(1).describe('Default 100.').exactOptional(),
                })
                .exactOptional(),
            })
            .refine((one) => one.percent === undefined || one.fraction === undefined, {
              error: 'has a percent and a fraction: needs one of them at most',
            }),
        }),
        z.strictObject({ type: z.literal('CORS'), cors }),
        z.strictObject({
          type: z.literal('ExtensionRef'),
          extensionRef: z.strictObject({ group: z.literal('writ.dev'), kind: z.literal('RouteFilter'), name }),
        }),
      ],
      {
        error:
          'is none of RequestHeaderModifier, ResponseHeaderModifier, URLRewrite, RequestRedirect, RequestMirror, CORS and ExtensionRef',
      },
    ),
  )
  .max(16)

export const routeFilterSpec: z.ZodType<RouteFilterSpec> = z
  .strictObject({
    directResponse: z
      .strictObject({
        status: z.int().min(200).max(599),
        contentType: fieldText.min(1).describe('Default text/plain; charset=utf-8.').exactOptional(),
        body: z.string().max(65_536).describe('Default none.').exactOptional(),
      })
      .describe('The answer, in place of a service’s.')
      .exactOptional(),
    fault: z
      .strictObject({
        delay: z.strictObject({ fixed: duration.describe('1m at most.'), percent }).exactOptional(),
        abort: z
          .strictObject({
            status: z.int().min(400).max(599),
            grpcStatus: z
              .int()
              .min(1)
              .max(16)
              .describe('What callers that speak gRPC get. Default 14, unavailable.')
              .exactOptional(),
            percent,
          })
          .exactOptional(),
        header: z
          .strictObject({ name: headerName, value: fieldText.exactOptional() })
          .describe('Only requests that have it, of this value where there is one. Default every request.')
          .exactOptional(),
      })
      .describe('For tests of callers: requests that are held back, or answered as if something had failed.')
      .exactOptional(),
    transform: z
      .strictObject({
        request: z.json().describe('A merge patch (RFC 7396) of JSON bodies.').exactOptional(),
        response: z.json().describe('The same of answers.').exactOptional(),
        maxBytes: z
          .int()
          .min(1)
          .max(16_777_216)
          .describe('Longest body; a longer one is refused. Default 1048576.')
          .exactOptional(),
      })
      .exactOptional(),
  })
  .describe('What an HTTPRoute names in an ExtensionRef, where Gateway API has no filter of its own.')
