/** Roots whose keys are made in a hardware module and never leave it. */

import { createHash } from 'node:crypto'
import { fromHex, toHex } from '../../core/bytes.ts'
import { WritError } from '../../core/fault.ts'
import type { RandomBytes } from '../../core/ports.ts'
import { derOfPair } from './crypto.ts'
import { openPkcs11, type Pkcs11Place, type Pkcs11Session } from './pkcs11-module.ts'
import type { RootKey, RootKeys } from './root-keys.ts'

/** SubjectPublicKeyInfo of a P-256 key up to its point (RFC 5480 section 2). */
const spkiHead = Uint8Array.of(
  ...[0x30, 0x59, 0x30, 0x13, 6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7],
  ...[3, 0x42, 0],
)

/** `ref` is a URI of RFC 7512: `pkcs11:token=…;id=%01%ab`. The module is opened at the first use, once. */
export function pkcs11RootKeys(place: Pkcs11Place, random: RandomBytes): RootKeys {
  let opened: Promise<Pkcs11Session> | undefined
  const session = (): Promise<Pkcs11Session> => {
    opened ??= openPkcs11(place)
    opened.catch(() => {
      opened = undefined // The next use tries again.
    })
    return opened
  }
  const refOf = (id: Uint8Array): string =>
    `pkcs11:token=${encodeURIComponent(place.token)};id=${toHex(id).replace(/../g, '%$&')}`
  const idOf = (ref: string): Uint8Array => {
    const id = /^pkcs11:token=[^;]*;id=((?:%[0-9a-f]{2})+)$/.exec(ref)?.[1]
    if (id) return fromHex(id.replaceAll('%', ''))!
    throw new WritError('certificate_invalid', `${ref.slice(0, 80)} names no key of a hardware module`, {
      cure: "open the authority with the keys' own place",
    })
  }
  const keyOf = (id: Uint8Array, point: Uint8Array): RootKey => ({
    ref: refOf(id),
    spki: Uint8Array.of(...spkiHead, ...point),
    sign: async (bytes) => derOfPair((await session()).sign(id, createHash('sha256').update(bytes).digest())),
  })
  return {
    async create() {
      const id = random(16)
      return keyOf(id, (await session()).generate(id, 'writ root'))
    },
    async open(ref) {
      const id = idOf(ref)
      const point = (await session()).pointOf(id)
      if (point) return keyOf(id, point)
      throw new WritError('certificate_invalid', `the token ${place.token} does not hold the root's key ${ref}`, {
        cure: 'restore the token from its own backup; a new root would be unknown to every workload',
      })
    },
    async destroy(ref) {
      if (ref.startsWith('pkcs11:')) (await session()).destroy(idOf(ref))
    },
  }
}
