/** Runs a policy's Rego tests in a test, and gives OPA's JSON report back. */

import type { CompilerOptions } from '../../engine/node/compiler.ts'
import { openOpa } from '../../engine/node/opa.ts'
import { runTests } from '../../engine/node/test.ts'

export async function testPolicy(
  dir: string,
  compiler: CompilerOptions = { env: process.env, say: () => undefined },
): Promise<{ readonly code: number; readonly report: string }> {
  const { code, stdout } = await runTests(dir, { opa: await openOpa(compiler) }, 'json')
  return { code, report: stdout }
}
