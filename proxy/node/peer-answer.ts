/** What another proxy of the mesh answered, as the log tells it. */

import type { PeerAnswer } from '../../core/outcome.ts'
import type { Endpoint } from '../../core/snapshot.ts'
import { fieldValue } from '../http1/fields.ts'
import type { Response } from '../http1/response.ts'

/** What became of one attempt. */
export interface Tried {
  readonly endpoint: Pick<Endpoint, 'identity'>
  /** Its connection as `address:port`, empty where nothing was sent. */
  readonly upstream: string
  /** Whether it was sent twice, since the first connection died. */
  readonly sentTwice: boolean
}

/** Undefined where nothing was sent to a proxy of the mesh. */
export function peerAnswer(
  { endpoint: { identity }, upstream, sentTwice }: Tried,
  response: Response | undefined,
): PeerAnswer | undefined {
  if (identity === undefined || upstream === '') return undefined
  const decision = response ? (fieldValue(response.fields, 'x-writ-decision') ?? '') : ''
  return { target: identity, status: response?.status ?? 0, decision, again: sentTwice }
}
