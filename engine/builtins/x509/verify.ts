/**
 * Verifies a chain of certificates as Go's crypto/x509 does (RFC 5280 section 6). One thing is stricter: a chain that
 * demands policies or maps them is not verified, since policies are not followed here.
 */

import { equalBytes } from '../../../core/bytes.ts'
import { BuiltinError } from '../builtin.ts'
import { verifyEcdsa, verifyEd25519 } from '../signature/curve.ts'
import { hashes } from '../signature/hash.ts'
import { verifyPkcs1, verifyPss } from '../signature/rsa.ts'
import type { Certificate } from './certificate.ts'
import { keepsConstraints } from './constraints.ts'
import { DerReader, oidText } from './der.ts'
import { matchesHost } from './domain.ts'
import { extensionOid } from './extensions.ts'
import { isSameIp, readIp } from './ip.ts'

export interface VerifyOptions {
  readonly nowSeconds: number
  /** What the leaf must stand for, where something is asked. */
  readonly dnsName: string
  /** Go's numbers; the chain must allow one of them. Default server authentication. */
  readonly keyUsages: readonly number[]
}

const anyUsage = 0
const serverAuth = 1

/** How many signatures are verified in search of a chain. */
const maxSignatures = 100

/** The chain from the leaf to the root, or undefined. */
export function verifyChain(
  root: Certificate,
  intermediates: readonly Certificate[],
  leaf: Certificate,
  options: VerifyOptions,
): readonly Certificate[] | undefined {
  if (!isInForce(leaf, options) || !standsFor(leaf, options.dnsName)) return undefined
  const chains = equalBytes(leaf.raw, root.raw)
    ? [[leaf]]
    : chainsOf([leaf], root, intermediates, options, { left: maxSignatures })
  return chains.find((chain) => isAcceptable(chain, options))
}

function chainsOf(
  chain: readonly Certificate[],
  root: Certificate,
  intermediates: readonly Certificate[],
  options: VerifyOptions,
  budget: { left: number },
): readonly (readonly Certificate[])[] {
  const last = chain[chain.length - 1]!
  const ends = mayFollow(last, root, chain, options, budget) ? [[...chain, root]] : []
  const longer = intermediates
    .filter((one) => isCa(one) && mayFollow(last, one, chain, options, budget))
    .flatMap((one) => chainsOf([...chain, one], root, intermediates, options, budget))
  return [...ends, ...longer]
}

/** Is `issuer` the one that signed the last of the chain? */
function mayFollow(
  last: Certificate,
  issuer: Certificate,
  chain: readonly Certificate[],
  options: VerifyOptions,
  budget: { left: number },
): boolean {
  if (!equalBytes(last.rawIssuer, issuer.rawSubject) || chain.some((one) => isSame(one, issuer))) return false
  if (!isInForce(issuer, options)) return false
  const { basicConstraints: constraints } = issuer.meaning
  const below = chain.length - 1
  if (constraints?.maxPathLength !== undefined && below > constraints.maxPathLength) return false
  return budget.left-- > 0 && isSignedBy(last, issuer)
}

function isInForce({ meaning, notBefore, notAfter }: Certificate, { nowSeconds }: VerifyOptions): boolean {
  return meaning.unhandledCritical.length === 0 && nowSeconds >= notBefore.seconds && nowSeconds <= notAfter.seconds
}

const isCa = ({ meaning }: Certificate): boolean => meaning.basicConstraints?.isCa === true

const certSign = 1 << 5

/** Only authorities may sign (RFC 5280 section 4.2.1.9); SHA-1 and MD5 are not believed. */
export function isSignedBy(certificate: Certificate, issuer: Certificate): boolean {
  const { basicConstraints, keyUsage } = issuer.meaning
  if (basicConstraints ? !basicConstraints.isCa : issuer.version === 3) return false
  if (keyUsage !== 0 && (keyUsage & certSign) === 0) return false
  const { publicKey: key } = issuer
  const { rawTbs, signature, signatureAlgorithm } = certificate
  const { kind, hash } = signatureAlgorithm
  if (key.kind === 'ed25519') return kind === 'ed25519' && verifyEd25519(key.bytes, rawTbs, signature)
  if (!hash || hash === 'sha1') return false
  if (key.kind === 'rsa' && kind === 'pkcs1') return verifyPkcs1(key, hash, rawTbs, signature)
  if (key.kind === 'rsa' && kind === 'pss') return verifyPss(key, hash, rawTbs, signature, 'digest')
  if (key.kind !== 'ec' || kind !== 'ec') return false
  const pair = readEcdsa(signature)
  return pair !== undefined && verifyEcdsa(key, hashes[hash](rawTbs), ...pair)
}

/** Ecdsa-Sig-Value (RFC 3279 section 2.2.3). */
function readEcdsa(signature: Uint8Array): readonly [bigint, bigint] | undefined {
  try {
    const outer = new DerReader(signature, 'ECDSA signature')
    const der = outer.sequence()
    const pair = [der.integer(), der.integer()] as const
    return der.empty && outer.empty ? pair : undefined
  } catch (thrown) {
    if (thrown instanceof BuiltinError) return undefined
    throw thrown
  }
}

/** The same subject with the same key and names, whoever signed it: such a one would lead in a circle. */
function isSame(a: Certificate, b: Certificate): boolean {
  return (
    equalBytes(a.rawSubject, b.rawSubject) &&
    equalBytes(a.rawKey, b.rawKey) &&
    equalBytes(extensionValue(a, extensionOid.alternativeNames), extensionValue(b, extensionOid.alternativeNames))
  )
}

const extensionValue = ({ extensions }: Certificate, oid: string): Uint8Array =>
  extensions.find(({ id }) => oidText(id) === oid)?.value ?? new Uint8Array()

/** What only a whole chain tells. */
function isAcceptable(chain: readonly Certificate[], { keyUsages }: VerifyOptions): boolean {
  return !asksForPolicies(chain) && allowsUsage(chain, keyUsages) && keepsAllConstraints(chain)
}

function asksForPolicies(chain: readonly Certificate[]): boolean {
  // The root's own policies do not count (RFC 5280 section 6.1.1).
  return chain
    .slice(0, -1)
    .some(({ meaning }) => meaning.requireExplicitPolicy !== undefined || meaning.policyMappings.length > 0)
}

function allowsUsage(chain: readonly Certificate[], asked: readonly number[]): boolean {
  if (asked.includes(anyUsage)) return true
  const wanted = asked.length === 0 ? [serverAuth] : asked
  return wanted.some((usage) =>
    chain.every(({ meaning: { extKeyUsage, unknownExtKeyUsage } }) => {
      if (extKeyUsage.length + unknownExtKeyUsage.length === 0) return true
      return extKeyUsage.includes(anyUsage) || extKeyUsage.includes(usage)
    }),
  )
}

/** An authority's constraints bind the names of all below it. */
function keepsAllConstraints(chain: readonly Certificate[]): boolean {
  return chain.every((authority, i) => {
    const constraints = authority.meaning.nameConstraints
    if (!constraints) return true
    return chain
      .slice(0, i)
      .every(({ meaning }) => keepsConstraints(meaning.alternativeNames, { ...constraints, whole: true }))
  })
}

function standsFor({ meaning: { alternativeNames } }: Certificate, name: string): boolean {
  if (name === '') return true
  const ip = readIp(name.replace(/^\[(.+)\]$/, '$1'))
  if (ip) return alternativeNames.ip.some((one) => isSameIp(one, ip))
  return alternativeNames.dns.some((dns) => matchesHost(dns, name))
}
