/** Errors as OPA's REST API words them, so that its clients read ours. */

import type { Json } from '../../core/json.ts'

export type RegoErrorCode =
  | 'invalid_parameter'
  | 'undefined_document'
  | 'resource_not_found'
  | 'internal_error'
  | 'unauthorized'
  | 'unavailable'

export class RegoError extends Error {
  readonly status: 400 | 401 | 403 | 404 | 405 | 413 | 500 | 503
  readonly code: RegoErrorCode
  readonly errors: readonly Json[] | undefined

  constructor(status: RegoError['status'], code: RegoErrorCode, message: string, errors?: readonly Json[]) {
    super(message)
    this.status = status
    this.code = code
    this.errors = errors
  }
}

export const regoErrorResponse = ({ status, code, message, errors }: RegoError): Response =>
  new Response(`${JSON.stringify({ code, message, ...(errors && { errors }) }, null, 2)}\n`, {
    status,
    headers: {
      'content-type': 'application/json',
      'cache-control': 'no-store',
      ...(status === 401 && { 'www-authenticate': 'Bearer' }),
      ...(status === 503 && { 'retry-after': '1' }),
      ...(status === 413 && { connection: 'close' }),
    },
  })
