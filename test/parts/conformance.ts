/** OPA's own test cases, compiled by OPA, in a folder of the cache: all of them in CI, elsewhere a sample. */

import { prepareCases, sampleEvery } from '../engine/conformance/prepare.ts'
import type { Part } from './part.ts'

export const conformance: Part = {
  install: 'Go, which compiles them once with the OPA that it fetches',
  prepare: (say) => prepareCases(process.env['CI'] ? 1 : sampleEvery, say),
}
