/** The hash functions that signatures use, by name. */

import { sha1 } from '@noble/hashes/legacy.js'
import { sha256, sha384, sha512 } from '@noble/hashes/sha2.js'
import type { CHash } from '@noble/hashes/utils.js'

export type HashName = 'sha1' | 'sha256' | 'sha384' | 'sha512'

export const hashes: Readonly<Record<HashName, CHash>> = { sha1, sha256, sha384, sha512 }
