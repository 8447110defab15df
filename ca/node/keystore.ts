/** Certificates and keys in the containers of Java and Windows: PKCS#12 (RFC 7292) and PKCS#7 (RFC 2315 section 9). */

import { createHmac, createPrivateKey } from 'node:crypto'
import forge from 'node-forge'
import { WritError } from '../../core/fault.ts'
import type { RandomBytes } from '../../core/ports.ts'
import { binary, bytesOf, encode, type Node, node, octets, oid, raw, sequence, setOf, Type, tagged } from './asn1.ts'
import { sha256Hex } from './crypto.ts'

const { oids, encryptPrivateKeyInfo } = forge.pki

/** As many rounds as Java's own keystores have, for the key and for the MAC. */
const rounds = 10_000
/** Shortest password: whoever has the file can try as many as they like. */
const minPassword = 12
const shortest = new RegExp(`^[\\x20-\\x7e]{${minPassword},}$`)

export interface Keystore {
  /** DER, the leaf first. */
  readonly chain: readonly Uint8Array[]
  /** PKCS#8 PEM. */
  readonly keyPem: string
  /** What Java knows the entry by. */
  readonly alias: string
  /** ASCII, since readers differ in all else; 12 characters or more. */
  readonly password: string
}

/**
 * A key with its chain. The key is encrypted by AES-256 (PBES2), the whole is under an HMAC of SHA-256: Java 8u301, Windows
 * 10 1703 and OpenSSL 1.0 read that. Throws `config_invalid` for a password that is too short.
 */
export function pkcs12Of({ chain, keyPem, alias, password }: Keystore, random: RandomBytes): Uint8Array {
  if (!shortest.test(password)) {
    throw new WritError('config_invalid', `the password is not of ${minPassword} or more characters of ASCII`, {
      cure: 'make one by: openssl rand -base64 24',
    })
  }
  const attributes = setOf(
    sequence(oid(oids['localKeyId']!), setOf(octets(Buffer.from(sha256Hex(chain[0]!), 'hex').toString('latin1')))),
    sequence(oid(oids['friendlyName']!), setOf(node(Type.BMPSTRING, alias))),
  )
  const certificates = chain.map((der, i) =>
    sequence(
      oid(oids['certBag']!),
      tagged(0, sequence(oid(oids['x509Certificate']!), tagged(0, octets(binary(der))))),
      ...(i === 0 ? [attributes] : []),
    ),
  )
  const clear = createPrivateKey(keyPem).export({ type: 'pkcs8', format: 'der' })
  const options = { algorithm: 'aes256', prfAlgorithm: 'sha256', count: rounds, saltSize: 16 } as const
  const key = encryptPrivateKeyInfo(raw(clear), password, options as never)
  const shrouded = sequence(oid(oids['pkcs8ShroudedKeyBag']!), tagged(0, key), attributes)
  const safe = encode(sequence(dataOf(sequence(...certificates)), dataOf(sequence(shrouded))))
  return bytesOf(
    sequence(
      node(Type.INTEGER, '\x03'),
      sequence(oid(oids['data']!), tagged(0, octets(safe))),
      macOf(safe, password, random),
    ),
  )
}

const dataOf = (content: Node): Node => sequence(oid(oids['data']!), tagged(0, octets(encode(content))))

/** RFC 7292 section 4 and appendix B, with SHA-256. */
function macOf(safe: string, password: string, random: RandomBytes): Node {
  const salt = binary(random(16))
  const digest = forge.md.sha256.create()
  const key = forge.pkcs12.generateKey(password, forge.util.createBuffer(salt), 3, rounds, 32, digest)
  const mac = createHmac('sha256', Buffer.from(key.getBytes(), 'latin1')).update(safe, 'latin1').digest()
  const algorithm = sequence(oid(oids['sha256']!), node(Type.NULL, ''))
  const count = forge.asn1.integerToDer(rounds).getBytes()
  return sequence(sequence(algorithm, octets(binary(mac))), octets(salt), node(Type.INTEGER, count))
}

/** Certificates alone, signed by nobody, as Windows takes trust roots (`.p7b`). */
export function pkcs7Of(certificates: readonly Uint8Array[]): Uint8Array {
  const signed = sequence(
    ...[node(Type.INTEGER, '\x01'), setOf(), sequence(oid(oids['data']!))],
    ...[tagged(0, ...certificates.map(raw)), setOf()],
  )
  return bytesOf(sequence(oid(oids['signedData']!), tagged(0, signed)))
}
