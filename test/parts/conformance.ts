/** OPA's own test cases, compiled by OPA, in a folder of the cache: a sample of them; `npm run conformance` takes all. */

import { prepareCases, sampleEvery } from '../engine/conformance/prepare.ts'
import type { Part } from './part.ts'

export const conformance: Part = {
  install: 'Go, which compiles them once with the OPA that it fetches',
  prepare: (say) => prepareCases(process.env['CI'] ? 8 : sampleEvery, say),
}
