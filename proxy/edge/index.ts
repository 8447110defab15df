/** `writ/edge`: everything that guards a fetch handler. The host supplies the compiled module; we compile no bytes. */

export { makeIdentify } from '../../ca/identify.ts'
export type { Evidence, Identity, Peer } from '../../core/identity.ts'
export type { PolicyRef, PolicyUse } from '../../core/policy.ts'
export { parseSpiffeId, parseTrustDomain, type SpiffeId, type TrustDomain } from '../../core/spiffe.ts'
export { makeDecide, makePolicies, openPolicy } from '../../engine/index.ts'
export { type CollectorOptions, collectorSink } from './collector.ts'
export type { Handler } from './exchange.ts'
export { type GuardOptions, guard } from './guard.ts'
