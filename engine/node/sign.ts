/** Signs a bundle as OPA does, so that any OPA can verify it, and takes the signature off again. */

import { gunzipSync } from 'node:zlib'
import { CompactSign } from 'jose'
import { toHex, utf8 } from '../../core/bytes.ts'
import { identityTokenHeader, type PublicJwk } from '../keyless.ts'
import { digestOf, signaturesFile } from '../signature.ts'
import { readTar, type TarFile } from '../tar.ts'
import type { SigningKey } from './keys.ts'
import { pack } from './pack.ts'

export interface Signer extends SigningKey {
  /** What verifiers know the key by. Default `default`, as in OPA. */
  readonly keyId?: string
  /** What the signature is good for; verifiers that name another scope, or none, refuse it. Default none. */
  readonly scope?: string
  /** Who vouches for the key, and when it signed. Default nobody: verifiers know the key. */
  readonly keyless?: { readonly jwk: PublicJwk; readonly identityToken: string; readonly atS: number }
}

/** The same files with one signature over all of them. */
export async function signBundle(bundle: Uint8Array, signer: Signer): Promise<Uint8Array> {
  const files = filesOf(bundle).filter(isOther)
  const entries = await Promise.all(
    files.map(async (file) => ({
      name: file.name,
      hash: toHex(await digestOf(file, 'SHA-256')),
      algorithm: 'SHA-256',
    })),
  )
  const { keyless, scope, keyId = 'default' } = signer
  const claims = { files: entries, ...(scope === undefined ? {} : { scope }), ...(keyless && { iat: keyless.atS }) }
  const vouched = keyless && { jwk: { ...keyless.jwk }, [identityTokenHeader]: keyless.identityToken }
  const token = await new CompactSign(utf8(JSON.stringify(claims)))
    .setProtectedHeader({ alg: signer.algorithm, kid: keyId, typ: 'JWT', ...vouched })
    .sign(signer.key)
  const signature = { name: signaturesFile, bytes: utf8(JSON.stringify({ signatures: [token] })) }
  return pack([...files, signature])
}

/** What was signed, as we pack it; undefined where there is no signature to take off. */
export function unsignedBundle(bundle: Uint8Array): Uint8Array | undefined {
  const files = filesOf(bundle)
  const unsigned = files.filter(isOther)
  return unsigned.length < files.length ? pack(unsigned) : undefined
}

const filesOf = (bundle: Uint8Array): readonly TarFile[] => readTar(gunzipSync(bundle), 10_000)

const isOther = ({ name }: TarFile): boolean => name !== signaturesFile
