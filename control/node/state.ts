/** The state folder of a control process: its layout, its permissions, and the lock that keeps it one process's own. */

import { chmodSync, lstatSync, mkdirSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { lockFolder } from '../../audit/node/lock.ts'
import { messageOf, WritError } from '../../core/fault.ts'

export interface StateFolder {
  readonly root: string
  /** Keys and state of the issuer. */
  readonly ca: string
  /** Tiles and checkpoints of the log. */
  readonly log: string
  /** The embedded database. */
  readonly store: string
  /** Records on their way to the stream. */
  readonly spool: string
  /** The admin door. Mode 0600. */
  readonly adminSocket: string
  /** Hashes of collector tokens. Mode 0600. */
  readonly collectorTokens: string
  /** Gives the folder free for the next process. */
  readonly release: () => void
}

/**
 * Makes the folder where it is missing, checks that nobody else can look into it, and takes its lock. Throws a WritError
 * `in_use` where another process holds it, `forbidden` where its permissions are wider than 0700.
 */
export function openState(folder: string): StateFolder {
  const root = resolve(folder)
  const folders = {
    ca: join(root, 'ca'),
    log: join(root, 'log'),
    store: join(root, 'store'),
    spool: join(root, 'spool'),
  }
  for (const path of [root, ...Object.values(folders)]) makePrivate(path)
  const lock = lockFolder(root)
  return {
    root,
    ...folders,
    adminSocket: join(root, 'admin.sock'),
    collectorTokens: join(root, 'collector-tokens.json'),
    release: () => lock.release(),
  }
}

function makePrivate(path: string): void {
  try {
    if (mkdirSync(path, { recursive: true, mode: 0o700 }) !== undefined) chmodSync(path, 0o700) // The umask may differ.
  } catch (thrown) {
    throw new WritError('forbidden', `cannot make ${path}: ${messageOf(thrown)}`, {
      cure: 'give a state folder that this user may write',
      cause: thrown,
    })
  }
  const found = lstatSync(path)
  if (!found.isDirectory()) {
    throw new WritError('forbidden', `${path} is not a folder`, { cure: 'remove it, or give another state folder' })
  }
  if (process.getuid && found.uid !== process.getuid()) {
    throw new WritError('forbidden', `${path} belongs to another user`, { cure: `run as its owner, or chown it` })
  }
  if ((found.mode & 0o077) !== 0) {
    throw new WritError('forbidden', `${path} is open to others`, { cure: `chmod 700 ${path}` })
  }
}
