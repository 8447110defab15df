/** How errors look on a terminal, and the exit codes that scripts may rely on. */

import { type FaultCode, messageOf, WritError } from '../core/fault.ts'

/** 0 well; 1 what was checked does not hold; 2 the command line or configuration is wrong; 3 something is unavailable. */
export function exitCodeOf(thrown: unknown): number {
  switch (codeOf(thrown)) {
    case 'usage':
    case 'config_invalid':
    case 'not_found':
    case 'unauthorized':
    case 'forbidden':
    case 'token_invalid':
    case 'compiler_missing':
    case 'version':
      return 2
    case 'unavailable':
    case 'stream_unavailable':
    case 'store_unavailable':
    case 'audit_unavailable':
    case 'identity_unavailable':
    case 'in_use':
    case 'fenced':
      return 3
    case 'trust_mismatch':
    case 'certificate_invalid':
    case 'policy_invalid':
    case 'record_invalid':
    case 'log_invalid':
    case 'fork':
    case 'internal': // What ended in a way nobody thought of has not been shown to hold.
      return 1
  }
}

/** `error CODE: cause`, then the cure on a line of its own. Stack traces only with WRIT_DEBUG. */
export function printFault(thrown: unknown): void {
  process.stderr.write(`error ${codeOf(thrown)}: ${messageOf(thrown)}\n`)
  const cure = thrown instanceof WritError ? thrown.cure : systemFaultOf(thrown)?.cure
  if (cure) process.stderr.write(`  cure: ${cure}\n`)
  if (process.env['WRIT_DEBUG'] && thrown instanceof Error) process.stderr.write(`${thrown.stack}\n`)
}

const codeOf = (thrown: unknown): FaultCode =>
  thrown instanceof WritError ? thrown.code : (systemFaultOf(thrown)?.code ?? 'internal')

interface SystemFault {
  readonly code: FaultCode
  readonly cure: string
}

/** What the machine refuses where no part foresaw it: a page written to a folder that is not there. */
const systemFaults: Readonly<Record<string, SystemFault>> = {
  ENOENT: { code: 'not_found', cure: 'give a path that exists' },
  ENOTDIR: { code: 'not_found', cure: 'give a path that exists' },
  EISDIR: { code: 'usage', cure: 'give a file, not a folder' },
  EACCES: { code: 'forbidden', cure: 'run as a user who may, or give another place' },
  EPERM: { code: 'forbidden', cure: 'run as a user who may, or give another place' },
  EROFS: { code: 'forbidden', cure: 'give a place that can be written' },
  ENOSPC: { code: 'unavailable', cure: 'free some space on that disk' },
  EADDRINUSE: { code: 'in_use', cure: 'stop what listens there, or choose another port' },
}

function systemFaultOf(thrown: unknown): SystemFault | undefined {
  const code = thrown instanceof Error && 'code' in thrown ? thrown.code : undefined
  return typeof code === 'string' && Object.hasOwn(systemFaults, code) ? systemFaults[code] : undefined
}
