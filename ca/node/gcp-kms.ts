/** Roots whose keys Google Cloud KMS makes and holds (REST v1: cryptoKeys, publicKey, asymmetricSign, destroy). */

import { createHash } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { fromBase64, toBase64, toHex } from '../../core/bytes.ts'
import { WritError } from '../../core/fault.ts'
import { isObject, type Json } from '../../core/json.ts'
import type { RandomBytes } from '../../core/ports.ts'
import { askCloud, type CloudService, otherPlace, platformToken, rootSpki, unanswered } from './cloud.ts'
import type { RootKey, RootKeys } from './root-keys.ts'
import { isSafe } from './web.ts'

export interface GcpPlace {
  /** `projects/P/locations/L/keyRings/R`. */
  readonly keyRing: string
  /** Default `https://cloudkms.googleapis.com`. */
  readonly endpoint?: string | undefined
  /** Whether keys are made in a hardware module. Default true. */
  readonly hsm?: boolean | undefined
  readonly token: () => Promise<string>
  readonly random: RandomBytes
  /** Between two looks whether a new key is there, in milliseconds. Default a second; thirty looks at most. */
  readonly waitMs?: number
}

const maxLooks = 30
const version = /^projects\/[^/]+\/locations\/[^/]+\/keyRings\/[^/]+\/cryptoKeys\/[^/]+\/cryptoKeyVersions\/\d+$/

/** `ref` is `gcpkms:` and the name of the key's version. Throws `config_invalid` for an endpoint that is none. */
export function gcpKmsRootKeys(place: GcpPlace): RootKeys {
  const { keyRing, random, hsm = true, waitMs = 1000 } = place
  const base = endpointOf(place)
  const service: CloudService = { where: `Google Cloud KMS at ${base.host}`, token: place.token, refusalOf, cures }
  const ask = (method: 'GET' | 'POST', path: string, body?: Json) =>
    askCloud(service, method, new URL(`/v1/${path}`, base), body)

  async function keyOf(name: string): Promise<RootKey> {
    const { pem } = await ask('GET', `${name}/publicKey`)
    const text = typeof pem === 'string' ? /^-----BEGIN PUBLIC KEY-----\n([^-]+)-----END/.exec(pem)?.[1] : undefined
    if (text === undefined) throw unanswered(service.where, 'a public key')
    return {
      ref: `gcpkms:${name}`,
      spki: rootSpki(fromBase64(text.replaceAll(/\s/g, '')), name),
      async sign(bytes) {
        const sha256 = toBase64(new Uint8Array(createHash('sha256').update(bytes).digest()))
        const said = await ask('POST', `${name}:asymmetricSign`, { digest: { sha256 } })
        const signature = typeof said['signature'] === 'string' ? fromBase64(said['signature']) : undefined
        if (signature && said['name'] === name) return signature
        throw unanswered(service.where, 'a signature by that key')
      },
    }
  }

  return {
    async create() {
      const wanted = {
        purpose: 'ASYMMETRIC_SIGN',
        versionTemplate: { algorithm: 'EC_SIGN_P256_SHA256', protectionLevel: hsm ? 'HSM' : 'SOFTWARE' },
      }
      const id = `writ-root-${toHex(random(8))}`
      const { name } = await ask('POST', `${keyRing}/cryptoKeys?cryptoKeyId=${id}`, wanted)
      if (name !== `${keyRing}/cryptoKeys/${id}`) throw unanswered(service.where, 'the new key')
      for (let looks = 1; ; looks++) {
        try {
          return await keyOf(`${name}/cryptoKeyVersions/1`)
        } catch (thrown) {
          // It is being made: PENDING_GENERATION.
          if (looks >= maxLooks || !(thrown instanceof WritError) || !thrown.message.includes('FAILED_PRECONDITION'))
            throw thrown
          await sleep(waitMs)
        }
      }
    },
    async open(ref) {
      const name = ref.slice('gcpkms:'.length)
      if (ref.startsWith('gcpkms:') && version.test(name)) return keyOf(name)
      throw otherPlace(ref, 'Google Cloud KMS')
    },
    async destroy(ref) {
      const name = ref.slice('gcpkms:'.length)
      if (!ref.startsWith('gcpkms:') || !version.test(name)) return
      await ask('POST', `${name}:destroy`, {}).catch((thrown: unknown) => {
        // It is gone, or on its way.
        if (!(thrown instanceof WritError) || !/NOT_FOUND|FAILED_PRECONDITION/.test(thrown.message)) throw thrown
      })
    },
  }
}

/** Of the service account that this machine or pod runs as; `host` as Google's own clients read it in GCE_METADATA_HOST. */
export const gcpToken = (host = 'metadata.google.internal'): Promise<string> =>
  platformToken(
    `Google's metadata server at ${host}`,
    {
      url: new URL(`http://${host}/computeMetadata/v1/instance/service-accounts/default/token`),
      ...{ method: 'GET', headers: { 'metadata-flavor': 'Google' } },
    },
    'run where a service account is attached, or with Workload Identity',
  )

function endpointOf({ endpoint = 'https://cloudkms.googleapis.com', keyRing }: GcpPlace): URL {
  const url = URL.canParse(endpoint) ? new URL(endpoint) : undefined
  if (url && isSafe(url) && keyRingShape.test(keyRing)) return url
  throw new WritError('config_invalid', `${endpoint} with ${keyRing} is no place of Google Cloud KMS`, {
    cure: 'name a keyRing as projects/P/locations/L/keyRings/R; an endpoint is https://, or http:// on loopback',
  })
}

export const keyRingShape: RegExp = /^projects\/[\w.:-]{1,63}\/locations\/[a-z0-9-]{1,63}\/keyRings\/[\w-]{1,63}$/

/** google.rpc.Status. */
function refusalOf(status: number, body: Readonly<Record<string, unknown>>) {
  const error = isObject(body['error'] as Json | undefined) ? (body['error'] as Readonly<Record<string, unknown>>) : {}
  return { status, type: String(error['status'] ?? ''), text: String(error['message'] ?? '') }
}

const cures: CloudService['cures'] = [
  [/^401|UNAUTHENTICATED/, 'unauthorized', 'run where a service account is attached, or with Workload Identity'],
  [
    /PERMISSION_DENIED/,
    'forbidden',
    'give the service account roles/cloudkms.admin and roles/cloudkms.signerVerifier on the key ring',
  ],
  [
    /NOT_FOUND/,
    'not_found',
    'make the key ring; where a key is gone, a new root would be unknown to every workload that lacks it',
  ],
  [/FAILED_PRECONDITION/, 'unavailable', "enable the key's version, or restore it, in Cloud KMS"],
  [/RESOURCE_EXHAUSTED/, 'unavailable', 'raise the quota of Cloud KMS'],
]
