/**
 * Time stamps (RFC 3161): what is asked of an authority, and what its answer says. Whether the authority signed it is
 * for openssl to tell (`openssl ts -verify`), with a certificate that the reader has reason to trust.
 */

import forge from 'node-forge'
import { concat, equalBytes } from '../../core/bytes.ts'

/** An answer takes 1.5 KB, with a chain of certificates a few more. */
export const maxTokenBytes: number = 64 * 1024

/** TimeStampReq: version 1, SHA-256 imprint, a nonce of eight bytes, and the wish for the certificate. */
export function timestampRequest(imprint: Uint8Array, nonce: Uint8Array): Uint8Array {
  const sha256Id = [0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00]
  const message = concat(Uint8Array.from(sha256Id), Uint8Array.of(0x04, 32), imprint)
  const body = concat(
    Uint8Array.of(0x02, 0x01, 0x01, 0x30, message.length),
    message,
    Uint8Array.of(0x02, 0x08),
    positive(nonce),
    Uint8Array.of(0x01, 0x01, 0xff),
  )
  return concat(Uint8Array.of(0x30, body.length), body)
}

/** Eight bytes that DER takes for a positive number as they are. */
export const positive = (nonce: Uint8Array): Uint8Array =>
  nonce.slice(0, 8).map((byte, i) => (i === 0 ? (byte & 0x3f) | 0x40 : byte))

export interface Timestamp {
  /** SHA-256 of what was stamped. */
  readonly imprint: Uint8Array
  /** As the authority wrote it: `20270115080000Z`. */
  readonly time: string
  readonly nonce: Uint8Array | undefined
}

/** What a TimeStampResp says, or why it is none. Never throws. */
export function readTimestamp(response: Uint8Array): Timestamp | { readonly wrong: string } {
  if (response.length > maxTokenBytes) return { wrong: `more than ${maxTokenBytes} bytes` }
  try {
    const { asn1 } = forge
    const [status, token] = childrenOf(asn1.fromDer(binary(response)))
    const granted = numberOf(childrenOf(status)[0])
    if (granted !== 0 && granted !== 1) return { wrong: `the authority refused (status ${granted})` }
    const signed = childrenOf(childrenOf(token)[1])[0]
    const [type, content] = childrenOf(childrenOf(signed)[2])
    if (asn1.derToOid(textOf(type)) !== '1.2.840.113549.1.9.16.1.4') return { wrong: 'it holds no time stamp' }
    const info = childrenOf(asn1.fromDer(textOf(childrenOf(content)[0])))
    const [algorithm, imprint] = childrenOf(info[2])
    if (asn1.derToOid(textOf(childrenOf(algorithm)[0])) !== '2.16.840.1.101.3.4.2.1') {
      return { wrong: 'its imprint is not by SHA-256' }
    }
    const time = textOf(info[4])
    if (!/^\d{14}(?:\.\d{1,9})?Z$/.test(time)) return { wrong: 'it has no time' }
    const nonce = info
      .slice(5)
      .find(({ tagClass, type }) => tagClass === asn1.Class.UNIVERSAL && type === asn1.Type.INTEGER)
    return { imprint: bytesOf(textOf(imprint)), time, nonce: nonce && bytesOf(textOf(nonce)) }
  } catch {
    return { wrong: 'not a time stamp response' }
  }
}

/** Undefined where the response stamps exactly this; else why it does not. */
export function timestampFault(response: Uint8Array, imprint: Uint8Array, nonce?: Uint8Array): string | undefined {
  const read = readTimestamp(response)
  if ('wrong' in read) return read.wrong
  if (!equalBytes(read.imprint, imprint)) return 'it is of something else'
  if (nonce && !(read.nonce && equalBytes(read.nonce, positive(nonce)))) return 'it answers another request'
  return undefined
}

function childrenOf(node: forge.asn1.Asn1 | undefined): readonly forge.asn1.Asn1[] {
  if (!Array.isArray(node?.value)) throw new TypeError('not a structure')
  return node.value
}

function textOf(node: forge.asn1.Asn1 | undefined): string {
  if (typeof node?.value !== 'string') throw new TypeError('not a value')
  return node.value
}

const numberOf = (node: forge.asn1.Asn1 | undefined): number => {
  const text = textOf(node)
  return text.length === 1 ? text.charCodeAt(0) : -1
}

const binary = (bytes: Uint8Array): string => Buffer.from(bytes).toString('binary')
const bytesOf = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, 'binary'))
