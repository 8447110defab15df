/**
 * Certificates of gateways, out of a folder: `<dir>/<name>/tls.crt`, `tls.key` and `ca.crt`, as Kubernetes mounts Secrets
 * and ConfigMaps and as certificate tools write them. What changes there is taken within a second or two.
 */

import { closeSync, fstatSync, openSync, readSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { createSecureContext } from 'node:tls'
import { messageOf } from '../../core/fault.ts'
import type { Certificates } from '../../core/ports.ts'
import type { ProxyEvent } from './listener.ts'

export interface CertificatesOptions {
  readonly dir: string
  readonly onEvent: (event: ProxyEvent) => void
  /** Time between two looks, in milliseconds. Default 1000. */
  readonly everyMs?: number
}

/** Longest file, in bytes; a longer one is not read. */
const maxBytes = 1_048_576

const files = ['tls.crt', 'tls.key', 'ca.crt'] as const

interface Folder {
  /** What its files looked like when they were read. */
  readonly seen: string
  readonly pair: ReturnType<Certificates['serving']>
  readonly roots: string
}

/** A pair that is not whole, or whose key is another's, leaves the last good one in force. Files are read once they are asked for. */
export function openCertificates(options: CertificatesOptions): Certificates & { close(): void } {
  const { dir, onEvent, everyMs = 1000 } = options
  const folders = new Map<string, Folder>()
  const told = new Set<() => void>()

  function read(name: string, seen: string, before: Folder | undefined): Folder {
    const roots = readText(join(dir, name, 'ca.crt')) ?? ''
    const certificates = readText(join(dir, name, 'tls.crt'))
    const key = readText(join(dir, name, 'tls.key'))
    if (certificates === undefined || key === undefined) {
      const gone = before?.pair && 'its files are gone or cannot be read; goes on with those of before'
      if (gone) onEvent({ level: 'warn', from: 'certificates', text: `${name}: ${gone}` })
      return { seen, pair: before?.pair, roots: roots || (before?.roots ?? '') }
    }
    try {
      createSecureContext({ cert: certificates, key, ca: [] })
      return { seen, pair: { certificates, key }, roots }
    } catch (thrown) {
      const then = before?.pair ? 'goes on with the one before' : 'it is not shown'
      onEvent({ level: 'error', from: 'certificates', text: `${name}: ${messageOf(thrown)}; ${then}` })
      return { seen, pair: before?.pair, roots }
    }
  }

  function folder(name: string): Folder {
    const known = folders.get(name)
    if (known) return known
    const first = read(name, lookAt(join(dir, name)), undefined)
    folders.set(name, first)
    return first
  }

  const looking = setInterval(() => {
    let changed = false
    for (const [name, before] of folders) {
      const seen = lookAt(join(dir, name))
      if (seen === before.seen) continue
      const next = read(name, seen, before)
      folders.set(name, next)
      changed ||= next.pair !== before.pair || next.roots !== before.roots
    }
    if (changed) for (const one of told) one()
  }, everyMs)
  looking.unref()

  return {
    serving: (name) => folder(name).pair,
    roots: (name) => folder(name).roots,
    subscribe(changed) {
      told.add(changed)
      return () => told.delete(changed)
    },
    close: () => clearInterval(looking),
  }
}

/** Changes whenever a file is written, replaced or swapped by its link. */
function lookAt(dir: string): string {
  return files
    .map((file) => {
      const stat = statSync(join(dir, file), { throwIfNoEntry: false, bigint: true })
      return stat ? `${stat.ino} ${stat.size} ${stat.mtimeNs}` : ''
    })
    .join('; ')
}

function readText(file: string): string | undefined {
  let opened: number | undefined
  try {
    opened = openSync(file, 'r')
    const { size } = fstatSync(opened)
    if (size > maxBytes) return undefined
    const bytes = Buffer.alloc(size)
    const length = readSync(opened, bytes, 0, size, 0)
    return bytes.toString('utf8', 0, length)
  } catch {
    return undefined
  } finally {
    if (opened !== undefined) closeSync(opened)
  }
}
