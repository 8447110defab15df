/** Heads that are refused as `bad_request`, whoever reads them. */

import { type BadHead, heads } from './bad/heads.ts'
import { moreHeads } from './bad/more-heads.ts'

export const malformed: readonly BadHead[] = [...heads, ...moreHeads]
