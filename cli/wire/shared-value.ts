/** A value that several control planes share as a document: what one of them writes counts at the others once it is told. */

import type { StoredDocument } from '../../ca/node/document.ts'

export interface SharedValue<T> {
  current(): T
  /** Of the document; 0 where there is none yet. */
  version(): number
  /** What `next` makes of the newest; undefined leaves it as it is. It may be asked again where another was first. */
  update(next: (newest: T) => T | undefined): Promise<void>
}

export interface SharedValueOptions<T> {
  readonly read: (text: string) => T
  readonly write: (value: T) => string
  readonly empty: T
  /** Called after each change, whoever made it. */
  readonly changed: () => void
}

export async function sharedValue<T>(
  document: StoredDocument,
  options: SharedValueOptions<T>,
): Promise<SharedValue<T>> {
  const { read, write, empty, changed } = options
  let current = empty
  let version = 0
  const load = async (): Promise<void> => {
    const found = await document.read()
    if (!found || found.version <= version) return
    current = read(found.text)
    version = found.version
    changed()
  }
  await load()
  document.subscribe?.(() => void load().catch(() => undefined)) // What is known counts on meanwhile.
  return {
    current: () => current,
    version: () => version,
    async update(next) {
      for (;;) {
        await load()
        const value = next(current)
        if (value === undefined) return
        if (await document.swap(version, write(value))) return load()
      }
    },
  }
}
