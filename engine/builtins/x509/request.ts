/** A certificate signing request (RFC 2986), read as Go's crypto/x509 reads it. */

import { toBase64 } from '../../../core/bytes.ts'
import type { RegoObject, Value } from '../../value.ts'
import { BuiltinError } from '../builtin.ts'
import { object } from '../object.ts'
import { rightAligned } from './certificate.ts'
import type { AlternativeNames } from './constraints.ts'
import { contextTagWithin, DerReader, type Element, oidText, tags } from './der.ts'
import { type Extension, extensionOid, noNames, readAlternativeNames, readExtension } from './extensions.ts'
import { type PublicKey, readAlgorithm, readPublicKey, readSignatureAlgorithm, type SignatureAlgorithm } from './key.ts'
import { type Attribute, readName } from './name.ts'

export interface CertificateRequest {
  readonly version: number
  readonly raw: Uint8Array
  readonly rawTbs: Uint8Array
  readonly rawKey: Uint8Array
  readonly rawSubject: Uint8Array
  readonly signature: Uint8Array
  readonly signatureAlgorithm: SignatureAlgorithm
  readonly publicKey: PublicKey
  readonly subject: readonly Attribute[]
  /** As policies see them. */
  readonly attributes: readonly Value[]
  readonly extensions: readonly Extension[]
  readonly alternativeNames: AlternativeNames
}

export function readRequest(der: Uint8Array): CertificateRequest {
  const outer = new DerReader(der, 'certificate request')
  const raw = outer.element(tags.sequence)
  outer.end()
  const whole = new DerReader(raw.content, 'certificate request')
  const tbs = whole.element(tags.sequence)
  const body = new DerReader(tbs.content, 'certificate request')
  const version = body.small()
  const rawSubject = body.element(tags.sequence).whole
  const rawKey = body.element(tags.sequence).whole
  const attributes = elements(body.read(contextTagWithin(0)))
  const algorithm = readAlgorithm(whole.sequence())
  const extensions = requestedExtensions(attributes)
  const names = extensions.find(({ id }) => oidText(id) === extensionOid.alternativeNames)
  return {
    version,
    raw: raw.whole,
    rawTbs: tbs.whole,
    rawKey,
    rawSubject,
    signature: rightAligned(whole),
    signatureAlgorithm: readSignatureAlgorithm(algorithm),
    publicKey: readPublicKey(rawKey),
    subject: readName(rawSubject),
    attributes: attributes.flatMap((attribute) => attributeShape(attribute) ?? []),
    extensions,
    alternativeNames: names ? readAlternativeNames(names.value) : noNames,
  }
}

function elements(content: Uint8Array): readonly Element[] {
  const der = new DerReader(content, 'attributes')
  const found: Element[] = []
  while (!der.empty) found.push(der.any())
  return found
}

/** Id and values of an attribute; undefined where it has another form. */
function readAttribute({ content }: Element): { readonly id: string; readonly values: readonly Element[] } | undefined {
  return orUndefined(() => {
    const der = new DerReader(content, 'attribute')
    const id = oidText(der.oid())
    const values = elements(der.read(tags.set))
    der.end()
    return { id, values }
  })
}

/** Those that the first value of each extension request holds (RFC 2985 section 5.4.2). */
function requestedExtensions(attributes: readonly Element[]): readonly Extension[] {
  const extensions = attributes.flatMap((attribute) => {
    const { id, values } = readAttribute(attribute) ?? {}
    const first = id === '1.2.840.113549.1.9.14' ? values?.[0] : undefined
    return first ? elements(first.content).map(({ content }) => readExtension(new DerReader(content, 'extension'))) : []
  })
  if (new Set(extensions.map(({ id }) => oidText(id))).size < extensions.length) {
    throw new BuiltinError('x509: certificate request contains duplicate requested extensions')
  }
  return extensions
}

/** Only attributes whose values are lists of types and values have a place in Go's struct. */
function attributeShape({ content }: Element): RegoObject | undefined {
  return orUndefined(() => {
    const der = new DerReader(content, 'attribute')
    const type = der.oid()
    const values = elements(der.read(tags.set)).map(({ tag, content: pairs }) => {
      if (tag !== tags.sequence) throw der.malformed()
      return elements(pairs).map(({ content: pair }) => pairShape(new DerReader(pair, 'attribute')))
    })
    der.end()
    return object({ Type: [...type], Value: values })
  })
}

/** Go takes what comes first after the type for the value: of an extension that is critical, whether it is. */
function pairShape(der: DerReader): RegoObject {
  const type = der.oid()
  return object({ Type: [...type], Value: anyShape(der.any()) })
}

function anyShape({ tag, content }: Element): Value {
  switch (tag) {
    case tags.boolean:
      return content[0] !== 0
    case tags.octetString:
      return toBase64(content)
    case tags.utf8String:
    case tags.printableString:
    case tags.ia5String:
    case tags.numericString:
      return new TextDecoder().decode(content)
    default:
      return null
  }
}

function orUndefined<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch (thrown) {
    if (thrown instanceof BuiltinError) return undefined
    throw thrown
  }
}
