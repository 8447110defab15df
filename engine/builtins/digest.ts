/** `crypto.md5`, `crypto.sha256`, `crypto.hmac.*`: digests of a string's bytes, in lower-case hex. */

import { hmac } from '@noble/hashes/hmac.js'
import { md5, sha1 } from '@noble/hashes/legacy.js'
import { sha256, sha512 } from '@noble/hashes/sha2.js'
import type { CHash } from '@noble/hashes/utils.js'
import { toHex } from '../../core/bytes.ts'
import { bytesOfString, type Value } from '../value.ts'
import type { Builtin, BuiltinFamily } from './builtin.ts'
import { stringOf } from './operand.ts'
import { sameMac } from './signature/mac.ts'

export const digest: BuiltinFamily = {
  'crypto.md5': digestBy(md5),
  'crypto.sha1': digestBy(sha1),
  'crypto.sha256': digestBy(sha256),
  'crypto.hmac.md5': hmacBy(md5),
  'crypto.hmac.sha1': hmacBy(sha1),
  'crypto.hmac.sha256': hmacBy(sha256),
  'crypto.hmac.sha512': hmacBy(sha512),
  'crypto.hmac.equal': (_, a, b) => sameMac(bytesOf(a), bytesOf(b)),
}

function digestBy(hash: CHash): Builtin {
  return (_, text) => toHex(hash(bytesOf(text)))
}

function hmacBy(hash: CHash): Builtin {
  return (_, message, key) => toHex(hmac(hash, bytesOf(key), bytesOf(message)))
}

const bytesOf = (value: Value | undefined): Uint8Array => bytesOfString(stringOf(value!))
