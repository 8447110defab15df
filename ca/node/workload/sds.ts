/** Envoy's secret discovery (xDS v3): certificates and roots for an Envoy, pushed again after each rotation. */

import type { WorkloadIdentities } from '../../../core/workload.ts'
import type { Attest } from './api.ts'
import { followChanges } from './changes.ts'
import { type GrpcCall, GrpcError, type GrpcMethod, status, unary } from './grpc.ts'
import { readSecretRequest, type SecretRequest, secretResponse, secretService } from './secrets.ts'

/** `onRefused` is told why an Envoy did not take a secret. */
export function sdsMethods(
  attest: Attest,
  onRefused: (detail: string) => void = () => {},
): ReadonlyMap<string, GrpcMethod> {
  return new Map<string, GrpcMethod>([
    [`/${secretService}/StreamSecrets`, async (call) => streamSecrets(call, await attest(call), onRefused)],
    [
      `/${secretService}/FetchSecrets`,
      unary(async (bytes, call) => {
        const { names } = asked(bytes)
        return secretResponse((await attest(call)).current(), names, '1')
      }),
    ],
  ])
}

function asked(bytes: Uint8Array): SecretRequest {
  const request = readSecretRequest(bytes)
  if ('wrong' in request) throw new GrpcError(status.invalidArgument, request.wrong)
  return request
}

/**
 * The state-of-the-world protocol: a request with new names is answered at once; one that acknowledges or refuses waits
 * for the next change, so that a refusal never makes the two talk in circles; one about an older answer is stale.
 */
async function streamSecrets(
  call: GrpcCall,
  identities: WorkloadIdentities,
  onRefused: (detail: string) => void,
): Promise<void> {
  const over = new AbortController()
  const signal = AbortSignal.any([call.signal, over.signal])
  let names: readonly string[] | undefined
  let nonce = 0
  let wrong: unknown
  const subscribers = new Set<() => void>()

  const reading = (async () => {
    try {
      for (let bytes = await call.read(); bytes; bytes = await call.read()) {
        const request = asked(bytes)
        if (request.nonce !== '' && request.nonce !== String(nonce)) continue
        if (request.refused !== undefined) onRefused(request.refused)
        const same = names?.length === request.names.length && names.every((name, i) => name === request.names[i])
        if (same && request.nonce !== '') continue
        names = request.names
        for (const changed of subscribers) changed()
      }
    } catch (thrown) {
      wrong = thrown
    } finally {
      over.abort()
    }
  })()

  await followChanges(
    (changed) => {
      subscribers.add(changed)
      return identities.subscribe(changed)
    },
    signal,
    async () => {
      if (names) await call.send(secretResponse(identities.current(), names, String(++nonce)))
    },
  )
  await reading
  if (wrong) throw wrong
}
