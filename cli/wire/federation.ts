/** Where our trust bundle is published, as command lines say it. */

import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { messageOf, WritError } from '../../core/fault.ts'
import type { FederationPlace } from './control-plane.ts'

export interface FederationOptions {
  readonly federation?: { readonly address: string; readonly port: number }
  readonly federationCert?: string
}

/** With control's SVID, or with a certificate of the Web PKI where a folder of one is named. */
export async function federationOf({
  federation,
  federationCert,
}: FederationOptions): Promise<FederationPlace | undefined> {
  return webPlace(federation, federationCert)
}

/** A door that strangers come to: with a certificate of the Web PKI where a folder of one is named. */
export async function webPlace(
  place: { readonly address: string; readonly port: number } | undefined,
  folder: string | undefined,
): Promise<FederationPlace | undefined> {
  if (!place || folder === undefined) return place
  const read = (name: string): Promise<string> =>
    readFile(join(folder, name), 'utf8').catch((cause: unknown) => {
      throw new WritError('not_found', `${join(folder, name)} cannot be read: ${messageOf(cause)}`, {
        cure: 'name a folder with tls.crt and tls.key',
        cause,
      })
    })
  return { ...place, web: { certificates: await read('tls.crt'), key: await read('tls.key') } }
}
