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
  if (!federation) return undefined
  if (federationCert === undefined) return federation
  const read = (name: string): Promise<string> =>
    readFile(join(federationCert, name), 'utf8').catch((cause: unknown) => {
      throw new WritError('not_found', `${join(federationCert, name)} cannot be read: ${messageOf(cause)}`, {
        cure: 'name a folder with tls.crt and tls.key',
        cause,
      })
    })
  return { ...federation, web: { certificates: await read('tls.crt'), key: await read('tls.key') } }
}
