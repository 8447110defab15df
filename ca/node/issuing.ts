/** Gives certificates and tokens in names that somebody proved, and records each, or its refusal, before it leaves. */

import { WritError } from '../../core/fault.ts'
import type { TrustBundle } from '../../core/identity.ts'
import type { RecordSink } from '../../core/ports.ts'
import type { IssuanceBody } from '../../core/record.ts'
import type { SpiffeId } from '../../core/spiffe.ts'
import { formatMs } from '../../core/time.ts'
import { provenKey } from '../csr.ts'
import type { Authority } from './authority.ts'
import type { IssuedLeaf, IssueRequest } from './authority-sign.ts'
import { verifySignature } from './crypto.ts'
import type { JwtRequest, MintedJwt } from './jwt.ts'

export interface Issued extends IssuedLeaf {
  /** The bundles that the newcomer starts with. */
  readonly bundles: readonly TrustBundle[]
}

export interface IssuingOptions {
  readonly authority: Authority
  readonly sink: RecordSink
  /** Bundles of trust domains that this one federates with. Default none. */
  readonly foreign?: (() => readonly TrustBundle[]) | undefined
  /** Each certificate, once it is recorded. */
  readonly onIssued?: ((id: SpiffeId, leaf: Pick<IssuedLeaf, 'notBeforeMs' | 'notAfterMs'>) => void) | undefined
}

export interface Issuing {
  /** The request proves a key; the name is the caller's word. Rejects with `certificate_invalid` for a bad request. */
  issue(
    request: Omit<IssueRequest, 'spki'>,
    csrDer: Uint8Array,
    action: 'issued' | 'renewed',
    evidence: string,
  ): Promise<Issued>
  mint(request: JwtRequest, evidence: string): Promise<MintedJwt>
  /** Records that somebody was refused, and rejects with the fault. */
  refuse(id: SpiffeId, evidence: string, fault: WritError): Promise<never>
}

const csrCure = 'send a PKCS#10 request for a P-256, P-384 or Ed25519 key, signed with that key'

export function makeIssuing({ authority, sink, foreign = () => [], onIssued }: IssuingOptions): Issuing {
  async function refuse(id: SpiffeId, evidence: string, fault: WritError): Promise<never> {
    await sink.keep({ ...issuanceBody('refused', id, evidence), reason: fault.message })
    throw fault
  }
  return {
    refuse,
    async issue(request, csrDer, action, evidence) {
      const { id } = request
      const key = provenKey(csrDer, verifySignature)
      if ('wrong' in key) {
        return refuse(id, evidence, new WritError('certificate_invalid', key.wrong, { cure: csrCure }))
      }
      const leaf = authority.issue({ ...request, spki: key.spki })
      await sink.keep(issuanceBody(action, id, evidence, leaf)) // Kept first: no certificate is out there unrecorded.
      onIssued?.(id, leaf)
      return { ...leaf, bundles: [authority.bundle(), ...foreign()] }
    },
    async mint(request, evidence) {
      const minted = await authority.mintJwt(request)
      const { id, audience } = request
      await sink.keep({ ...issuanceBody('issued', id, evidence, minted), audience: audienceText(audience) })
      return minted
    },
  }
}

/** Audiences have no spaces (control/node/mesh-routes.ts), so they stand in one text. */
const audienceText = (audience: string | readonly string[]): string =>
  typeof audience === 'string' ? audience : audience.join(' ')

export function issuanceBody(
  action: IssuanceBody['action'],
  subject: SpiffeId,
  evidence: string,
  leaf?: Pick<IssuedLeaf, 'serial' | 'notBeforeMs' | 'notAfterMs'>,
): IssuanceBody {
  return {
    kind: 'issuance',
    action,
    subject,
    serial: leaf?.serial ?? '',
    not_before: leaf ? formatMs(leaf.notBeforeMs) : '',
    not_after: leaf ? formatMs(leaf.notAfterMs) : '',
    evidence,
  }
}
