/**
 * Keys of disclosures in a folder, each a file, wrapped by a key-encryption key that lies elsewhere. Files stand below a
 * digest of their subject, which only the holder of that key can compute: so a subject's keys are found and destroyed.
 */

import { createHmac, hkdfSync } from 'node:crypto'
import { open, readdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { utf8 } from '../../core/bytes.ts'
import { WritError } from '../../core/fault.ts'
import type { KeyVault } from '../../core/ports.ts'
import { isMissing, makeFolder, syncFolder, writeWhole } from './durable.ts'
import { decrypt, encrypt } from './seal.ts'

export interface Vault extends KeyVault {
  /** The digest that stands for a subject, and the names of its keys. */
  find(subject: string): Promise<{ readonly blind: string; readonly keys: readonly string[] }>
  get(id: string): Promise<Uint8Array | undefined>
  /** Overwrites and removes the keys of a subject. Resolves once the disk has forgotten their names. */
  destroy(blind: string): Promise<void>
}

const idShape = /^[0-9a-f]{32}$/
const blindShape = /^[0-9a-f]{64}$/

/** `kek` is 32 random bytes. */
export async function openVault(dir: string, kek: Uint8Array): Promise<Vault> {
  if (kek.length !== 32) throw new WritError('config_invalid', 'the key-encryption key of disclosures is not 32 bytes')
  await makeFolder(dir, 0o700)
  const wrapping = new Uint8Array(hkdfSync('sha256', kek, '', 'writ disclosures wrap', 32))
  const blinding = new Uint8Array(hkdfSync('sha256', kek, '', 'writ disclosures blind', 32))
  const blindOf = (subject: string): string => createHmac('sha256', blinding).update(subject).digest('hex')
  const namesIn = async (path: string): Promise<readonly string[]> => {
    try {
      return await readdir(path)
    } catch (thrown) {
      if (isMissing(thrown)) return []
      throw thrown
    }
  }
  /** Where each key lies. */
  const places = new Map<string, string>()
  for (const blind of await namesIn(dir)) {
    if (blindShape.test(blind)) for (const id of await namesIn(join(dir, blind))) places.set(id, blind)
  }
  return {
    async put({ id, subject, key }) {
      if (!idShape.test(id) || key.length !== 32) throw new WritError('usage', 'that is no key of a disclosure')
      const blind = blindOf(subject)
      if (places.has(id)) return // It comes again where the answer was lost; a name is random, so it is the same key.
      await makeFolder(join(dir, blind), 0o700)
      await writeWhole(join(dir, blind, id), encrypt(wrapping, key, id), 0o600)
      await syncFolder(join(dir, blind))
      places.set(id, blind)
    },
    async find(subject) {
      const blind = blindOf(subject)
      return { blind, keys: (await namesIn(join(dir, blind))).filter((name) => idShape.test(name)) }
    },
    async get(id) {
      const blind = places.get(id)
      if (blind === undefined) return undefined
      try {
        return decrypt(wrapping, await readFile(join(dir, blind, id), 'utf8'), id)
      } catch (thrown) {
        if (isMissing(thrown)) return undefined
        throw thrown
      }
    },
    async destroy(blind) {
      if (!blindShape.test(blind)) throw new WritError('usage', 'that is no subject')
      const path = join(dir, blind)
      for (const name of await namesIn(path)) {
        const file = await open(join(path, name), 'r+')
        try {
          await file.write(utf8('0'.repeat((await file.stat()).size)), 0, undefined, 0)
          await file.sync()
        } finally {
          await file.close()
        }
        places.delete(name)
      }
      await rm(path, { recursive: true, force: true })
      await syncFolder(dir)
    },
  }
}
