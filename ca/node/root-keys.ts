/** Where the keys of roots live, behind one interface; and how keys that lie in files are sealed. */

import { createPrivateKey } from 'node:crypto'
import { WritError } from '../../core/fault.ts'
import { newKeyPair, privateKeyOf, signDer, spkiOf } from './crypto.ts'
import { isUpstream } from './upstream.ts'

/** A key that signs issuers. It need not be in this process. */
export interface RootKey {
  /** What is kept of it, to open it again. */
  readonly ref: string
  /** SubjectPublicKeyInfo, DER. */
  readonly spki: Uint8Array
  /** ECDSA P-256 over SHA-256, in the DER form that certificates carry. */
  sign(bytes: Uint8Array): Promise<Uint8Array>
}

/** A place that makes and holds such keys. Every call rejects with `certificate_invalid` or `unavailable`. */
export interface RootKeys {
  create(): Promise<RootKey>
  open(ref: string): Promise<RootKey>
  /** Destroys a key; one that is gone already is no error. */
  destroy(ref: string): Promise<void>
}

/** Turns a private key into the text that is kept, and back. */
export interface KeySeal {
  readonly sealed: boolean
  /** PKCS#8 PEM in and out. */
  seal(keyPem: string): string
  /** Throws `certificate_invalid` where the text is no key, or is sealed by another passphrase. */
  open(text: string): string
}

/** Shortest passphrase: 128 bits are 22 characters of base64, and 32 hex digits. */
const minPassphrase = 22

/**
 * PKCS#8 encrypted by AES-256 (RFC 8018, PBES2), as `openssl pkcs8` reads it; without a passphrase keys are kept as they
 * are, and the mode of their file is what protects them. Throws `config_invalid` for a passphrase that can be guessed.
 */
export function keySeal(passphrase: string | undefined): KeySeal {
  if (passphrase !== undefined && passphrase.length < minPassphrase) {
    throw new WritError(
      'config_invalid',
      `the passphrase of the authority's keys has ${passphrase.length} characters`,
      {
        cure: `set WRIT_CA_KEY to ${minPassphrase} or more, for instance by: openssl rand -base64 32`,
      },
    )
  }
  return {
    sealed: passphrase !== undefined,
    seal(keyPem) {
      if (passphrase === undefined) return keyPem
      return String(
        createPrivateKey(keyPem).export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase }),
      )
    },
    open(text) {
      const encrypted = text.includes('-----BEGIN ENCRYPTED PRIVATE KEY-----')
      if (encrypted && passphrase === undefined) {
        throw new WritError('certificate_invalid', "the authority's keys are encrypted", {
          cure: 'set WRIT_CA_KEY to the passphrase that they were encrypted with',
        })
      }
      try {
        const key = createPrivateKey({ key: text, ...(encrypted && { passphrase }) })
        return String(key.export({ type: 'pkcs8', format: 'pem' }))
      } catch (cause) {
        throw new WritError('certificate_invalid', "a key of the authority's cannot be read", {
          cure: encrypted ? 'set WRIT_CA_KEY to the passphrase it was encrypted with' : 'restore it from a backup',
          cause,
        })
      }
    },
  }
}

/** Keys that are kept where the authority's state is: `ref` is the sealed key itself. */
export function sealedRootKeys(seal: KeySeal): RootKeys {
  const keyOf = (ref: string): RootKey => {
    const keyPem = seal.open(ref)
    const key = privateKeyOf(keyPem)
    return { ref, spki: spkiOf(keyPem), sign: async (bytes) => signDer(key, bytes) }
  }
  return {
    create: async () => keyOf(seal.seal(newKeyPair().keyPem)),
    open: async (ref) => keyOf(ref),
    destroy: async () => {},
  }
}

/**
 * Opens a root's key where it is: one that is sealed beside the state is opened there, whatever holds the newer ones.
 * Rejects with `unavailable` for the root of an authority above.
 */
export async function openRootKey(ref: string, keys: RootKeys, seal: KeySeal): Promise<RootKey> {
  if (!isUpstream(ref)) return (ref.startsWith('-----BEGIN ') ? sealedRootKeys(seal) : keys).open(ref)
  throw new WritError('unavailable', `the root is not ours to sign by (${ref}), and its issuer has to be replaced`, {
    cure: 'writ ca csr, have it signed by that root, writ ca import; or name the authority above in the mesh file',
  })
}
