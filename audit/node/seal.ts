/**
 * Seals disclosures under a key for each subject and day, which is made here and given to the vault. The key never goes the
 * way of the records: whatever copies of those are left, they are closed for good once the vault has destroyed it.
 */

import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import { utf8 } from '../../core/bytes.ts'
import { messageOf } from '../../core/fault.ts'
import type { Disclosures } from '../../core/personal.ts'
import type { KeyVault } from '../../core/ports.ts'
import type { OnNotice } from '../stream/notice.ts'
import { maxBesideBytes } from './spool-frame.ts'

/** Subjects whose key is remembered, and keys that wait for the vault. Beyond them a subject gets another key, or none. */
const maxSubjects = 10_000
const maxPending = 10_000
const retryMs = 1000

interface Key {
  readonly id: string
  readonly subject: string
  readonly day: string
  readonly key: Uint8Array
}

export interface Sealer {
  seal(disclosures: Disclosures): Uint8Array | undefined
  /** Tries once more to give the vault what it lacks. */
  close(): Promise<void>
}

export function openSealer(vault: KeyVault, nowMs: () => number, onNotice: OnNotice): Sealer {
  const keys = new Map<string, Key>()
  const pending = new Map<string, Key>()
  let giving: Promise<void> | undefined
  let timer: NodeJS.Timeout | undefined
  let failing = false

  const give = async (): Promise<void> => {
    for (const key of pending.values()) {
      try {
        await vault.put({ id: key.id, subject: key.subject, key: key.key })
        pending.delete(key.id)
        failing = false
      } catch (thrown) {
        if (!failing) onNotice({ name: 'vault_unavailable', level: 'warn', detail: messageOf(thrown) })
        failing = true
        timer ??= setTimeout(() => {
          timer = undefined
          start()
        }, retryMs).unref()
        return
      }
    }
  }
  const start = (): Promise<void> => {
    giving ??= give().finally(() => {
      giving = undefined
    })
    return giving
  }

  const keyOf = (subject: string): Key | undefined => {
    const day = new Date(nowMs()).toISOString().slice(0, 10)
    const known = keys.get(subject)
    if (known?.day === day) return known
    if (pending.size >= maxPending) return undefined
    const key = { id: randomBytes(16).toString('hex'), subject, day, key: new Uint8Array(randomBytes(32)) }
    keys.delete(subject)
    if (keys.size >= maxSubjects) keys.delete(keys.keys().next().value!)
    keys.set(subject, key)
    pending.set(key.id, key)
    void start()
    return key
  }

  return {
    seal({ subject, texts }) {
      if (texts.length === 0) return undefined
      const key = keyOf(subject ?? `day:${new Date(nowMs()).toISOString().slice(0, 10)}`)
      if (!key) return undefined
      const beside = utf8(JSON.stringify({ k: key.id, d: encrypt(key.key, utf8(JSON.stringify(texts)), key.id) }))
      return beside.length <= maxBesideBytes ? beside : undefined
    },
    async close() {
      clearTimeout(timer)
      await start()
      if (pending.size === 0) return
      const detail = `${pending.size} keys did not reach the vault: nobody will read what they sealed`
      onNotice({ name: 'vault_unavailable', level: 'error', detail })
    },
  }
}

/** AES-256-GCM: 12 bytes of nonce, the text, 16 bytes of tag; `about` is authenticated with it. */
export function encrypt(key: Uint8Array, text: Uint8Array, about: string): string {
  const nonce = randomBytes(12)
  const cipher = createCipheriv('aes-256-gcm', key, nonce)
  cipher.setAAD(utf8(about))
  return Buffer.concat([nonce, cipher.update(text), cipher.final(), cipher.getAuthTag()]).toString('base64url')
}

/** Undefined where the key is another, or a bit is. */
export function decrypt(key: Uint8Array, sealed: string, about: string): Uint8Array | undefined {
  const bytes = Buffer.from(sealed, 'base64url')
  if (bytes.length < 28) return undefined
  const cipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(0, 12))
  cipher.setAAD(utf8(about))
  cipher.setAuthTag(bytes.subarray(-16))
  try {
    return new Uint8Array(Buffer.concat([cipher.update(bytes.subarray(12, -16)), cipher.final()]))
  } catch {
    return undefined
  }
}
