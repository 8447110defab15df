/** SHA-256 by the machine's one call: as text it makes no object, which for a node of a tree takes longer than hashing it. */

import { hash } from 'node:crypto'
import type { QuickSha256 } from '../log/merkle.ts'

/** Node's own, which its types leave out: text of bytes is the quickest form that a hash is given in. */
type BytesText = (data: Uint8Array, encoding: 'latin1') => string
const bytesText = (data: Uint8Array): string =>
  (hash as unknown as (name: string, ...rest: Parameters<BytesText>) => string)('sha256', data, 'latin1')

export const quickSha256: QuickSha256 = {
  hex: (bytes) => hash('sha256', bytes, 'hex'),
  into: (bytes, out, at) => {
    const text = bytesText(bytes)
    for (let i = 0; i < text.length; i++) out[at + i] = text.charCodeAt(i)
  },
  text: (bytes) => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('hex'),
}
