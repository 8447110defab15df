/** An authority of the mesh and two SVIDs from it, in PEM files, so that every proxy of a run has the same ones. */

import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Authority, openAuthority } from '../ca/node/authority.ts'
import { newKeyPair } from '../ca/node/crypto.ts'
import { pemOf } from '../ca/node/pem.ts'
import { random } from '../cli/wire/machine.ts'
import { parseSpiffeId, parseTrustDomain, type SpiffeId, type TrustDomain } from '../core/spiffe.ts'

export interface Certificates {
  /** Folder of the authority that signed them. */
  readonly authority: string
  readonly roots: string
  readonly caller: KeyFiles
  readonly server: KeyFiles
}

export interface KeyFiles {
  readonly cert: string
  readonly key: string
}

export const trustDomain: TrustDomain = parseTrustDomain('bank.example')!
export const callerId: SpiffeId = parseSpiffeId('spiffe://bank.example/storefront')!
export const serverId: SpiffeId = parseSpiffeId('spiffe://bank.example/orders')!

export const authorityIn = (dir: string, nowMs: () => number = Date.now): Promise<Authority> =>
  openAuthority({ dir, trustDomain, nowMs, random })

export async function makeCertificates(folder: string): Promise<Certificates> {
  const dir = join(folder, 'authority')
  const authority = await authorityIn(dir)
  const write = async (name: string, text: string): Promise<string> => {
    const path = join(folder, name)
    await writeFile(path, text, { mode: 0o600 })
    return path
  }
  const leaf = async (name: string, id: SpiffeId): Promise<KeyFiles> => {
    const { spki, keyPem } = newKeyPair()
    const { chain } = authority.issue({ id, spki })
    return { cert: await write(`${name}.pem`, pemsOf(chain)), key: await write(`${name}.key`, keyPem) }
  }
  return {
    authority: dir,
    roots: await write('roots.pem', pemsOf(authority.bundle().roots)),
    caller: await leaf('caller', callerId),
    server: await leaf('server', serverId),
  }
}

const pemsOf = (chain: readonly Uint8Array[]): string => chain.map((der) => pemOf(der, 'CERTIFICATE')).join('')
