/** A policy that is not in force yet, ready to be asked: built from its sources, or read from a bundle file. */

import { readFile, stat } from 'node:fs/promises'
import { basename, dirname, resolve } from 'node:path'
import { nothing, readsOf } from '../../audit/replay/reads.ts'
import type { Candidate } from '../../audit/replay/replay.ts'
import { messageOf, WritError } from '../../core/fault.ts'
import { type BundleContent, readBundle } from '../../engine/bundle.ts'
import type { DataPart } from '../../engine/data.ts'
import { makeDecide } from '../../engine/decide.ts'
import { askingHost } from '../../engine/http-send.ts'
import { loadModule } from '../../engine/load.ts'
import { memorySectionName, prepareModule, readMemoryNote } from '../../engine/module.ts'
import { buildPolicy, policyFoldersIn } from '../../engine/node/build.ts'
import { loadBundle } from '../../engine/node/open.ts'

export interface CandidateOptions {
  /** Rules to compile beside those that say `entrypoint: true`. */
  readonly entrypoints: readonly string[]
  /** Default: the name of the folder that holds the sources or the bundle. */
  readonly name?: string
  /** Data beside the bundle, as `writ policy impact --data` takes it. Default none. */
  readonly parts?: readonly DataPart[]
}

/** Answers that depend on more than a request and its time, and that records do not hold: the rest of OPA's own list is. */
const worldly: ReadonlySet<string> = new Set(['io.jwt.encode_sign', 'io.jwt.encode_sign_raw'])

export interface OpenedCandidate extends Candidate {
  /** False for a bundle that does not say what it reads. */
  readonly readsKnown: boolean
}

export async function openCandidate(
  path: string,
  { entrypoints, name, parts = [] }: CandidateOptions,
): Promise<OpenedCandidate> {
  const folder = await folderOf(path)
  const bytes = folder === undefined ? new Uint8Array(await readFile(path)) : await buildPolicy(folder, { entrypoints })
  const named = name ?? basename(folder === undefined ? dirname(resolve(path)) : resolve(folder))
  const policy = await loadBundle(bytes, named, { now: () => BigInt(Date.now()) * 1_000_000n, host: askingHost, parts })
  const content = await readBundle(bytes, named, { sha256: policy.ref.sha256 })
  const reads = new Map(policy.entrypoints.map((entrypoint) => [entrypoint, readsOf(policy.reads(entrypoint))]))
  return {
    ref: policy.ref,
    hasData: parts.length > 0,
    decide: makeDecide({ get: () => policy }),
    readsKnown: content.reads !== undefined,
    // An entry point that is not there answers nothing, whatever is asked.
    reads: (entrypoint) => reads.get(entrypoint) ?? nothing,
    worldly: (await calledBuiltins(content)).filter((builtin) => worldly.has(builtin)),
  }
}

/** The one folder of sources that a path names, or undefined where it is a file. */
async function folderOf(path: string): Promise<string | undefined> {
  const found = await stat(path).catch((cause: unknown) => {
    throw new WritError('not_found', `${path} cannot be read: ${messageOf(cause)}`, {
      cure: 'give the folder of a policy, or a bundle file',
      cause,
    })
  })
  if (!found.isDirectory()) return undefined
  const [folder, other] = await policyFoldersIn(path)
  if (other === undefined) return folder
  throw new WritError('usage', `${path} holds more than one policy`, { cure: `give one of them, such as ${folder}` })
}

/** Names of the builtins that a policy asks its host for. */
async function calledBuiltins({ wasm }: BundleContent): Promise<readonly string[]> {
  const module = await WebAssembly.compile(prepareModule(wasm) as Uint8Array<ArrayBuffer>)
  const [note] = WebAssembly.Module.customSections(module, memorySectionName)
  const initial = readMemoryNote(new Uint8Array(note!))
  const { called } = loadModule(module, { initial }, new TextEncoder().encode('{}'), {
    builtins: new Map(),
    context: () => {
      throw new WritError('internal', 'a policy was asked while its builtins were counted')
    },
  })
  return [...called.values()].sort()
}
