/** The policy engine, for those outside the package. It runs on any host that has WebAssembly. */

export type { BuiltinHost } from './builtins/builtin.ts'
export { type BundleContent, type BundleLimits, type BundleOptions, readBundle } from './bundle.ts'
export { makeDecide } from './decide.ts'
export { makeEvaluate } from './evaluate.ts'
export { askingHost, fetchTransport, type HttpTransport } from './http-send.ts'
export { makeLogRules } from './log-rules.ts'
export { prepareModule } from './module.ts'
export {
  makePolicies,
  openPolicy,
  type Policies,
  type Policy,
  type PolicyLimits,
  type PolicySource,
} from './policies.ts'
export { parseReads, type Reads } from './reads.ts'
export type { BundleVerification, SignatureAlgorithm, VerificationKey } from './verification.ts'
