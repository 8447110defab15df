/** A JWK set in a file: the keys of an issuer of identity tokens. */

import { readFile } from 'node:fs/promises'
import { messageOf, WritError } from '../../core/fault.ts'
import { isObject, type Json, parseJson } from '../../core/json.ts'
import type { IssuerKey } from '../verification.ts'

/** Longest key set, in bytes. */
const maxBytes = 1024 ** 2

export async function readKeySet(file: string): Promise<{ readonly keys: readonly IssuerKey[] }> {
  const bytes = await readFile(file).catch((cause: unknown) => {
    throw unusable(file, messageOf(cause))
  })
  if (bytes.length > maxBytes) throw unusable(file, `it is longer than ${maxBytes} bytes`)
  const value = parseJson(bytes.toString('utf8'))
  const keys = isObject(value) ? value['keys'] : undefined
  if (!Array.isArray(keys) || keys.length === 0 || !keys.every(isPublic)) {
    throw unusable(file, 'it is no JWK set of public keys')
  }
  return { keys: keys as readonly IssuerKey[] }
}

/** Whoever verifies has no business with a private key or a secret. */
const isPublic = (key: Json): boolean => isObject(key) && key['d'] === undefined && key['k'] === undefined

const unusable = (file: string, why: string): WritError =>
  new WritError('config_invalid', `the key set ${file} cannot be used: ${why}`, {
    cure: "Give the issuer's JWK set, such as what its jwks_uri answers.",
  })
