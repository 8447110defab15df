/** CRC-32C (Castagnoli, RFC 3720 appendix B.4), sixteen bytes at a time: guards the spool against torn and rotten bytes. */

/** CRC of `bytes[from, to)`, as an unsigned 32-bit number. */
export function crc32c(bytes: Uint8Array, from: number, to: number): number {
  let crc = -1
  let i = from
  for (const last = to - 16; i <= last; i += 16) {
    crc ^= bytes[i]! | (bytes[i + 1]! << 8) | (bytes[i + 2]! << 16) | (bytes[i + 3]! << 24)
    crc =
      tables[3840 + (crc & 255)]! ^
      tables[3584 + ((crc >>> 8) & 255)]! ^
      tables[3328 + ((crc >>> 16) & 255)]! ^
      tables[3072 + (crc >>> 24)]! ^
      tables[2816 + bytes[i + 4]!]! ^
      tables[2560 + bytes[i + 5]!]! ^
      tables[2304 + bytes[i + 6]!]! ^
      tables[2048 + bytes[i + 7]!]! ^
      tables[1792 + bytes[i + 8]!]! ^
      tables[1536 + bytes[i + 9]!]! ^
      tables[1280 + bytes[i + 10]!]! ^
      tables[1024 + bytes[i + 11]!]! ^
      tables[768 + bytes[i + 12]!]! ^
      tables[512 + bytes[i + 13]!]! ^
      tables[256 + bytes[i + 14]!]! ^
      tables[bytes[i + 15]!]!
  }
  for (; i < to; i++) crc = tables[(crc ^ bytes[i]!) & 255]! ^ (crc >>> 8)
  return ~crc >>> 0
}

/** Table k, at 256k, advances a byte over k further zero bytes. */
const tables: Int32Array = makeTables()

function makeTables(): Int32Array {
  const made = new Int32Array(16 * 256)
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1
    made[byte] = crc
  }
  for (let i = 256; i < made.length; i++) made[i] = (made[i - 256]! >>> 8) ^ made[made[i - 256]! & 255]!
  return made
}
