/** OPA compiled to WebAssembly, as it comes with the package, built once for its sources into the cache. */

import { join } from 'node:path'
import { opaVersion } from '../../engine/node/compiler.ts'
import { buildOpaModule, sourcesDigest } from '../../engine/rego/node/build.ts'
import { cached, findProgram } from './find.ts'
import type { Part } from './part.ts'

const file = 'opa.wasm.br'

export const opaWasm: Part = {
  install: 'Go, which compiles it once',
  prepare: async (say) => {
    const folder = await cached(`opa-wasm-${opaVersion}-${await sourcesDigest()}`, async (draft) => {
      const go = await findProgram('go', ['/usr/local/go/bin'])
      if (!go) throw new Error('there is no Go to compile OPA to WebAssembly with')
      say(`compiling OPA ${opaVersion} to WebAssembly`)
      await buildOpaModule({ go, out: join(draft, file), quality: 4 })
    })
    return join(folder, file)
  },
}
