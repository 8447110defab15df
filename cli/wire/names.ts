/** Names of the parts that every mesh has. In a file of their own: a sidecar that knows them loads no control plane. */

import { type SpiffeId, spiffeId, type TrustDomain } from '../../core/spiffe.ts'

export const controlId = (trustDomain: TrustDomain): SpiffeId => spiffeId(trustDomain, '/writ/control') as SpiffeId
export const auditorId = (trustDomain: TrustDomain): SpiffeId => spiffeId(trustDomain, '/writ/auditor') as SpiffeId

/** Whether it is a part of the mesh itself: an agent or the auditor. */
export const isOfPart = (id: SpiffeId, trustDomain: TrustDomain): boolean =>
  id === auditorId(trustDomain) || id.startsWith(`spiffe://${trustDomain}/writ/agent/`)
