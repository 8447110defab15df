/** Takes in an authority of the former layout: a file for the root, one for the issuer, one for the key of tokens. */

import { existsSync, unlinkSync } from 'node:fs'
import { join } from 'node:path'
import { equalBytes } from '../../core/bytes.ts'
import { heldOf, type Making, newIssuer } from './authority-make.ts'
import { damaged, readSigner } from './authority-sign.ts'
import type { HeldAuthority } from './authority-state.ts'
import { spkiOf } from './crypto.ts'
import { readText } from './files.ts'
import { certificatesOf, keyOf } from './pem.ts'
import { sealedRootKeys } from './root-keys.ts'

const names = ['root.pem', 'issuer.pem', 'jwt.pem'] as const

export const hasFormer = (dir: string): boolean => names.every((name) => existsSync(join(dir, name)))

/** Once what was in them is kept elsewhere: keys lie in one place. */
export function removeFormer(dir: string): void {
  for (const name of names) if (existsSync(join(dir, name))) unlinkSync(join(dir, name))
}

/** Root and key of tokens as they were; the issuer is made anew. Throws `certificate_invalid` where a file is damaged. */
export async function takeFormer(dir: string, making: Making): Promise<HeldAuthority> {
  const [root, , tokens] = names.map((name) => readText(join(dir, name))!) as [string, string, string]
  const [der] = certificatesOf(root)
  const keyPem = keyOf(root)
  const certificate = der && readSigner(der, making.trustDomain)
  if (!certificate || !keyPem || !equalBytes(spkiOf(keyPem), certificate.spki)) {
    throw damaged(`${dir}/root.pem is not a key with its certificate`)
  }
  const key = await sealedRootKeys(making.seal).open(making.seal.seal(keyPem))
  return heldOf(making, await newIssuer(making, certificate, key), 1, tokens)
}
