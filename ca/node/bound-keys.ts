/** Recovery keys that are bound, in one file that is replaced whole. */

import { isObject } from '../../core/json.ts'
import { parseSpiffeId } from '../../core/spiffe.ts'
import { listIn, readText, replaceText } from './files.ts'
import { type BoundKey, maxBound, type RecoveryStore, tooManyBound } from './recovery.ts'

/** Renewals of many workloads are written together: a crash forgets at most those of this time, in milliseconds. */
const saveEveryMs = 60_000

/** One process has this file at a time. A new key is on disk before anyone hears of it. */
export function fileBoundKeys(path: string, nowMs: () => number): RecoveryStore {
  const keys = load(path)
  let savedMs = 0
  return {
    async find(digest) {
      return keys.get(digest)
    },
    async put(key, forgetMs) {
      const isNew = !keys.has(key.digest)
      if (isNew && keys.size >= maxBound)
        for (const one of keys.values()) if (one.notAfterMs < forgetMs) keys.delete(one.digest)
      if (isNew && keys.size >= maxBound) throw tooManyBound()
      keys.set(key.digest, key)
      if (!isNew && nowMs() - savedMs < saveEveryMs) return
      replaceText(path, `${JSON.stringify([...keys.values()])}\n`)
      savedMs = nowMs()
    },
  }
}

function load(path: string): Map<string, BoundKey> {
  const cure = 'remove the file; workloads whose certificates are over then need tokens'
  const keys = listIn(readText(path) ?? '[]', readKey, { of: 'recovery keys', place: path, cure })
  return new Map(keys.map((key) => [key.digest, key]))
}

function readKey(value: unknown): BoundKey | undefined {
  if (!isObject(value)) return undefined
  const { digest, id: name, registered, serial, notAfterMs } = value
  const id = typeof name === 'string' ? parseSpiffeId(name) : undefined
  if (typeof digest !== 'string' || !id || typeof registered !== 'boolean') return undefined
  return typeof serial === 'string' && typeof notAfterMs === 'number'
    ? { digest, id, registered, serial, notAfterMs }
    : undefined
}
