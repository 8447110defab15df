/** `crypto.x509.*` and `crypto.parse_private_keys`: certificates, requests and keys as Go shows them. */

import { isArray, RegoSet, stringOfBytes, type Value } from '../value.ts'
import { decodeBase64 } from './base64.ts'
import { type BuiltinContext, BuiltinError, type BuiltinFamily } from './builtin.ts'
import { int64Of } from './int64.ts'
import { object } from './object.ts'
import { objectArg, stringOf } from './operand.ts'
import { type Certificate, readCertificate, readCertificates } from './x509/certificate.ts'
import { looksLikePem, nextPem } from './x509/pem.ts'
import { belongTogether, jwkOf, readAnyPrivateKey, readPrivateKeys } from './x509/private.ts'
import { readRequest } from './x509/request.ts'
import { extendedCertificate, keyPairShape, plainCertificate, privateKeyShape, requestShape } from './x509/shape.ts'
import { type VerifyOptions, verifyChain } from './x509/verify.ts'

export const x509: BuiltinFamily = {
  'crypto.x509.parse_certificates': (_, text) => certificatesIn(stringOf(text!)).map(extendedCertificate),
  'crypto.x509.parse_and_verify_certificates': parseAndVerify,
  'crypto.x509.parse_and_verify_certificates_with_options': parseAndVerifyWithOptions,
  'crypto.x509.parse_certificate_request': (_, text) => requestShape(readRequest(requestBytes(stringOf(text!)))),
  'crypto.x509.parse_keypair': parseKeyPair,
  'crypto.x509.parse_rsa_private_key': parseJwk,
  'crypto.parse_private_keys': parsePrivateKeys,
}

const unverified: Value = [false, []]

function parseAndVerify(context: BuiltinContext, text: Value): Value {
  const certificates = orNone(() => certificatesIn(stringOf(text)))
  const chain = certificates && verified(certificates, { nowSeconds: nowOf(context), dnsName: '', keyUsages: [] })
  return chain ? [true, chain.map(extendedCertificate)] : unverified
}

function parseAndVerifyWithOptions(context: BuiltinContext, text: Value, options: Value): Value {
  const given = stringOf(text)
  const members = objectArg(options)
  const certificates = orNone(() => certificatesIn(given))
  if (!certificates) return unverified
  const chain = verified(certificates, readOptions(members.entries, nowOf(context)))
  return chain ? [true, chain.map(plainCertificate)] : unverified
}

const nowOf = ({ nowNs }: BuiltinContext): number => Number(nowNs) / 1e9

/** The first is the root, the last the leaf. */
function verified(certificates: readonly Certificate[], options: VerifyOptions): readonly Certificate[] | undefined {
  const [root, ...others] = certificates
  const leaf = others.pop()
  return root && leaf && verifyChain(root, others, leaf, options)
}

const usageNames: readonly string[] = [
  ...[
    'Any',
    'ServerAuth',
    'ClientAuth',
    'CodeSigning',
    'EmailProtection',
    'IPSECEndSystem',
    'IPSECTunnel',
    'IPSECUser',
  ],
  ...['TimeStamping', 'OCSPSigning', 'MicrosoftServerGatedCrypto', 'NetscapeServerGatedCrypto'],
  ...['MicrosoftCommercialCodeSigning', 'MicrosoftKernelCodeSigning'],
]

function readOptions(entries: readonly (readonly [Value, Value])[], nowSeconds: number): VerifyOptions {
  let options: VerifyOptions = { nowSeconds, dnsName: '', keyUsages: [] }
  for (const [key, value] of entries) {
    if (key === 'DNSName') options = { ...options, dnsName: stringOf(value).replace(/^"+|"+$/g, '') }
    else if (key === 'CurrentTime') options = { ...options, nowSeconds: Number(int64Of(value)) / 1e9 }
    else if (key === 'KeyUsages') options = { ...options, keyUsages: readUsages(value) }
    else if (key === 'MaxConstraintComparisons')
      int64Of(value) // The list of names is bounded by its length.
    else if (typeof key === 'string') throw new BuiltinError('invalid key option')
  }
  return options
}

function readUsages(value: Value): readonly number[] {
  const items = value instanceof RegoSet ? value.items : value
  if (!isArray(items)) throw new BuiltinError("'KeyUsages' should be an Array or Set")
  return items.flatMap((item) => {
    if (typeof item !== 'string') return []
    const number = usageNames.indexOf(item.replace(/^"+|"+$/g, '').replace(/^KeyUsage/, ''))
    if (number < 0) throw new BuiltinError(`invalid entries for 'KeyUsages' found: [${item}]`)
    return [number]
  })
}

/** PEM, base64 of PEM, or base64 of DER. */
function certificatesIn(text: string): readonly Certificate[] {
  if (looksLikePem(text)) return certificatesInPem(text)
  const bytes = base64Of(text)
  const inner = stringOfBytes(bytes)
  return looksLikePem(inner) ? certificatesInPem(inner) : readCertificates(bytes)
}

function certificatesInPem(text: string): readonly Certificate[] {
  const certificates: Certificate[] = []
  for (let found = nextPem(text); found; found = nextPem(found.rest)) {
    const { type, bytes } = found.block
    if (type !== 'CERTIFICATE') throw new BuiltinError(`PEM block type is '${type}', expected CERTIFICATE`)
    certificates.push(...readCertificates(bytes))
  }
  return certificates
}

function requestBytes(text: string): Uint8Array {
  const bytes = text.startsWith('-----BEGIN CERTIFICATE REQUEST-----') ? undefined : base64Of(text)
  const found = nextPem(bytes ? stringOfBytes(bytes) : text)
  if (!found) return bytes ?? new Uint8Array()
  if (found.block.type !== 'CERTIFICATE REQUEST')
    throw new BuiltinError('invalid PEM-encoded certificate signing request')
  return found.block.bytes
}

function parseJwk(_: BuiltinContext, text: Value): Value {
  const given = stringOf(text)
  if (given === '') throw new BuiltinError('input PEM data was empty')
  const [key] = readPrivateKeys(unwrapped(looksLikePem(given) ? given : stringOfBytes(base64Of(given))))
  return key ? object(jwkOf(key)) : null
}

function parsePrivateKeys(_: BuiltinContext, text: Value): Value {
  const given = stringOf(text)
  return given === '' ? null : readPrivateKeys(unwrapped(given)).map(privateKeyShape)
}

/** Text within base64, or the text itself. */
function unwrapped(text: string): string {
  const bytes = decodeBase64(text)
  return bytes ? stringOfBytes(bytes) : text
}

/** As `tls.X509KeyPair`: a chain, leaf first, and the leaf's key. */
function parseKeyPair(_: BuiltinContext, chain: Value, key: Value): Value {
  const certificates = blocksOf(stringOf(chain), 'CERTIFICATE').filter(({ type }) => type === 'CERTIFICATE')
  if (certificates.length === 0) throw new BuiltinError('tls: failed to find any PEM data in certificate input')
  const keyBlock = blocksOf(stringOf(key), 'PRIVATE KEY').find(({ type }) => /^(?:.* )?PRIVATE KEY$/.test(type))
  if (!keyBlock) throw new BuiltinError('tls: failed to find any PEM data in key input')
  const leaf = readCertificate(certificates[0]!.bytes)
  const privateKey = readAnyPrivateKey(keyBlock.bytes)
  if (!belongTogether(privateKey, leaf.publicKey)) throw new BuiltinError('tls: private key does not match public key')
  return keyPairShape(
    certificates.map(({ bytes }) => bytes),
    leaf,
    privateKey,
  )
}

/** PEM, base64 of PEM, or base64 of DER of the type that is expected. */
function blocksOf(text: string, expected: string): readonly { readonly type: string; readonly bytes: Uint8Array }[] {
  const bytes = text.startsWith('-----BEGIN ') ? undefined : base64Of(text)
  const inner = bytes ? stringOfBytes(bytes) : text
  if (bytes && !inner.startsWith('-----BEGIN ')) return [{ type: expected, bytes }]
  const blocks = []
  for (let found = nextPem(inner); found; found = nextPem(found.rest)) blocks.push(found.block)
  return blocks
}

function base64Of(text: string): Uint8Array {
  const bytes = decodeBase64(text)
  if (!bytes) throw new BuiltinError('illegal base64 data')
  return bytes
}

function orNone<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch (thrown) {
    if (thrown instanceof BuiltinError) return undefined
    throw thrown
  }
}
