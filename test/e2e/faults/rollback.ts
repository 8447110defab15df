/** The power is back: undoes what a program had not synced when it went, as powerloss.c noted it, or a random part of that. */

import {
  closeSync,
  existsSync,
  fsyncSync,
  ftruncateSync,
  linkSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import type { Chance } from './chance.ts'

/** The disk loses in whole sectors, and writes them in any order. */
const sectorBytes = 512

export interface Lost {
  /** Changes of files, and of names in folders, that were not synced. */
  readonly changes: number
  readonly names: number
  /** Bytes that files are shorter by now. */
  readonly bytes: number
}

interface Change {
  readonly offset: number
  readonly length: number
  readonly oldSize: number
  readonly old: Uint8Array
}

interface Renaming {
  readonly atNs: bigint
  readonly kind: number
  readonly path: string
  readonly to: string
  readonly kept: string
  readonly keptTo: string
}

/** No process of the program may be alive. What is left afterwards lasts. */
export function losePower(root: string, notes: string, chance: Chance): Lost {
  const names = undoNames(notes, chance)
  const files = filesBelow(root)
  let changes = 0
  let bytes = 0
  for (const name of readdirSync(notes)) {
    if (!name.startsWith('f-')) continue
    const path = files.get(Number(name.slice(2)))
    const list = path === undefined ? [] : changesIn(readFileSync(join(notes, name)))
    if (list.length === 0) continue
    changes += list.length
    bytes += undoChanges(path!, list, chance)
  }
  for (const name of readdirSync(notes)) if (/^[fdk]-/.test(name)) rmSync(join(notes, name))
  return { changes, names, bytes }
}

/** Of each folder a random beginning of what was not synced may have lasted: a journal keeps its order. */
function undoNames(notes: string, chance: Chance): number {
  const gone: Renaming[] = []
  for (const name of readdirSync(notes)) {
    if (!name.startsWith('d-')) continue
    const list = renamingsIn(readFileSync(join(notes, name)))
    const lasting = list.length > 0 && chance.one(0.4) ? chance.below(list.length + 1) : 0
    gone.push(...list.slice(lasting))
  }
  gone.sort((a, b) => (a.atNs < b.atNs ? 1 : -1))
  const back = (kept: string, path: string): void => {
    if (kept !== '' && !existsSync(path)) linkSync(join(notes, kept), path)
  }
  for (const { kind, path, to, kept, keptTo } of gone) {
    try {
      if (kind === 1 || kind === 2) rmSync(path, { recursive: true, force: true })
      if (kind === 3) back(kept, path)
      if (kind === 4) {
        rmSync(to, { force: true })
        if (kept === '' && existsSync(to)) renameSync(to, path)
        back(keptTo, to)
        back(kept, path)
      }
    } catch (thrown) {
      // The folder that a name stood in went as well.
      if ((thrown as NodeJS.ErrnoException).code !== 'ENOENT') throw thrown
    }
  }
  return gone.length
}

/** How many of a file's changes each sector still got; all of them alike, or each its own. */
function undoChanges(path: string, list: readonly Change[], chance: Chance): number {
  const way = chance.below(10)
  const lasting = way < 4 ? 0 : chance.below(list.length + 1)
  const perSector = new Map<number, number>()
  const gotBy = (sector: number): number => {
    if (way < 8) return lasting // None of them, or a beginning.
    let got = perSector.get(sector)
    if (got === undefined) perSector.set(sector, (got = chance.below(list.length + 1)))
    return got
  }
  const fd = openSync(path, 'r+')
  try {
    const before = statSync(path).size
    let size = way < 7 ? (list[lasting]?.oldSize ?? before) : before // Else a length that lasted without its bytes.
    for (let i = list.length - 1; i >= 0; i--) {
      const { offset, length, old } = list[i]!
      const end = offset + Math.max(length, old.length)
      for (let at = offset; at < end; ) {
        const next = Math.min(end, at - (at % sectorBytes) + sectorBytes)
        if (gotBy(Math.floor(at / sectorBytes)) <= i) {
          const bytes = new Uint8Array(next - at) // Zeros where there was nothing.
          bytes.set(old.subarray(Math.min(at - offset, old.length), Math.min(next - offset, old.length)))
          writeSync(fd, bytes, 0, bytes.length, at)
        }
        at = next
      }
    }
    const torn = list[lasting]
    if (way >= 4 && way < 7 && torn && torn.length > 0 && torn.offset === torn.oldSize) {
      size = torn.offset + chance.below(torn.length) // The next one came in part, as zeros.
    }
    ftruncateSync(fd, size)
    fsyncSync(fd)
    return Math.max(before - size, 0)
  } finally {
    closeSync(fd)
  }
}

/** Inode to path. */
function filesBelow(root: string): ReadonlyMap<number, string> {
  const found = new Map<number, string>()
  for (const entry of readdirSync(root, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue
    const path = join(entry.parentPath, entry.name)
    found.set(statSync(path).ino, path)
  }
  return found
}

/** Entries after those that the header says are synced. */
function changesIn(bytes: Buffer): Change[] {
  const list: Change[] = []
  for (let at = committed(bytes); at + 32 <= bytes.length; ) {
    const [offset, length, oldSize, kept] = [0, 8, 16, 24].map((step) => Number(bytes.readBigUInt64LE(at + step)))
    const end = at + 32 + kept!
    if (end > bytes.length) break // Killed while it noted; the change itself was not made.
    list.push({ offset: offset!, length: length!, oldSize: oldSize!, old: bytes.subarray(at + 32, end) })
    at = end
  }
  return list
}

function renamingsIn(bytes: Buffer): Renaming[] {
  const list: Renaming[] = []
  for (let at = committed(bytes); at + 16 <= bytes.length; ) {
    const end = at + 16 + bytes.readUInt32LE(at + 12)
    if (end > bytes.length) break
    const [path, to, kept, keptTo] = bytes.toString('utf8', at + 16, end).split('\0')
    const atNs = bytes.readBigUInt64LE(at)
    list.push({ atNs, kind: bytes.readUInt32LE(at + 8), path: path!, to: to!, kept: kept!, keptTo: keptTo! })
    at = end
  }
  return list
}

const committed = (bytes: Buffer): number => (bytes.length < 8 ? bytes.length : Number(bytes.readBigUInt64LE(0)))
