/** The few things a spool asks of a disk, so that tests can stand between. */

import {
  chmodSync,
  closeSync,
  fdatasync,
  fdatasyncSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  read,
  readdirSync,
  readSync,
  statSync,
  unlinkSync,
  writeSync,
} from 'node:fs'
import { open } from 'node:fs/promises'
import { dirname } from 'node:path'
import { promisify } from 'node:util'

export interface FileFacts {
  readonly inode: number
  readonly links: number
  readonly size: number
}

export interface SpoolFiles {
  /** Makes the folder with mode 0700, or narrows it to that. */
  makeFolder(path: string): void
  list(path: string): string[]
  /** A new file of mode 0600, for reading and writing; fails where one exists. */
  create(path: string): number
  open(path: string, write: boolean): number
  close(fd: number): void
  unlink(path: string): void
  write(fd: number, bytes: Uint8Array, from: number, to: number, position: number): number
  truncate(fd: number, length: number): void
  readNow(fd: number, into: Uint8Array, position: number): number
  read(fd: number, into: Uint8Array, position: number): Promise<number>
  factsOf(fd: number): FileFacts
  /** Undefined where nothing has that name. */
  factsAt(path: string): FileFacts | undefined
  /** Off the request path. */
  sync(fd: number): Promise<void>
  syncNow(fd: number): void
  /** Makes new names in a folder durable. */
  syncFolder(path: string): Promise<void>
  syncFolderNow(path: string): void
}

const readLater = promisify(read)

export const diskFiles: SpoolFiles = {
  makeFolder(path) {
    const first = mkdirSync(path, { recursive: true, mode: 0o700 })
    // Segments last no longer than the name of their folder does.
    if (first !== undefined)
      for (let made = path; made.length >= first.length; made = dirname(made)) syncNames(dirname(made))
    if ((statSync(path).mode & 0o777) !== 0o700) chmodSync(path, 0o700)
  },
  list: (path) => readdirSync(path),
  create: (path) => openSync(path, 'wx+', 0o600),
  open: (path, write) => openSync(path, write ? 'r+' : 'r'),
  close: closeSync,
  unlink: unlinkSync,
  write: (fd, bytes, from, to, position) => writeSync(fd, bytes, from, to - from, position),
  truncate: ftruncateSync,
  readNow: (fd, into, position) => readSync(fd, into, 0, into.length, position),
  read: async (fd, into, position) => (await readLater(fd, into, 0, into.length, position)).bytesRead,
  factsOf: (fd) => factsFrom(fstatSync(fd)),
  factsAt(path) {
    const facts = statSync(path, { throwIfNoEntry: false })
    return facts && factsFrom(facts)
  },
  sync: promisify(fdatasync),
  syncNow: fdatasyncSync,
  async syncFolder(path) {
    const folder = await open(path, 'r')
    try {
      await folder.sync()
    } finally {
      await folder.close()
    }
  },
  syncFolderNow: syncNames,
}

function syncNames(path: string): void {
  const fd = openSync(path, 'r')
  try {
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
}

const factsFrom = (stats: { readonly ino: number; readonly nlink: number; readonly size: number }): FileFacts => ({
  inode: stats.ino,
  links: stats.nlink,
  size: stats.size,
})
