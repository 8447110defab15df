/** Secrets on disk: folders of mode 0700, files of mode 0600, each written whole or not at all. */

import {
  chmodSync,
  closeSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  unlinkSync,
  writeSync,
} from 'node:fs'
import { dirname } from 'node:path'
import { messageOf, WritError } from '../../core/fault.ts'
import { parseJson } from '../../core/json.ts'

export function privateFolder(dir: string): void {
  try {
    const first = mkdirSync(dir, { recursive: true, mode: 0o700 })
    chmodSync(dir, 0o700)
    // What is in it lasts no longer than its own name does.
    if (first !== undefined)
      for (let made = dir; made.length >= first.length; made = dirname(made)) syncFolder(dirname(made))
  } catch (cause) {
    throw new WritError('config_invalid', `cannot use the folder ${dir}: ${messageOf(cause)}`, {
      cure: 'name a folder that this user owns',
      cause,
    })
  }
}

/** The text of a file, or undefined where there is none. */
export function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw new WritError('config_invalid', `cannot read ${path}: ${messageOf(cause)}`, {
      cure: 'give this user the right to read it',
      cause,
    })
  }
}

export interface ListText {
  /** What it should hold, and where it is from: `join tokens`, a path. */
  readonly of: string
  readonly place: string
  readonly cure: string
}

/** The items of a JSON list. Throws `config_invalid` where the text is none, or `read` knows one of them not. */
export function listIn<Item>(
  text: string,
  read: (value: unknown) => Item | undefined,
  { of, place, cure }: ListText,
): readonly Item[] {
  const list = parseJson(text)
  const items = Array.isArray(list) ? list.map(read) : [undefined]
  if (!items.includes(undefined)) return items as Item[]
  throw new WritError('config_invalid', `${place} is not a list of ${of}`, { cure })
}

/** Replaces a file in one step: after a crash there is the old text or the new one. */
export function replaceText(path: string, text: string): void {
  withNewFile(path, text, (fresh) => renameSync(fresh, path))
}

/** Creates a file unless it exists; says whether it was this call that did. */
export function createText(path: string, text: string): boolean {
  return withNewFile(path, text, (fresh) => {
    try {
      linkSync(fresh, path)
      return true
    } catch (thrown) {
      if ((thrown as NodeJS.ErrnoException).code === 'EEXIST') return false
      throw thrown
    } finally {
      unlinkSync(fresh)
    }
  })
}

let written = 0

function withNewFile<T>(path: string, text: string, place: (fresh: string) => T): T {
  const fresh = `${path}.${process.pid}.${written++}.new`
  try {
    const file = openSync(fresh, 'wx', 0o600)
    try {
      writeSync(file, text)
      fsyncSync(file)
    } finally {
      closeSync(file)
    }
    const result = place(fresh)
    syncFolder(dirname(path))
    return result
  } catch (cause) {
    throw new WritError('config_invalid', `cannot write ${path}: ${messageOf(cause)}`, {
      cure: 'free disk space, or give this user the right to write there',
      cause,
    })
  }
}

/** A rename is on disk only once its folder is. */
function syncFolder(dir: string): void {
  const folder = openSync(dir, 'r')
  try {
    fsyncSync(folder)
  } finally {
    closeSync(folder)
  }
}
