/** Vault as the authority above: its PKI secrets engine signs our issuers (HTTP API, `root/sign-intermediate`). */

import { readFile } from 'node:fs/promises'
import { utf8 } from '../../core/bytes.ts'
import { messageOf, WritError } from '../../core/fault.ts'
import { isObject, type Json } from '../../core/json.ts'
import { certificatesOf, pemOf } from './pem.ts'
import type { IssuerRequest, Upstream } from './upstream.ts'
import { askWeb, isSafe, jsonIn } from './web.ts'

export interface VaultPlace {
  /** `https://host:port`, or `http://` on loopback. */
  readonly address: string
  /** Where the PKI secrets engine is mounted. Default `pki`. */
  readonly mount?: string | undefined
  /** Read anew for each request, since whoever renews the token writes it there, as Vault Agent does. */
  readonly tokenFile: string
  /** Default none. */
  readonly namespace?: string | undefined
  /** PEM of what Vault's own certificate is judged by. Default the roots of this machine. */
  readonly caFile?: string | undefined
}

/** Throws `config_invalid` for an address that is none, or that a token would cross a network to in the clear. */
export function vaultUpstream(place: VaultPlace): Upstream {
  const { mount = 'pki', namespace } = place
  const base = URL.canParse(place.address) ? new URL(place.address) : undefined
  if (!base || !isSafe(base)) {
    throw new WritError('config_invalid', `${place.address} is no address of Vault`, {
      cure: 'write it as https://host:port; http:// only on loopback',
    })
  }
  const path = ['', 'v1', mount, 'root', 'sign-intermediate'].join('/')
  const where = `Vault at ${base.origin}${path}`
  return {
    ref: `upstream:vault ${base.origin} ${mount}`,
    async sign(request) {
      const token = (await readOwn(place.tokenFile, 'the token of Vault')).trim()
      const ca = place.caFile === undefined ? undefined : await readOwn(place.caFile, "the certificate of Vault's root")
      const answer = await askWeb({
        ...{ url: new URL(path, base), method: 'POST', roots: ca === undefined ? undefined : certificatesOf(ca) },
        headers: {
          ...{ 'content-type': 'application/json', 'x-vault-token': token, 'x-vault-request': 'true' },
          ...(namespace !== undefined && { 'x-vault-namespace': namespace }),
        },
        body: utf8(JSON.stringify(wanted(request))),
      }).catch((cause: unknown) => {
        throw new WritError('unavailable', `${where} does not answer: ${messageOf(cause)}`, {
          cure: 'see that Vault runs, and that its certificate is of a root of this machine or of caFile',
          cause,
        })
      })
      const value = jsonIn(answer)
      if (answer.status !== 200) throw refusal(where, mount, answer.status, value)
      return chainIn(value, where)
    },
  }
}

/** The request's names and constraints are said once more: without `use_csr_values` Vault takes its key alone. */
const wanted = ({ csr, trustDomain, commonName, lifeMs }: IssuerRequest): Json => ({
  csr: pemOf(csr, 'CERTIFICATE REQUEST'),
  ...{ common_name: commonName, organization: trustDomain, exclude_cn_from_sans: true },
  uri_sans: `spiffe://${trustDomain}`,
  permitted_uri_domains: trustDomain,
  max_path_length: 0,
  ttl: `${Math.floor(lifeMs / 1000)}s`,
  format: 'pem',
})

/** The certificate, then the chain above it as far as Vault knows it. */
function chainIn(value: unknown, where: string): readonly Uint8Array[] {
  const data = isObject(value) && isObject(value['data']) ? value['data'] : {}
  const { certificate, ca_chain: above } = data
  const texts = [certificate, ...(Array.isArray(above) ? above : [])]
  if (texts.every((text) => typeof text === 'string')) return texts.flatMap((text) => certificatesOf(text as string))
  throw new WritError('certificate_invalid', `${where} answered without a certificate and its ca_chain`, {
    cure: 'see that the address is that of Vault and the mount that of its PKI secrets engine',
  })
}

const cures: { readonly [status: number]: readonly ['forbidden' | 'not_found' | 'unavailable', string] } = {
  403: [
    'forbidden',
    'write a token there that lives, and whose policy has: path "MOUNT/root/sign-intermediate" { capabilities = ["update"] }',
  ],
  404: ['not_found', 'enable the PKI secrets engine at MOUNT, or name the mount where it is'],
  503: ['unavailable', 'unseal Vault'],
}

function refusal(where: string, mount: string, status: number, value: unknown): WritError {
  const errors = isObject(value) && Array.isArray(value['errors']) ? value['errors'] : []
  const [code, cure] = cures[status] ?? [status < 500 ? 'certificate_invalid' : 'unavailable', "see Vault's own log"]
  const why = errors.map(String).join('; ').slice(0, 500)
  return new WritError(code, `${where} answered ${status}: ${why}`, { cure: cure.replace('MOUNT', mount) })
}

const readOwn = (path: string, what: string): Promise<string> =>
  readFile(path, 'utf8').catch((cause: unknown) => {
    throw new WritError('unavailable', `${what} cannot be read: ${messageOf(cause)}`, {
      cure: `write it to ${path}, for this user to read`,
    })
  })
