/** Addresses as certificates hold them: four bytes or sixteen. */

import { type Address, formatAddress, parseAddress, plain } from '../net/address.ts'
import { fromBytes, toBytes } from '../signature/rsa.ts'

/** Undefined where the text is no address. */
export function readIp(text: string): Uint8Array | undefined {
  const address = parseAddress(text)
  return address && toBytes(address.value, address.bits / 8)
}

export const ipText = (bytes: Uint8Array): string => formatAddress(addressOf(bytes))

/** The same address, though one may be IPv4 within IPv6. */
export function isSameIp(a: Uint8Array, b: Uint8Array): boolean {
  const [x, y] = [plain(addressOf(a)), plain(addressOf(b))]
  return x.bits === y.bits && x.value === y.value
}

const addressOf = (bytes: Uint8Array): Address => ({ value: fromBytes(bytes), bits: bytes.length === 4 ? 32 : 128 })
