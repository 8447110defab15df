/** The policy library: Rego that comes with this package, and is added to the policies that import it. */

import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join, relative, resolve } from 'node:path'
import { fromUtf8 } from '../../core/bytes.ts'
import { WritError } from '../../core/fault.ts'
import type { TarFile } from '../tar.ts'

/** Where packages of the library lie in a bundle. */
const place = 'writ/lib'

/** The package's own `policies`, as seen from its sources, and from what was compiled of them into `dist`. */
const policiesFolders: readonly string[] = ['../..', '../../..'].map((above) =>
  join(import.meta.dirname, above, 'policies'),
)

const ownFolder = async (name: string): Promise<string> => {
  for (const folder of policiesFolders.map((one) => join(one, name))) {
    if ((await readdir(folder).catch(() => [])).length > 0) return folder
  }
  throw new WritError('internal', `this installation lacks its policies/${name}`, { cure: 'Install it again.' })
}

export const libraryFolder = (): Promise<string> => ownFolder('lib')

export const startersFolder = (): Promise<string> => ownFolder('starters')

/** Whether a folder is one of this package's own that hold no policy to build: the library, or the starters. */
export const isOfPackage = (dir: string): boolean =>
  policiesFolders.some((folder) => ['lib', 'starters'].some((name) => join(folder, name) === resolve(dir)))

/** The packages of the library that sources name, and those that these do, without those that the sources hold themselves. */
export async function librarySources(sources: readonly TarFile[]): Promise<readonly TarFile[]> {
  const modules = sources.filter(({ name }) => name.endsWith('.rego'))
  const own = new Set(modules.flatMap(({ name, bytes }) => [packageIn(textOf(bytes)), placedAs(name)]))
  const taken = new Map<string, TarFile>()
  const open = modules.flatMap((module) => needsOf(module))
  if (open.every(({ name }) => own.has(name))) return []
  const folder = await libraryFolder()
  const known = (await rego(folder)).map((file) => file.slice(0, -'.rego'.length))
  for (let need = open.pop(); need; need = open.pop()) {
    const { name, by } = need
    if (own.has(name) || taken.has(name)) continue
    if (!known.includes(name)) {
      throw new WritError('policy_invalid', `${by}: the library has no package writ.lib.${name}`, {
        cure: `It has ${known.filter((one) => one !== 'lib').join(', ')}; docs/LIBRARY.md says what is in them.`,
      })
    }
    const file = { name: `${place}/${name}.rego`, bytes: new Uint8Array(await readFile(join(folder, `${name}.rego`))) }
    taken.set(name, file)
    open.push(...needsOf(file))
  }
  return [...taken.values()].sort((a, b) => (a.name < b.name ? -1 : 1))
}

interface Need {
  readonly name: string
  /** File and row, as OPA names places. */
  readonly by: string
}

/** Comments are passed over; a text that reads like a reference adds a package too much, which changes nothing. */
function needsOf({ name: file, bytes }: TarFile): readonly Need[] {
  return textOf(bytes)
    .split('\n')
    .flatMap((line, i) =>
      line.trimStart().startsWith('#')
        ? []
        : [...line.matchAll(/\bdata\.writ\.lib\.([a-z_][a-z0-9_]*)/g)].map(([, name]) => ({
            name: name!,
            by: `${file}:${i + 1}`,
          })),
    )
}

const packageIn = (text: string): string | undefined => /^package writ\.lib\.([a-z0-9_]+)\s*$/m.exec(text)?.[1]

/** A file where the library's would lie is kept, whatever is in it. */
const placedAs = (name: string): string | undefined => /^writ\/lib\/([a-z0-9_]+)\.rego$/.exec(name)?.[1]

/** What is no UTF-8 imports nothing; OPA says what is wrong with it. */
function textOf(bytes: Uint8Array): string {
  try {
    return fromUtf8(bytes)
  } catch {
    return ''
  }
}

/** Rego that is no test, in order of name. */
const rego = async (dir: string): Promise<readonly string[]> =>
  (await readdir(dir).catch(() => []))
    .filter((name) => name.endsWith('.rego') && !name.endsWith('_test.rego'))
    .toSorted()

/** Runs `use` on a policy's folder as OPA has to see it: the folder itself, or a copy with the library that it imports. */
export async function withLibrary<T>(dir: string, use: (dir: string) => Promise<T>): Promise<T> {
  const added = await librarySources(await regoIn(dir))
  if (added.length === 0) return use(dir)
  const temporary = await mkdtemp(join(tmpdir(), 'writ-library-'))
  try {
    await cp(dir, temporary, { recursive: true })
    await writeSources(temporary, added)
    return await use(temporary)
  } finally {
    await rm(temporary, { recursive: true, force: true })
  }
}

export async function writeSources(dir: string, sources: readonly TarFile[]): Promise<void> {
  for (const { name, bytes } of sources) {
    await mkdir(dirname(join(dir, name)), { recursive: true })
    await writeFile(join(dir, name), bytes)
  }
}

/** All Rego of a folder, its tests too, for they may import what the rules do not. */
async function regoIn(dir: string): Promise<readonly TarFile[]> {
  const entries = await readdir(dir, { recursive: true, withFileTypes: true })
  const paths = entries
    .filter((entry) => entry.isFile() && entry.name.endsWith('.rego'))
    .map((entry) => join(entry.parentPath, entry.name))
  return Promise.all(
    paths.map(async (path) => ({
      name: relative(dir, path).replaceAll('\\', '/'),
      bytes: new Uint8Array(await readFile(path)),
    })),
  )
}
