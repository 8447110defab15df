/** The Rego compiler: the `opa` command that policies are built with. */

import { homedir } from 'node:os'
import { join } from 'node:path'
import { findProgram, goProgram } from './find.ts'
import type { Part } from './part.ts'

export const opa: Part = {
  install: 'OPA 1.x as `opa` on the PATH or named by WRIT_OPA, or Go to build it with',
  prepare: async (say) =>
    process.env['WRIT_OPA'] ??
    (await findProgram('opa', [join(process.env['GOPATH'] ?? join(homedir(), 'go'), 'bin')])) ??
    goProgram('opa', 'github.com/open-policy-agent/opa', 'v1.22.2', say),
}
