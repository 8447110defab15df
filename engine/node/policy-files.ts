/** The files of a policy folder, and copies of them in a place of their own, where OPA sees nothing else. */

import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join, relative } from 'node:path'
import { messageOf, WritError } from '../../core/fault.ts'
import type { TarFile } from '../tar.ts'

/** More files than this are refused: it is a folder of something else. */
const maxFiles = 10_000

const isPolicyFile = (name: string): boolean => /\.rego$|(^|\/)(data\.(json|yaml|yml)|\.manifest)$/.test(name)

/** Rules, tests, data and manifest, in order of name. Names have forward slashes. */
export async function readPolicyFiles(dir: string): Promise<readonly TarFile[]> {
  return readAll(dir, isPolicyFile)
}

/** JSON Schemas of a folder, or the one that is named. */
export async function readSchemas(path: string): Promise<readonly TarFile[]> {
  return readAll(path, (name) => name.endsWith('.json'))
}

async function readAll(dir: string, wanted: (name: string) => boolean): Promise<readonly TarFile[]> {
  try {
    const entries = await readdir(dir, { recursive: true, withFileTypes: true })
    const names = entries
      .filter((entry) => entry.isFile())
      .map((entry) => relative(dir, join(entry.parentPath, entry.name)).replaceAll('\\', '/'))
      .filter(wanted)
      .sort()
    if (names.length > maxFiles) throw new Error(`it holds more than ${maxFiles} files`)
    return await Promise.all(
      names.map(async (name) => ({ name, bytes: new Uint8Array(await readFile(join(dir, name))) })),
    )
  } catch (cause) {
    throw new WritError('not_found', `the folder ${dir} cannot be read: ${messageOf(cause)}`, {
      cure: 'give a folder that exists',
      cause,
    })
  }
}

/** Calls with a folder that holds these files and is gone afterwards. */
export async function staged<T>(files: readonly TarFile[], use: (root: string) => Promise<T>): Promise<T> {
  const root = await mkdtemp(join(tmpdir(), 'writ-policy-'))
  try {
    for (const { name, bytes } of files) {
      await mkdir(dirname(join(root, name)), { recursive: true })
      await writeFile(join(root, name), bytes)
    }
    return await use(root)
  } finally {
    await rm(root, { recursive: true, force: true })
  }
}

export const under = (folder: string, files: readonly TarFile[]): readonly TarFile[] =>
  files.map(({ name, bytes }) => ({ name: `${folder}/${name}`, bytes }))
