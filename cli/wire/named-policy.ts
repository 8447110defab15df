/** A policy that a command names: a bundle file, or one of a folder of policies. */

import { readFile } from 'node:fs/promises'
import { basename, dirname, resolve } from 'node:path'
import { messageOf, WritError } from '../../core/fault.ts'
import type { PolicyBundle } from '../../core/policy.ts'
import { type LoadOptions, loadBundle, readPolicyFolder } from '../../engine/node/open.ts'
import type { Policy } from '../../engine/policy.ts'
import { openClock } from './machine.ts'

export interface NamedPolicy {
  /** A bundle file, which goes before the folder. */
  readonly bundle?: string
  readonly policies: string
  /** Which of the folder's. Default the only one. */
  readonly bundleName?: string
}

export async function openNamed(
  { bundle, policies, bundleName }: NamedPolicy,
  more: Omit<LoadOptions, 'now'> = {},
): Promise<Policy> {
  const options = { now: openClock(), ...more }
  if (bundle === undefined) {
    const found = pick(await readPolicyFolder(policies), policies, bundleName)
    return loadBundle(found.bytes, found.ref.bundle, options)
  }
  const bytes = await readFile(bundle).catch((cause: unknown) => {
    throw new WritError('not_found', `${bundle} cannot be read: ${messageOf(cause)}`, {
      cure: 'give a bundle file',
      cause,
    })
  })
  return loadBundle(new Uint8Array(bytes), bundleName ?? basename(dirname(resolve(bundle))), options)
}

function pick(found: readonly PolicyBundle[], folder: string, name: string | undefined): PolicyBundle {
  const fitting = found.filter(({ ref }) => name === undefined || ref.bundle === name)
  const [one, other] = fitting
  if (one && !other) return one
  const names = found.map(({ ref }) => ref.bundle).join(', ')
  const what = one
    ? `${folder} holds more than one policy`
    : `${folder} holds no bundle${name === undefined ? '' : ` ${name}`}`
  throw new WritError(one ? 'usage' : 'not_found', what, {
    cure: names === '' ? `build them with: writ policy build ${folder}` : `name one with --bundle-name: ${names}`,
  })
}

export function entrypointOf({ ref, entrypoints }: Policy, asked: string | undefined): string {
  const [one, other] = entrypoints
  if (asked !== undefined && entrypoints.includes(asked)) return asked
  if (asked === undefined && one !== undefined && other === undefined) return one
  const what = asked === undefined ? 'has more than one entry point' : `has no entry point ${asked}`
  throw new WritError('usage', `policy ${ref.bundle} ${what}`, { cure: `--entrypoint takes ${entrypoints.join(', ')}` })
}
