/** Canaries that were taken back, of policies and of versions, in memory and in a file for the next start. */

import { readFile, rename, writeFile } from 'node:fs/promises'

export interface Rollbacks<One> {
  current(): readonly One[]
  /** Resolves once they are on the disk. */
  put(next: readonly One[]): Promise<void>
}

export async function openRollbacks<One>(path: string): Promise<Rollbacks<One>> {
  const kept = await readFile(path, 'utf8').catch((thrown: NodeJS.ErrnoException) => {
    // A list that cannot be read is not an empty one: what refused too many must not come back by a broken file.
    if (thrown.code === 'ENOENT') return '{"v":1,"rolled_back":[]}'
    throw thrown
  })
  let current = (JSON.parse(kept) as { rolled_back: readonly One[] }).rolled_back
  return {
    current: () => current,
    async put(next) {
      await writeFile(`${path}.new`, JSON.stringify({ v: 1, rolled_back: next }), { mode: 0o600 })
      await rename(`${path}.new`, path)
      current = next
    },
  }
}
