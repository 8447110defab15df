/** The vault of this process's disclosures: keys in its state folder, the key over them from the environment or a file beside. */

import { randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { isMissing, writeWhole } from '../../audit/node/durable.ts'
import { openVault, type Vault } from '../../audit/node/vault.ts'
import { WritError } from '../../core/fault.ts'

/** 64 hex digits. Better there than in a file beside the keys, which whoever copies the folder copies too. */
const variable = 'WRIT_DISCLOSURE_KEY'

export async function openDisclosureVault(root: string): Promise<Vault> {
  return openVault(join(root, 'disclosure-keys'), await keyOf(join(root, 'disclosure.key')))
}

async function keyOf(file: string): Promise<Uint8Array> {
  const given = process.env[variable]
  if (given !== undefined) return read(given, variable)
  try {
    return read(await readFile(file, 'utf8'), file)
  } catch (thrown) {
    if (!isMissing(thrown)) throw thrown
  }
  const made = randomBytes(32)
  await writeWhole(file, `${made.toString('hex')}\n`, 0o600)
  return new Uint8Array(made)
}

function read(text: string, from: string): Uint8Array {
  if (/^[0-9a-f]{64}\n?$/.test(text)) return new Uint8Array(Buffer.from(text.trim(), 'hex'))
  throw new WritError('config_invalid', `${from} is not 64 hex digits`, { cure: 'make it with: openssl rand -hex 32' })
}
