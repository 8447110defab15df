/** What becomes known of a request's body before it is judged, where its binding lets the policy see bodies. */

import type { DenyCode } from '../../../core/decision.ts'
import type { RequestBody } from '../../../core/facts.ts'
import type { Identified } from '../../../core/identity.ts'
import { type Exchange, isHead } from '../../exchange.ts'
import type { Found } from '../route.ts'
import { isJudged, type Strangers } from '../strangers.ts'
import { parseBody } from './parse.ts'

/** Why a request is refused for its body, without asking the policy. */
export interface BodyFault {
  readonly code: Extract<DenyCode, 'bad_request' | 'body_timeout'>
  readonly detail: string
}

export type SeenBody = RequestBody | BodyFault | undefined

export const isBodyFault = (seen: SeenBody): seen is BodyFault => seen !== undefined && 'code' in seen

const empty: RequestBody = { parsed: null, text: '', truncated: false, size: 0 }

/** Reads at most `maxBytes`. Of what is refused whatever its body says, nothing is read. */
export async function seeBody(
  exchange: Pick<Exchange, 'head' | 'readBody'>,
  source: Identified,
  found: Found | undefined,
  maxBytes: number,
  strangers?: Strangers,
): Promise<SeenBody> {
  if (!isHead(exchange.head) || !isJudged(source, strangers) || !found) return undefined
  const read = await exchange.readBody(maxBytes)
  switch (read.kind) {
    case 'none':
      return empty
    case 'late':
      return { code: 'body_timeout', detail: 'the body did not come in time' }
    case 'gone':
      return { code: 'bad_request', detail: 'the caller closed before its body was read' }
    case 'bad':
      return { code: 'bad_request', detail: read.detail }
    case 'read': {
      const body = parseBody(exchange.head, read)
      return 'wrong' in body ? { code: 'bad_request', detail: body.wrong } : body
    }
  }
}
