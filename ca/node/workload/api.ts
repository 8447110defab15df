/** The SPIFFE Workload API: what a workload on this host asks for, and is sent again after each rotation. */

import { equalBytes, fromUtf8 } from '../../../core/bytes.ts'
import { isObject, type Json, parseJson } from '../../../core/json.ts'
import { trustDomainOf } from '../../../core/spiffe.ts'
import type { HeldIdentities, WorkloadIdentities } from '../../../core/workload.ts'
import { makeJwtIdentify, readJws } from '../../jwt.ts'
import {
  jwtBundlesResponse,
  jwtSvidResponse,
  readJwtSvidRequest,
  readValidateRequest,
  validateResponse,
  workloadService,
  x509BundlesResponse,
  x509SvidResponse,
} from '../../workload/messages.ts'
import { decode } from '../../workload/proto.ts'
import { verifyJws } from '../jws.ts'
import { followChanges } from './changes.ts'
import { type GrpcCall, GrpcError, type GrpcMethod, status, toGrpc, unary } from './grpc.ts'

/** Who calls, by its connection; asked for every call. Rejects where that cannot be told. */
export type Attest = (call: GrpcCall) => Promise<WorkloadIdentities>

const maxAudiences = 16
/** As control takes them, and as they stand in records: visible characters, so a space may part them. */
const audienceShape = /^[\x21-\x7e]{1,2048}$/

export function workloadMethods(attest: Attest, nowMs: () => number): ReadonlyMap<string, GrpcMethod> {
  const stream =
    (answer: (held: HeldIdentities) => Uint8Array): GrpcMethod =>
    async (call) => {
      await oneMessage(call)
      const identities = await attest(call)
      let sent: Uint8Array | undefined
      await followChanges(identities.subscribe, call.signal, async () => {
        const next = answer(some(identities))
        if (sent && equalBytes(sent, next)) return // What changed is none of its business.
        sent = next
        await call.send(next)
      })
    }

  const methods: Readonly<Record<string, GrpcMethod>> = {
    FetchX509SVID: stream(x509SvidResponse),
    FetchX509Bundles: stream(x509BundlesResponse),
    FetchJWTBundles: stream(jwtBundlesResponse),
    FetchJWTSVID: unary(async (bytes, call) => jwtSvids(bytes, await attest(call))),
    ValidateJWTSVID: unary(async (bytes, call) => validate(bytes, await attest(call), nowMs())),
    // The WIT profile is optional, and these are then unimplemented (section 5), as is any other name.
  }
  return new Map(Object.entries(methods).map(([name, method]) => [`/${workloadService}/${name}`, method]))
}

/**
 * Every request carries this header (SPIFFE_Workload_Endpoint section 3): a server-side request that somebody was
 * tricked into cannot set it.
 */
export function requireHeader({ headers }: GrpcCall): void {
  if (headers['workload.spiffe.io'] === 'true') return
  throw new GrpcError(status.invalidArgument, 'the metadata "workload.spiffe.io: true" is missing')
}

async function oneMessage(call: GrpcCall): Promise<void> {
  const request = await call.read()
  const read = request && decode(request)
  if (!read || 'wrong' in read) throw new GrpcError(status.invalidArgument, read ? read.wrong : 'no message')
}

/** Section 5.2.1: whoever has no identity is told so, also on a stream that had some. */
function some(identities: WorkloadIdentities): HeldIdentities {
  const held = identities.current()
  if (held.svids.length > 0) return held
  throw new GrpcError(status.permissionDenied, 'no identity is registered for this workload')
}

async function jwtSvids(bytes: Uint8Array, identities: WorkloadIdentities): Promise<Uint8Array> {
  const read = readJwtSvidRequest(bytes)
  if ('wrong' in read) throw new GrpcError(status.invalidArgument, read.wrong)
  const { audiences, id } = read
  if (audiences.length === 0) throw new GrpcError(status.invalidArgument, 'an audience is needed')
  if (audiences.length > maxAudiences || !audiences.every((one) => audienceShape.test(one))) {
    throw new GrpcError(
      status.invalidArgument,
      `at most ${maxAudiences} audiences, each of 1 to 2048 visible characters`,
    )
  }
  const { svids } = some(identities)
  const wanted = svids.filter(({ svid }) => id === '' || svid.id === id)
  if (wanted.length === 0) throw new GrpcError(status.permissionDenied, 'that is no identity of this workload')
  try {
    const tokens = await Promise.all(
      wanted.map(async ({ svid, hint }) => ({
        id: svid.id,
        hint,
        token: (await identities.mintJwt(svid.id, audiences)).token,
      })),
    )
    return jwtSvidResponse(tokens)
  } catch (thrown) {
    throw toGrpc(thrown, status.unavailable)
  }
}

/** The whole validation of a JWT-SVID, by the bundles that this workload has. */
async function validate(bytes: Uint8Array, identities: WorkloadIdentities, nowMs: number): Promise<Uint8Array> {
  const read = readValidateRequest(bytes)
  if ('wrong' in read) throw new GrpcError(status.invalidArgument, read.wrong)
  const { audience, token } = read
  if (audience === '') throw new GrpcError(status.invalidArgument, 'an audience is needed')
  if (token === '') throw new GrpcError(status.invalidArgument, 'a JWT-SVID is needed')
  const { bundles } = some(identities)
  const identify = makeJwtIdentify({ audience, keysOf: (domain) => bundles.get(domain)?.jwtKeys, verify: verifyJws })
  const answer = await identify({ evidence: { kind: 'jwt', token }, address: '', port: 0 }, nowMs)
  if (!answer.ok) throw new GrpcError(status.invalidArgument, `${answer.code}: ${answer.detail}`)
  return validateResponse(answer.identity.id, claimsOf(token))
}

/** Of a token that was found good. */
function claimsOf(token: string): { readonly [name: string]: Json | undefined } {
  const read = readJws(token)
  const claims = 'jws' in read ? parseJson(fromUtf8(read.jws.payload)) : undefined
  return isObject(claims) ? claims : {}
}

/** All bundles but that of the workload's own domain are there because its entry names them. */
export function bundlesFor(own: HeldIdentities['svids'], all: HeldIdentities['bundles']): HeldIdentities['bundles'] {
  const wanted = new Set(own.flatMap(({ svid, federatesWith }) => [trustDomainOf(svid.id), ...federatesWith]))
  return new Map([...all].filter(([domain]) => wanted.has(domain)))
}
