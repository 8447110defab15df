/**
 * Sums of earlier reports, in a folder beside the log. Each file is signed by the key that signs reports, under its own
 * name: who could change one unseen could as well sign a report. What does not hold is as good as not there.
 */

import { createHash } from 'node:crypto'
import { readdir, readFile, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { gunzipSync, gzipSync } from 'node:zlib'
import { utf8 } from '../../../core/bytes.ts'
import type { Json } from '../../../core/json.ts'
import { isMissing, makeFolder, writeWhole } from '../../node/durable.ts'
import { type Ed25519Key, verifyEd25519 } from '../../node/ed25519.ts'
import type { KeptSums } from '../kept.ts'

/** Ways of counting (checks, scope, declared inputs) whose sums stay; of more, those go that were made longest ago. */
const maxPlans = 8
const maxFileBytes = 256 * 1024 ** 2
const signatureBytes = 64

export async function openKept(dir: string, key: Ed25519Key): Promise<KeptSums> {
  await makeFolder(dir, 0o700)
  const made = new Set<string>()
  return {
    read: async (name) => {
      const file = await bounded(join(dir, name))
      if (!file || file.length <= signatureBytes) return undefined
      const body = file.subarray(signatureBytes)
      if (!verifyEd25519(key.publicKey, message(name, body), file.subarray(0, signatureBytes))) return undefined
      return JSON.parse(gunzipSync(body).toString()) as Json
    },
    write: async (name, value) => {
      const body = gzipSync(JSON.stringify(value), { level: 1 })
      const path = join(dir, name)
      const folder = dirname(path)
      if (!made.has(folder)) {
        await makeFolder(folder, 0o700)
        made.add(folder)
        if (folder !== dir) await forget(dirname(folder), maxPlans)
      }
      await writeWhole(path, Buffer.concat([key.sign(message(name, body)), body]), 0o600)
    },
  }
}

const message = (name: string, body: Uint8Array): Uint8Array =>
  utf8(`writ report sums\n${name}\n${createHash('sha256').update(body).digest('hex')}\n`)

async function bounded(path: string): Promise<Uint8Array | undefined> {
  try {
    return (await stat(path)).size <= maxFileBytes ? await readFile(path) : undefined
  } catch (thrown) {
    if (isMissing(thrown)) return undefined
    throw thrown
  }
}

/** All but the newest of the folders below. */
async function forget(dir: string, most: number): Promise<void> {
  const names = await readdir(dir)
  if (names.length <= most) return
  const aged = await Promise.all(names.map(async (name) => ({ name, at: (await stat(join(dir, name))).mtimeMs })))
  aged.sort((a, b) => b.at - a.at)
  for (const { name } of aged.slice(most)) await rm(join(dir, name), { recursive: true, force: true })
}
