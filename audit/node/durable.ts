/** Files that are there whole or not at all, also after the power went. */

import { mkdir, open, rename } from 'node:fs/promises'
import { dirname } from 'node:path'

/** Two writers of one file each have a draft of their own. */
let drafts = 0

/** Writes beside the file, syncs, and renames over it. The name itself lasts once its folder is synced. */
export async function writeWhole(path: string, bytes: Uint8Array | string, mode: number = 0o640): Promise<void> {
  const draft = `${path}.${process.pid}.${drafts++}`
  const file = await open(draft, 'w', mode)
  try {
    await file.writeFile(bytes)
    await file.sync()
  } finally {
    await file.close()
  }
  await rename(draft, path)
}

export async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r')
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}

/** A folder and the names of all that had to be made above it, to last. */
export async function makeFolder(path: string, mode: number = 0o750): Promise<void> {
  const first = await mkdir(path, { recursive: true, mode })
  if (first === undefined) return
  for (let made = path; made.length >= first.length; made = dirname(made)) await syncFolder(dirname(made))
}

export const isMissing = (thrown: unknown): boolean =>
  thrown instanceof Error && 'code' in thrown && (thrown.code === 'ENOENT' || thrown.code === 'ENOTDIR')
