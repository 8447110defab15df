/** `writ/edge`: everything that guards a fetch handler. The host supplies the compiled module; we compile no bytes. */

export { type JwtIdentifyOptions, makeJwtIdentify } from '../../ca/jwt.ts'
export { readTrust } from '../../ca/wire.ts'
export type { Evidence, Identity, JwtKey, Peer, TrustBundle } from '../../core/identity.ts'
export type { PolicyRef, PolicyUse } from '../../core/policy.ts'
export { parseSpiffeId, parseTrustDomain, type SpiffeId, type TrustDomain } from '../../core/spiffe.ts'
export { makeDecide, makePolicies, openPolicy } from '../../engine/index.ts'
export { type CollectorOptions, type CollectorSink, collectorSink } from './collector.ts'
export type { Handler } from './exchange.ts'
export { type Guarded, type GuardOptions, guard, type RequestContext } from './guard.ts'
export { type EdgeOptions, openEdge } from './open.ts'
export type { EdgeProvider, EdgeTokens } from './tokens.ts'
