/**
 * What goes wrong outside a request: one class, a closed list of codes, each with its cause and the next step.
 * Inside a request nothing throws; there a `Decision` says what happened.
 */

export type FaultCode =
  | 'usage' // The command line is wrong.
  | 'config_invalid' // A document of the mesh file is wrong.
  | 'not_found' // What was asked for does not exist.
  | 'unauthorized' // No credential, or a wrong one.
  | 'forbidden' // A good credential that may not do this.
  | 'token_invalid' // A join token unknown, used, expired or for another identity.
  | 'trust_mismatch' // A trust bundle whose digest is not the one that was promised.
  | 'identity_unavailable' // No SVID could be had.
  | 'certificate_invalid' // A certificate or request that breaks a rule.
  | 'policy_invalid' // Rego that does not compile, or a bundle that cannot be loaded.
  | 'compiler_missing' // Rego was edited and no compiler is to be found.
  | 'audit_unavailable' // The spool is full, unwritable or gone.
  | 'record_invalid' // Bytes that are not a record.
  | 'log_invalid' // A log that does not verify.
  | 'fork' // A checkpoint that does not extend the last one.
  | 'fenced' // Another owner took the partition.
  | 'stream_unavailable' // Kafka cannot be reached or refuses.
  | 'store_unavailable' // PostgreSQL cannot be reached or refuses.
  | 'unavailable' // A process of the mesh does not answer.
  | 'in_use' // A port, folder or lock that somebody else holds.
  | 'version' // A record, snapshot or folder of a version that this program does not read.
  | 'internal'

/** An error that names its cause in `message` and the next step in `cure`. */
export class WritError extends Error {
  readonly code: FaultCode
  readonly cure: string | undefined

  constructor(code: FaultCode, message: string, options: { readonly cure?: string; readonly cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = 'WritError'
    this.code = code
    this.cure = options.cure
  }
}

/** The text of anything thrown, also of the strings that some libraries throw. */
export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown)
}
