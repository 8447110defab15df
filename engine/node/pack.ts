/** Packs files as a .tar.gz whose bytes follow from their names and content alone: no clock, owner, order or zlib. */

import { crc32 } from 'node:zlib'
import { createTar } from 'nanotar'
import { concat } from '../../core/bytes.ts'
import type { TarFile } from '../tar.ts'

export function pack(files: readonly TarFile[]): Uint8Array {
  const sorted = [...files].sort((a, b) => (a.name < b.name ? -1 : 1))
  const attrs = { mtime: 0, uid: 0, gid: 0, user: '', group: '', mode: '644' }
  // OPA finds the module that a manifest names by `/policy.wasm` only under just that name, and writes all names so.
  // An archive ends with two empty blocks (POSIX ustar), which nanotar leaves out where the content fills its last 10 KiB.
  const tar = createTar(
    sorted.map(({ name, bytes }) => ({ name: `/${name}`, data: bytes })),
    { attrs },
  )
  return gzipStored(concat(tar, new Uint8Array(1024)))
}

const maxBlock = 65_535

/**
 * Gzip (RFC 1952) of stored blocks (RFC 1951 section 3.2.4). How well deflate packs differs between versions and
 * processors; that a bundle built elsewhere has the same digest is worth more than its length.
 */
export function gzipStored(bytes: Uint8Array): Uint8Array {
  const blocks: Uint8Array[] = [Uint8Array.of(0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255)] // No time, no name, no known system.
  for (let at = 0; at === 0 || at < bytes.length; at += maxBlock) {
    const block = bytes.subarray(at, at + maxBlock)
    const last = at + maxBlock >= bytes.length ? 1 : 0
    const length = block.length
    blocks.push(Uint8Array.of(last, length & 255, length >> 8, ~length & 255, (~length >> 8) & 255), block)
  }
  const end = new DataView(new ArrayBuffer(8))
  end.setUint32(0, crc32(bytes), true)
  end.setUint32(4, bytes.length, true)
  return concat(...blocks, new Uint8Array(end.buffer))
}
