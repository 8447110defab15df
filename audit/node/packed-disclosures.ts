/** Disclosures as gzipped lines of JSON: how archives and backups keep them. */

import { promisify } from 'node:util'
import { gunzip, gzip } from 'node:zlib'
import { utf8 } from '../../core/bytes.ts'
import { formatDisclosures, parseDisclosures, type RecordDisclosure } from '../store/disclosures-again.ts'

const packed = promisify(gzip)
const unpacked = promisify(gunzip)

export const packDisclosures = (rows: readonly RecordDisclosure[]): Promise<Uint8Array> =>
  packed(utf8(formatDisclosures(rows)))

/** Of what a stranger may have made; undefined where it is none, or becomes more than `limit` bytes. */
export async function unpackDisclosures(
  bytes: Uint8Array,
  limit: number,
): Promise<readonly RecordDisclosure[] | undefined> {
  const text = await unpacked(bytes, { maxOutputLength: limit }).catch(() => undefined)
  return text && parseDisclosures(text)
}
