/** The Rego compiler: the `opa` command that policies are built with, found as the product finds it. */

import { homedir } from 'node:os'
import { delimiter, join } from 'node:path'
import { findCompiler, opaVersion } from '../../engine/node/compiler.ts'
import type { Part } from './part.ts'

export const opa: Part = {
  install: `opa ${opaVersion} on the PATH or named by WRIT_OPA, or Go to build it with`,
  prepare: (say) => {
    const goBin = join(process.env['GOPATH'] ?? join(homedir(), 'go'), 'bin')
    const PATH = [process.env['PATH'], goBin, '/usr/local/go/bin'].join(delimiter)
    return findCompiler({ env: { ...process.env, PATH }, say })
  },
}
