/** OPA as the author's commands ask it. */

import { type Opa, openOpa } from '../../engine/node/opa.ts'

export const compilerHelp = `
Needs opa: $WRIT_OPA, or opa on PATH; else it is installed once with Go, if that is there.`

export const openCompiler = (): Promise<Opa> =>
  openOpa({ env: process.env, say: (line) => void process.stderr.write(`${line}\n`) })
