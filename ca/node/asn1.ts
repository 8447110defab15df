/** Nodes of DER as node-forge encodes them. Nothing from outside is parsed here. */

import forge from 'node-forge'

const asn1 = forge.asn1
const Class = asn1.Class
export const Type: typeof forge.asn1.Type = asn1.Type

export type Node = forge.asn1.Asn1

export const binary = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1')
export const node = (type: forge.asn1.Type, value: string): Node => asn1.create(Class.UNIVERSAL, type, false, value)
export const sequence = (...items: Node[]): Node => asn1.create(Class.UNIVERSAL, Type.SEQUENCE, true, items)
export const tagged = (number: number, ...items: Node[]): Node =>
  asn1.create(Class.CONTEXT_SPECIFIC, number, true, items)
export const taggedText = (number: number, text: string): Node =>
  asn1.create(Class.CONTEXT_SPECIFIC, number, false, text)
export const oid = (dotted: string): Node => node(Type.OID, asn1.oidToDer(dotted).getBytes())
export const octets = (value: string): Node => node(Type.OCTETSTRING, value)
export const bits = (unused: number, value: string): Node => node(Type.BITSTRING, String.fromCharCode(unused) + value)
export const encode = (value: Node): string => asn1.toDer(value).getBytes()
/** Encoded bytes of our own, in a place where a node is wanted. */
export const raw = (der: Uint8Array): Node => asn1.fromDer(binary(der), { decodeBitStrings: false } as never)
export const setOf = (...items: Node[]): Node => asn1.create(Class.UNIVERSAL, Type.SET, true, items)
export const bytesOf = (value: Node): Uint8Array => new Uint8Array(Buffer.from(encode(value), 'latin1'))
