/** Sends messages by chance to all readers and counts the ways in which they differ. */

import { makeMessage } from '../fuzz/generate.ts'
import { seeded } from '../fuzz/random.ts'
import { type Difference, differences, type Readings } from './classes.ts'
import { type ReaderName, type Readers, readerNames } from './readers.ts'

export interface Class {
  readonly kind: Difference['kind']
  readonly text: string
  count: number
  /** The first message of it, as base64. */
  readonly example: string
}

export interface Differential {
  readonly sent: number
  /** Messages that all readers took alike, all of them. */
  readonly alike: number
  readonly classes: readonly Class[]
}

/** A second message behind each: whoever takes its bytes for something else reads the boundary elsewhere. */
const canary = 'GET /canary HTTP/1.1\r\nHost: orders\r\nConnection: close\r\n\r\n'

export async function runDifferential(readers: Readers, count: number, seed: number): Promise<Differential> {
  const random = seeded(seed)
  const classes = new Map<string, Class>()
  let sent = 0
  let alike = 0
  const worker = async (): Promise<void> => {
    while (sent < count) {
      sent++
      const bytes = Buffer.from(makeMessage(random) + canary, 'latin1')
      const read = await Promise.all(readerNames.map(async (name) => [name, await readers[name](bytes)] as const))
      const found = differences(bytes, Object.fromEntries(read) as Record<ReaderName, Readings[ReaderName]>)
      if (found.length === 0) alike++
      for (const { kind, text } of found) {
        const key = kind === 'danger' ? `${kind} ${bytes.toString('base64')}` : `${kind} ${text}`
        const known = classes.get(key)
        if (known) known.count++
        else classes.set(key, { kind, text, count: 1, example: bytes.toString('base64') })
      }
    }
  }
  await Promise.all(Array.from({ length: 32 }, worker))
  return { sent, alike, classes: [...classes.values()].sort((a, b) => b.count - a.count) }
}
