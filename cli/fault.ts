/** How errors look on a terminal, and the exit codes that scripts may rely on. */

import { messageOf, WritError } from '../core/fault.ts'

/** 0 well; 1 what was checked does not hold; 2 the command line or configuration is wrong; 3 something is unavailable. */
export function exitCodeOf(thrown: unknown): number {
  if (!(thrown instanceof WritError)) return 1
  switch (thrown.code) {
    case 'usage':
    case 'config_invalid':
    case 'not_found':
    case 'compiler_missing':
      return 2
    case 'unavailable':
    case 'stream_unavailable':
    case 'store_unavailable':
    case 'audit_unavailable':
    case 'identity_unavailable':
    case 'in_use':
      return 3
    default:
      return 1
  }
}

/** `error CODE: cause`, then the cure on a line of its own. Stack traces only with WRIT_DEBUG. */
export function printFault(thrown: unknown): void {
  const code = thrown instanceof WritError ? thrown.code : 'internal'
  process.stderr.write(`error ${code}: ${messageOf(thrown)}\n`)
  if (thrown instanceof WritError && thrown.cure) process.stderr.write(`  cure: ${thrown.cure}\n`)
  if (process.env['WRIT_DEBUG'] && thrown instanceof Error) process.stderr.write(`${thrown.stack}\n`)
}
