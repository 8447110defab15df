/** The conformance test of HTTP/2 servers. */

import { goProgram } from './find.ts'
import type { Part } from './part.ts'

export const h2spec: Part = {
  install: 'Go, to build it with',
  prepare: (say) => goProgram('h2spec', 'github.com/summerwind/h2spec/cmd/h2spec', 'latest', say),
}
