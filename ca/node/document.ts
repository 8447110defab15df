/** A text with a version that whoever changes it must have read: in a file, or wherever several processes share it. */

import { join } from 'node:path'
import { isObject, parseJson } from '../../core/json.ts'
import { privateFolder, readText, replaceText } from './files.ts'

export interface StoredDocument {
  /** Undefined where there is none yet. */
  read(): Promise<{ readonly version: number; readonly text: string } | undefined>
  /** Runs `work` while no other process does so. Default nobody else has the document. */
  exclusive?<T>(work: () => Promise<T>): Promise<T>
  /** Calls back when somebody may have written, until the returned function is called. Default nobody else does. */
  subscribe?(changed: () => void): () => void
  /** Writes the version after `version`, 0 where there was none; false where somebody else was first. */
  swap(version: number, text: string): Promise<boolean>
}

/** A JSON file of mode 0600 that says its own `version`, in a folder of mode 0700. One process has it at a time. */
export function fileDocument(dir: string, name: string): StoredDocument {
  privateFolder(dir)
  const path = join(dir, name)
  const versionOf = (text: string): number => {
    const value = parseJson(text)
    return isObject(value) && typeof value['version'] === 'number' ? value['version'] : 0
  }
  return {
    async read() {
      const text = readText(path)
      return text === undefined ? undefined : { version: versionOf(text), text }
    },
    async swap(version, text) {
      const now = readText(path)
      if ((now === undefined ? 0 : versionOf(now)) !== version) return false
      replaceText(path, text)
      return true
    },
  }
}
