/** Keeps a WASI program within its folder. Node's own WASI does not: it follows a link in the middle of a path. */

import { lstatSync, realpathSync } from 'node:fs'
import { dirname, join, sep } from 'node:path'

type Call = (...args: readonly (number | bigint)[]) => number
export type Calls = Readonly<Record<string, Call>>

/** WASI preview 1: the program lacks the right to do this. */
const notCapable = 76

/** The one folder that is opened for the program, under which it names all files. */
const preopened = 3

const followLinks = 1

/** Where a call has its paths, each as (descriptor, pointer, length), and whether a link at the end is followed. */
interface PathCall {
  readonly paths: readonly (readonly [descriptor: number, pointer: number])[]
  readonly follows: (args: readonly (number | bigint)[]) => boolean
}

const always = (): boolean => true
const never = (): boolean => false
const byFlag = (args: readonly (number | bigint)[]): boolean => (Number(args[1]) & followLinks) !== 0

const pathCalls: Readonly<Record<string, PathCall>> = {
  path_create_directory: { paths: [[0, 1]], follows: always },
  path_filestat_get: { paths: [[0, 2]], follows: byFlag },
  path_filestat_set_times: { paths: [[0, 2]], follows: byFlag },
  path_open: { paths: [[0, 2]], follows: always },
  path_readlink: { paths: [[0, 1]], follows: never },
  path_remove_directory: { paths: [[0, 1]], follows: never },
  path_rename: {
    paths: [
      [0, 1],
      [3, 4],
    ],
    follows: never,
  },
  path_unlink_file: { paths: [[0, 1]], follows: never },
}

/** No command of OPA's makes links, and one that was made could lead out while it is looked at. */
const refused = ['path_link', 'path_symlink']

/** The same calls, of which none leaves the folder. `text` reads the program's memory. */
export function keptWithin(folder: string, host: Calls, text: (pointer: number, length: number) => string): Calls {
  const root = realpathSync(folder)
  const guarded = Object.entries(pathCalls).map(([name, { paths, follows }]): [string, Call] => [
    name,
    (...args) => {
      const inside = paths.every(
        ([descriptor, pointer]) =>
          args[descriptor] === preopened &&
          isWithin(root, text(Number(args[pointer]), Number(args[pointer + 1])), follows(args)),
      )
      return inside ? host[name]!(...args) : notCapable
    },
  ])
  return {
    ...host,
    ...Object.fromEntries(guarded),
    ...Object.fromEntries(refused.map((name) => [name, () => notCapable])),
  }
}

/** Whether a name below the root stays there once all links on the way, and at its end where it is followed, are. */
function isWithin(root: string, name: string, follow: boolean): boolean {
  const path = join(root, name)
  if (path !== root && !path.startsWith(root + sep)) return false
  try {
    if (path === root) return true
    // What is still to be made has no place of its own yet, but its folder has.
    const real = follow && isThere(path) ? realpathSync(path) : realpathSync(dirname(path))
    return real === root || real.startsWith(root + sep)
  } catch {
    return false // A link that leads nowhere, or a folder that is not there.
  }
}

const isThere = (path: string): boolean => lstatSync(path, { throwIfNoEntry: false }) !== undefined
