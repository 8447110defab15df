/** Writes tar archives by hand, so that a test can write what no tool would. */

import { gzipSync } from 'node:zlib'
import { concat, utf8 } from '../../core/bytes.ts'

export interface Entry {
  readonly name: string
  readonly text?: string
  readonly bytes?: Uint8Array
  /** Type flag. Default a file. */
  readonly type?: string
  /** What stands in the size field. Default the size. */
  readonly size?: string
}

export function tarOf(entries: readonly Entry[]): Uint8Array {
  const parts = entries.flatMap(({ name, text = '', bytes = utf8(text), type = '0', size }) => {
    const header = new Uint8Array(512)
    const write = (value: string, at: number) =>
      header.set(
        [...value].map((char) => char.charCodeAt(0)),
        at,
      )
    write(name, 0)
    write('0000644', 100)
    write(size ?? bytes.length.toString(8).padStart(11, '0'), 124)
    write('        ', 148)
    write(type, 156)
    write('ustar\x0000', 257)
    const sum = header.reduce((total, byte) => total + byte, 0)
    write(`${sum.toString(8).padStart(6, '0')}\0 `, 148)
    return [header, bytes, new Uint8Array((512 - (bytes.length % 512)) % 512)]
  })
  return concat(...parts, new Uint8Array(1024))
}

export const gzipped = (entries: readonly Entry[]): Uint8Array => new Uint8Array(gzipSync(tarOf(entries)))
