/** What the host of a conformance run can do: parse Rego, and look up itself. There is no network. */

import { execFileSync } from 'node:child_process'
import { isIP } from 'node:net'
import { BuiltinError, type BuiltinHost } from '../../../engine/builtins/builtin.ts'
import { parseJsonValue } from '../../../engine/value.ts'

export function conformanceHost(program: string): BuiltinHost {
  return {
    lookupIpAddr: (name) => (isIP(name) ? [name] : name === 'localhost' ? ['127.0.0.1', '::1'] : undefined),
    parseModule: (name, rego) => {
      const tree = execFileSync(program, ['parse', name], {
        input: rego,
        encoding: 'utf8',
        stdio: ['pipe', 'pipe', 'ignore'],
      })
      return parseJsonValue(tree)
    },
    httpSend: () => {
      throw new BuiltinError('there is no network')
    },
  }
}
