/** Data beside a bundle as the command line gives it: `bank/roles=roles.json`, in place of what a PolicyData would fetch. */

import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { InvalidArgumentError } from 'commander'
import { messageOf, WritError } from '../../core/fault.ts'
import type { Json } from '../../core/json.ts'
import { type DataPart, isYaml, readDocument } from '../../engine/data.ts'

export interface DataFlag {
  readonly path: string
  readonly file: string
}

export const dataHelp = 'data that is fetched beside the bundle: place and file, as bank/roles=roles.json; may repeat'

export function dataFlag(value: string, before: readonly DataFlag[]): readonly DataFlag[] {
  const [, path, file] = /^([A-Za-z0-9_-]+(?:\/[A-Za-z0-9_-]+)*)=(.+)$/s.exec(value) ?? []
  if (path === undefined || file === undefined)
    throw new InvalidArgumentError('takes a place and a file: bank/roles=roles.json')
  return [...before, { path, file }]
}

/** Each goes by the name of its place. */
export const readParts = (flags: readonly DataFlag[]): Promise<readonly DataPart[]> =>
  Promise.all(
    flags.map(async ({ path, file }) => {
      const bytes = await readFile(file).catch((cause: unknown) => {
        throw new WritError('not_found', `${file} cannot be read: ${messageOf(cause)}`, { cause })
      })
      const sha256 = createHash('sha256').update(bytes).digest('hex')
      return { name: path, path, version: { revision: sha256.slice(0, 16), sha256 }, value: documentOf(bytes, file) }
    }),
  )

function documentOf(bytes: Uint8Array, file: string): Json {
  try {
    return readDocument(bytes, isYaml(file))
  } catch (cause) {
    throw new WritError('policy_invalid', `${file}: ${messageOf(cause)}`, { cause })
  }
}
