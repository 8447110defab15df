/** What another proxy of the mesh answered, as the log tells it. */

import type { PeerAnswer } from '../../core/outcome.ts'
import type { SpiffeId } from '../../core/spiffe.ts'
import { fieldValue } from '../http1/fields.ts'
import type { Response } from '../http1/response.ts'

/** `again`: whether it was sent twice, since the first connection died. */
export const peerAnswer = (target: SpiffeId, response: Response | undefined, again: boolean): PeerAnswer => ({
  target,
  status: response?.status ?? 0,
  decision: response ? (fieldValue(response.fields, 'x-writ-decision') ?? '') : '',
  again,
})
