/** The data of a policy, as commands look at grants in it. */

import { readFile } from 'node:fs/promises'
import { messageOf, WritError } from '../../core/fault.ts'
import type { Json } from '../../core/json.ts'
import { readBundle } from '../../engine/bundle.ts'
import { readPolicyFolder } from '../../engine/node/open.ts'

export interface PolicyDataChoice {
  /** A file, which goes before the folder. */
  readonly data?: string
  readonly policies: string
  /** Which of the folder's. Default the only one. */
  readonly bundleName?: string
}

/** The data to compare with: the file that is named, or that of the one bundle there is or that is named. */
export async function policyData({ data, policies, bundleName }: PolicyDataChoice): Promise<Json | undefined> {
  if (data !== undefined) return readData(data)
  const bundles = await readPolicyFolder(policies).catch((thrown: unknown) => {
    if (thrown instanceof WritError && thrown.code === 'not_found') return []
    throw thrown
  })
  const [one, other] = bundles.filter(({ ref }) => bundleName === undefined || ref.bundle === bundleName)
  if (!one || other) return undefined
  return (await readBundle(one.bytes, one.ref.bundle)).data
}

async function readData(file: string): Promise<Json> {
  const text = await readFile(file, 'utf8').catch((cause: unknown) => {
    throw new WritError('not_found', `${file} cannot be read: ${messageOf(cause)}`, { cause })
  })
  const { parseDocument } = await import('yaml') // The other commands of `policy` read none.
  const document = parseDocument(text, { logLevel: 'silent' })
  const [fault] = document.errors
  if (fault) throw new WritError('config_invalid', `${file}: ${fault.message.split('\n')[0]}`)
  try {
    return document.toJS({ maxAliasCount: 100 }) as Json
  } catch (thrown) {
    throw new WritError('config_invalid', `${file}: ${messageOf(thrown)}`)
  }
}
