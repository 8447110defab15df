/** Roots whose keys Azure Key Vault makes and holds (REST 7.4: create, get, sign, delete). */

import { createHash, createPublicKey } from 'node:crypto'
import { fromBase64Url, toBase64Url, toHex, utf8 } from '../../core/bytes.ts'
import { WritError } from '../../core/fault.ts'
import { isObject, type Json } from '../../core/json.ts'
import type { RandomBytes } from '../../core/ports.ts'
import { askCloud, type CloudService, otherPlace, platformToken, rootSpki, unanswered } from './cloud.ts'
import { derOfPair } from './crypto.ts'
import type { RootKey, RootKeys } from './root-keys.ts'
import { isSafe, type WebRequest } from './web.ts'

export interface AzurePlace {
  /** `https://NAME.vault.azure.net`, or that of a managed HSM. */
  readonly vault: string
  /** Whether keys are made in a hardware module, which vaults of the tier Premium have. Default true. */
  readonly hsm?: boolean | undefined
  readonly token: () => Promise<string>
  readonly random: RandomBytes
}

const apiVersion = '7.4'
const scheme = 'azurekeys:'

/** `ref` is `azurekeys:` and the key's identifier. Throws `config_invalid` for a vault that is none. */
export function azureRootKeys(place: AzurePlace): RootKeys {
  const base = vaultOf(place.vault)
  const service: CloudService = { where: `Azure Key Vault at ${base.host}`, token: place.token, refusalOf, cures }
  const ask = (method: WebRequest['method'], url: string, body?: Json) =>
    askCloud(service, method, new URL(`${url}?api-version=${apiVersion}`), body)
  const keys = new URL('/keys/', base).href
  /** A token is for this vault alone, whatever an answer or a state says. */
  const isOurs = (kid: unknown): kid is string =>
    typeof kid === 'string' && kid.startsWith(keys) && /^[\w-]+\/[0-9a-f]{32}$/i.test(kid.slice(keys.length))

  function keyIn(answer: Readonly<Record<string, unknown>>): RootKey {
    const jwk = isObject(answer['key'] as Json | undefined) ? (answer['key'] as Readonly<Record<string, unknown>>) : {}
    const { kid, crv, x, y } = jwk
    if (!isOurs(kid)) throw unanswered(service.where, 'a key of this vault')
    return {
      ref: `${scheme}${kid}`,
      spki: rootSpki(spkiOfJwk({ crv, x, y }), kid),
      async sign(bytes) {
        const digest = new Uint8Array(createHash('sha256').update(bytes).digest())
        const said = await ask('POST', `${kid}/sign`, { alg: 'ES256', value: toBase64Url(digest) })
        const pair = typeof said['value'] === 'string' ? fromBase64Url(said['value']) : undefined
        if (pair?.length === 64 && said['kid'] === kid) return derOfPair(pair)
        throw unanswered(service.where, 'a signature by that key')
      },
    }
  }

  return {
    async create() {
      const name = `writ-root-${toHex(place.random(8))}`
      return keyIn(
        await ask('POST', `${keys}${name}/create`, {
          kty: place.hsm === false ? 'EC' : 'EC-HSM',
          crv: 'P-256',
          key_ops: ['sign', 'verify'],
        }),
      )
    },
    async open(ref) {
      const kid = ref.slice(scheme.length)
      if (ref.startsWith(scheme) && isOurs(kid)) return keyIn(await ask('GET', kid))
      throw otherPlace(ref, service.where)
    },
    async destroy(ref) {
      const kid = ref.slice(scheme.length)
      if (!ref.startsWith(scheme) || !isOurs(kid)) return
      await ask('DELETE', kid.slice(0, kid.lastIndexOf('/'))).catch((thrown: unknown) => {
        // It is gone, or on its way.
        if (!(thrown instanceof WritError) || thrown.code !== 'not_found') throw thrown
      })
    },
  }
}

function spkiOfJwk({
  crv,
  x,
  y,
}: {
  readonly crv: unknown
  readonly x: unknown
  readonly y: unknown
}): Uint8Array | undefined {
  if (crv !== 'P-256' || typeof x !== 'string' || typeof y !== 'string') return undefined
  try {
    return new Uint8Array(
      createPublicKey({ key: { kty: 'EC', crv, x, y }, format: 'jwk' }).export({ type: 'spki', format: 'der' }),
    )
  } catch {
    return undefined
  }
}

/** What the environment says of who this is, as Azure's own libraries name it; `undefined` where it says nothing. */
export interface AzureEnvironment {
  readonly AZURE_AUTHORITY_HOST?: string | undefined
  readonly AZURE_CLIENT_ID?: string | undefined
  readonly AZURE_TENANT_ID?: string | undefined
  /** Text of the file that AZURE_FEDERATED_TOKEN_FILE names, where workload identity is set up. */
  readonly federatedToken?: string | undefined
  /** Default the instance metadata service. */
  readonly metadata?: string | undefined
}

/** Of the workload identity where there is one (a federated token), else of the machine's managed identity. */
export function azureToken(vault: string, environment: AzureEnvironment): Promise<string> {
  const { AZURE_AUTHORITY_HOST: host = 'https://login.microsoftonline.com', AZURE_CLIENT_ID: client } = environment
  const { AZURE_TENANT_ID: tenant, federatedToken, metadata = 'http://169.254.169.254' } = environment
  const resource = resourceOf(vault)
  const cure = 'run with a managed identity, or with workload identity, that may use the vault'
  if (federatedToken !== undefined && client !== undefined && tenant !== undefined) {
    const form = new URLSearchParams({
      ...{ grant_type: 'client_credentials', client_id: client, scope: `${resource}/.default` },
      client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
      client_assertion: federatedToken,
    })
    const url = new URL(`/${encodeURIComponent(tenant)}/oauth2/v2.0/token`, host)
    if (!isSafe(url)) throw new WritError('config_invalid', `${host} is no https:// address`, { cure })
    const headers = { 'content-type': 'application/x-www-form-urlencoded' }
    return platformToken(
      `Microsoft Entra at ${url.host}`,
      { url, method: 'POST', headers, body: utf8(String(form)) },
      cure,
    )
  }
  const url = new URL('/metadata/identity/oauth2/token', metadata)
  url.search = String(
    new URLSearchParams({ 'api-version': '2018-02-01', resource, ...(client !== undefined && { client_id: client }) }),
  )
  return platformToken(
    `Azure's metadata service at ${url.host}`,
    { url, method: 'GET', headers: { metadata: 'true' } },
    cure,
  )
}

/** That of the vault's cloud: `https://vault.azure.net` of `https://NAME.vault.azure.net`. */
const resourceOf = (vault: string): string => `https://${vaultOf(vault).hostname.split('.').slice(1).join('.')}`

function vaultOf(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url && isSafe(url) && url.pathname === '/' && url.search === '') return url
  throw new WritError('config_invalid', `${text} is no address of a vault`, { cure: 'https://NAME.vault.azure.net' })
}

function refusalOf(status: number, body: Readonly<Record<string, unknown>>) {
  const error = isObject(body['error'] as Json | undefined) ? (body['error'] as Readonly<Record<string, unknown>>) : {}
  return { status, type: String(error['code'] ?? ''), text: String(error['message'] ?? '') }
}

const cures: CloudService['cures'] = [
  [/^401/, 'unauthorized', 'run with a managed identity, or with workload identity, of the tenant of the vault'],
  [/^403/, 'forbidden', 'give the identity the role Key Vault Crypto Officer on the vault, and see its firewall'],
  [
    /^404/,
    'not_found',
    'the key is gone: recover it in Key Vault; a new root would be unknown to every workload that lacks it',
  ],
  [/^409/, 'unavailable', 'a key of that name was deleted and is not purged yet: try again'],
  [/^429/, 'unavailable', 'Key Vault throttles: try again later'],
]
