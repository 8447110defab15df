/** The deny list: ids and serials that are refused from now on. In memory, and in a file for the next start. */

import { readFile, rename, writeFile } from 'node:fs/promises'
import type { StoredDocument } from '../../ca/node/document.ts'
import { WritError } from '../../core/fault.ts'
import { sharedValue } from './shared-value.ts'

/** Entries at most; a longer list is a sign that an issuer should be withdrawn instead. */
const maxDenied = 100_000

export interface Denied {
  current(): ReadonlySet<string>
  /** Grows with each change, also over restarts. */
  generation(): number
  add(subject: string): Promise<void>
}

/** The same in a document that several control planes share; another's word counts as soon as it is told. */
export async function sharedDenied(document: StoredDocument, changed: () => void): Promise<Denied> {
  const list = await sharedValue<ReadonlySet<string>>(document, {
    ...{ empty: new Set(), changed },
    read: (text) => new Set(JSON.parse(text) as string[]),
    write: (denied) => JSON.stringify([...denied]),
  })
  return {
    current: list.current,
    generation: () => list.version() + 1,
    add: (subject) =>
      list.update((current) => {
        if (current.has(subject)) return undefined
        if (current.size >= maxDenied) throw tooManyDenied()
        return new Set(current).add(subject)
      }),
  }
}

const tooManyDenied = (): WritError =>
  new WritError('in_use', `the deny list holds ${maxDenied} entries`, { cure: 'withdraw the issuer instead' })

export async function openDenied(path: string): Promise<Denied> {
  const kept = await readFile(path, 'utf8').catch((thrown: NodeJS.ErrnoException) => {
    // A list that cannot be read is not an empty one: somebody who is refused must not come back by a broken file.
    if (thrown.code === 'ENOENT') return '{"generation":1,"denied":[]}'
    throw thrown
  })
  const { generation, denied } = JSON.parse(kept) as { generation: number; denied: string[] }
  let current: ReadonlySet<string> = new Set(denied)
  let number = generation
  return {
    current: () => current,
    generation: () => number,
    async add(subject) {
      if (current.size >= maxDenied) throw tooManyDenied()
      const next = new Set(current).add(subject)
      await writeFile(`${path}.new`, JSON.stringify({ generation: number + 1, denied: [...next] }), { mode: 0o600 })
      await rename(`${path}.new`, path)
      current = next
      number++
    },
  }
}
