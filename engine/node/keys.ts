/** Keys of bundle signatures as files: PEM, or the bytes of a secret where the algorithm is one of HMAC. */

import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { messageOf, WritError } from '../../core/fault.ts'
import { secretFor } from '../signature.ts'
import { type SignatureAlgorithm, signatureAlgorithms, type VerificationKey } from '../verification.ts'

/** Longest key file, in bytes. */
const maxBytes = 64 * 1024

export interface SigningKey {
  readonly algorithm: SignatureAlgorithm
  readonly key: KeyObject | Uint8Array
}

/** `algorithm` defaults to that of an EC key's curve, and to RS256 for RSA; a secret is taken only for one of HMAC. */
export async function readSigningKey(file: string, algorithm?: string): Promise<SigningKey> {
  const bytes = await read(file)
  const named = algorithmNamed(algorithm)
  if (named?.startsWith('HS')) return { algorithm: named, key: secretFor(named, bytes) }
  const key = parse(file, () => createPrivateKey(Buffer.from(bytes)))
  return { algorithm: fitting(file, key, named), key }
}

/** A public key or a certificate; a private key is refused, because whoever verifies has no business with it. */
export async function readVerificationKey(
  file: string,
  options: { readonly algorithm?: string; readonly id?: string } = {},
): Promise<VerificationKey> {
  const bytes = await read(file)
  const id = options.id === undefined ? {} : { id: options.id }
  const named = algorithmNamed(options.algorithm)
  if (named?.startsWith('HS')) return { algorithm: named, key: secretFor(named, bytes), ...id }
  const text = Buffer.from(bytes).toString('latin1')
  if (/-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(text)) {
    throw unusable(file, 'it is a private key', 'Give the public one: openssl pkey -in key.pem -pubout.')
  }
  const key = parse(file, () => createPublicKey(text))
  const algorithm = fitting(file, key, named)
  return { algorithm, key: key.export({ type: 'spki', format: 'pem' }) as string, ...id }
}

function algorithmNamed(name: string | undefined): SignatureAlgorithm | undefined {
  if (name === undefined) return undefined
  const known = signatureAlgorithms.find((one) => one === name)
  if (known) return known
  throw new WritError('usage', `${name} is no algorithm that bundles are signed with`, {
    cure: `One of ${signatureAlgorithms.join(', ')}.`,
  })
}

const curves: Readonly<Record<string, SignatureAlgorithm>> = {
  prime256v1: 'ES256',
  secp384r1: 'ES384',
  secp521r1: 'ES512',
}

function fitting(file: string, key: KeyObject, named: SignatureAlgorithm | undefined): SignatureAlgorithm {
  const { asymmetricKeyType: type, asymmetricKeyDetails: details } = key
  const own = type === 'rsa' ? 'RS256' : type === 'ec' ? curves[details?.namedCurve ?? ''] : undefined
  if (own === undefined) throw unusable(file, `bundles are not signed with ${type} keys`)
  if (type === 'rsa' && (details?.modulusLength ?? 0) < 2048) throw unusable(file, 'RSA keys have 2048 bits at least')
  const fits = named === undefined || named === own || (type === 'rsa' && /^[RP]S/.test(named))
  if (!fits) throw unusable(file, `the key is for ${own} and not for ${named}`)
  return named ?? own
}

function parse(file: string, make: () => KeyObject): KeyObject {
  try {
    return make()
  } catch (cause) {
    throw unusable(file, messageOf(cause), undefined, cause)
  }
}

async function read(file: string): Promise<Uint8Array> {
  const bytes = await readFile(file).catch((cause: unknown) => {
    throw unusable(file, messageOf(cause), undefined, cause)
  })
  if (bytes.length > maxBytes) throw unusable(file, `it is longer than ${maxBytes} bytes`)
  return bytes
}

const unusable = (
  file: string,
  why: string,
  cure = 'Give an EC or RSA key as PEM, or name an HS… algorithm for a secret.',
  cause?: unknown,
): WritError =>
  new WritError('config_invalid', `the key ${file} cannot be used: ${why}`, {
    cure,
    ...(cause === undefined ? {} : { cause }),
  })
