/** Checks and frameworks that come with this package, and those of the user's folders. */

import { readdir, readFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { parse } from 'yaml'
import type { CheckDefinition, Framework } from '../../../core/compliance.ts'
import { messageOf, WritError } from '../../../core/fault.ts'
import { readCheck } from '../files/checks.ts'
import { type Declared, nothingDeclared, readDeclared } from '../files/declared.ts'
import { type FrameworkFile, type IdList, readFramework, settleFrameworks } from '../files/frameworks.ts'

/** The package's own, as seen from its sources and from `dist`. */
const homes: readonly string[] = ['../../..', '../../../..'].map((above) =>
  join(import.meta.dirname, above, 'compliance'),
)

export async function complianceFolder(part: 'checks' | 'frameworks' | 'ids'): Promise<string> {
  for (const home of homes) if ((await filesIn(join(home, part))).length > 0) return join(home, part)
  throw new WritError('internal', `this installation lacks its compliance/${part}`, { cure: 'Install it again.' })
}

export interface Catalogue {
  readonly checks: readonly CheckDefinition[]
  readonly frameworks: readonly Framework[]
}

/** A file of the user's takes the place of one of ours with the same id. Throws `config_invalid` and `not_found`. */
export async function readCatalogue(own: {
  readonly checks?: string
  readonly frameworks?: string
}): Promise<Catalogue> {
  const checks = new Map<string, CheckDefinition>()
  for (const dir of [await complianceFolder('checks'), ...(own.checks === undefined ? [] : [own.checks])]) {
    for (const file of await yamlIn(dir)) {
      const check = readCheck(await readYaml(file), file)
      checks.set(check.id, check)
    }
  }
  const files = new Map<string, FrameworkFile>()
  for (const dir of [await complianceFolder('frameworks'), ...(own.frameworks === undefined ? [] : [own.frameworks])]) {
    for (const file of await yamlIn(dir)) {
      const read = readFramework(await readYaml(file), file)
      files.set('framework' in read ? read.framework.id : read.baseline.id, read)
    }
  }
  const lists = await idLists()
  const frameworks = settleFrameworks([...files.values()], (name) => lists.get(name))
  for (const { id, parts } of frameworks) {
    const unknown = parts.flatMap((part) => part.checks).find((check) => !checks.has(check))
    if (unknown !== undefined) {
      throw new WritError('config_invalid', `framework ${id} names the check ${unknown}, which there is not`, {
        cure: 'give the folder that has it with --checks',
      })
    }
  }
  const everything: Framework = {
    ...{ id: 'all', title: 'All checks', edition: '', version: '1', reviewed: '2026-11-28' },
    parts: [...checks.values()].map(({ id, title }) => ({
      ...{ id, about: title, part: 'all of it', checks: [id], confirmed: true },
    })),
  }
  return { checks: [...checks.values()], frameworks: [everything, ...frameworks] }
}

/** Lists of ids by name: `nist-800-53-r5`. */
export async function idLists(): Promise<ReadonlyMap<string, IdList>> {
  const dir = await complianceFolder('ids')
  const lists = new Map<string, IdList>()
  for (const name of await filesIn(dir)) {
    if (name.endsWith('.json')) lists.set(basename(name, '.json'), JSON.parse(await readFile(join(dir, name), 'utf8')))
  }
  return lists
}

export const declaredIn = async (file: string | undefined): Promise<Declared> =>
  file === undefined ? nothingDeclared : readDeclared(await readYaml(file), file)

const maxFileBytes = 16 * 1024 ** 2

/** Throws `not_found` and `config_invalid`. */
export async function readYaml(file: string): Promise<unknown> {
  const text = await readFile(file, 'utf8').catch((cause: unknown) => {
    throw new WritError('not_found', `${file} cannot be read: ${messageOf(cause)}`, { cause })
  })
  if (text.length > maxFileBytes) throw new WritError('config_invalid', `${file} is longer than ${maxFileBytes} bytes`)
  try {
    return parse(text, { maxAliasCount: 0 })
  } catch (cause) {
    throw new WritError('config_invalid', `${file} is no YAML: ${messageOf(cause)}`, { cause })
  }
}

const filesIn = async (dir: string): Promise<readonly string[]> => (await readdir(dir).catch(() => [])).sort()

async function yamlIn(dir: string): Promise<readonly string[]> {
  const names = await readdir(dir).catch((cause: unknown) => {
    throw new WritError('not_found', `${dir} cannot be read: ${messageOf(cause)}`, { cause })
  })
  return names
    .filter((name) => /\.ya?ml$/.test(name))
    .sort()
    .map((name) => join(dir, name))
}
