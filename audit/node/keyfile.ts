/** A private key in a file that its owner alone reads, made when it is not there. */

import { readFile, stat } from 'node:fs/promises'
import { WritError } from '../../core/fault.ts'
import { writeWhole } from './durable.ts'
import { type Ed25519Key, newEd25519Pem, readEd25519Pem } from './ed25519.ts'

export async function openKeyFile(path: string): Promise<Ed25519Key> {
  const found = await stat(path).catch(() => undefined)
  if (!found) {
    await writeWhole(path, newEd25519Pem(), 0o600)
  } else if ((found.mode & 0o077) !== 0) {
    throw new WritError('config_invalid', `${path} can be read by others than its owner`, { cure: `chmod 600 ${path}` })
  }
  const key = readEd25519Pem(await readFile(path, 'utf8'))
  if (key) return key
  throw new WritError('config_invalid', `${path} holds no Ed25519 private key`, { cure: 'restore it from a copy' })
}
