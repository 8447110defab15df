/** `writ policy build`: compiles policies into the bundles that are committed beside them. */

import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { Command } from 'commander'
import { equalBytes } from '../core/bytes.ts'
import { messageOf, WritError } from '../core/fault.ts'
import { canonicalJson } from '../core/json.ts'
import { readBundle } from '../engine/bundle.ts'
import { askingHost } from '../engine/http-send.ts'
import { prepareModule } from '../engine/module.ts'
import { buildPolicy, policyFoldersIn } from '../engine/node/build.ts'
import { keylessSigner } from '../engine/node/keyless-sign.ts'
import { readSigningKey } from '../engine/node/keys.ts'
import { bundleFile, loadBundle } from '../engine/node/open.ts'
import { type Signer, signBundle, unsignedBundle } from '../engine/node/sign.ts'
import type { Policy } from '../engine/policy.ts'
import { writeReads } from '../engine/reads.ts'
import { repeated } from './options.ts'
import { compilerHelp } from './policy/compiler.ts'
import { watchPolicies } from './policy/watch.ts'

interface BuildFlags {
  readonly check?: boolean
  readonly edge?: string
  readonly entrypoint: readonly string[]
  readonly json?: boolean
  readonly signingKey?: string
  readonly signingAlg?: string
  readonly keyId?: string
  readonly scope?: string
  readonly watch?: boolean
  readonly keyless?: boolean
  readonly identityToken?: string
}

interface Built {
  readonly policy: string
  readonly revision: string
  readonly sha256: string
  readonly entrypoints: readonly string[]
  readonly bytes: number
  /** Whether the bundle that lay there was another one, or none. */
  readonly changed: boolean
}

export const buildCommand = (): Command =>
  new Command('build')
    .argument('[dir]', 'a policy, or a folder of policies', 'policies')
    .description(`compile each policy and write its ${bundleFile} beside it: the same bytes on every machine`)
    .option('--check', 'write nothing; exit 1 when a committed bundle is not what its sources give')
    .option(
      '--edge <out>',
      'also write policy.wasm, data.json, reads.json and ref.json below OUT/<policy>, for hosts like Workers',
    )
    .option(
      '-e, --entrypoint <path>',
      'a rule to compile, beside those with `entrypoint: true`; may repeat',
      repeated,
      [],
    )
    .option(
      '--signing-key <file>',
      'sign each bundle as OPA does: a private key as PEM, or the secret of an HS… algorithm',
    )
    .option('--signing-alg <name>', "default the one of the key's curve, or RS256")
    .option('--key-id <id>', 'name of the key for those who verify; default "default"')
    .option('--keyless', 'sign each bundle with a fresh key that an identity token of the CI vouches for')
    .option('--identity-token <file>', 'with --keyless and --signing-key: the token (default: $WRIT_ID_TOKEN)')
    .option('--scope <scope>', 'what the signature is good for; default none')
    .option('--watch', 'build again whenever a source changes, until it is stopped')
    .option('--json', 'print what was built as JSON')
    .addHelpText('after', compilerHelp)
    .action(build)

async function build(dir: string, flags: BuildFlags): Promise<void> {
  const signer = await signerOf(flags)
  if (!flags.watch) return buildAll(dir, flags, signer)
  if (flags.check) throw new WritError('usage', '--check writes nothing, so there is nothing to watch for')
  await watchPolicies(dir, () => buildAll(dir, flags, signer))
}

async function buildAll(dir: string, flags: BuildFlags, signer: Signer | undefined): Promise<void> {
  const built: Built[] = []
  for (const folder of await policyFoldersIn(dir)) {
    const one = await buildOne(folder, flags, signer)
    built.push(one)
    if (!flags.json) process.stdout.write(`${lineFor(one, flags.check === true)}\n`)
  }
  if (flags.json) process.stdout.write(`${JSON.stringify(built, null, 2)}\n`)
  const stale = built.filter((one) => one.changed).map((one) => one.policy)
  if (flags.check && stale.length > 0) {
    throw new WritError('policy_invalid', `not what the sources give: the ${bundleFile} of ${stale.join(', ')}`, {
      cure: `Run \`writ policy build ${dir}\` and commit what it writes.`,
    })
  }
}

async function signerOf(flags: BuildFlags): Promise<Signer | undefined> {
  const { signingKey, signingAlg, keyId, scope, check, keyless, identityToken } = flags
  if (keyless) return keylessSignerOf(flags)
  if (identityToken !== undefined) {
    throw new WritError('usage', '--identity-token is of --keyless', { cure: 'Give --keyless too.' })
  }
  if (signingKey === undefined) {
    if (signingAlg === undefined && keyId === undefined && scope === undefined) return undefined
    throw new WritError('usage', 'there is nothing to sign with', { cure: 'Name the key with --signing-key.' })
  }
  if (check) throw new WritError('usage', '--check writes nothing, so there is nothing to sign')
  const key = await readSigningKey(signingKey, signingAlg)
  return { ...key, ...(keyId === undefined ? {} : { keyId }), ...(scope === undefined ? {} : { scope }) }
}

async function keylessSignerOf(flags: BuildFlags): Promise<Signer> {
  const { check, watch, signingAlg, keyId, signingKey, identityToken, scope } = flags
  if (check || watch) throw new WritError('usage', '--keyless signs one build, not --check or --watch')
  if (signingAlg !== undefined || keyId !== undefined) {
    throw new WritError('usage', '--signing-alg and --key-id are of a key that is kept, not of --keyless')
  }
  return keylessSigner({
    env: process.env,
    nowMs: Date.now(),
    ...(identityToken === undefined ? {} : { tokenFile: identityToken }),
    ...(signingKey === undefined ? {} : { keyFile: signingKey }),
    ...(scope === undefined ? {} : { scope }),
  })
}

async function buildOne(folder: string, flags: BuildFlags, signer: Signer | undefined): Promise<Built> {
  const policy = basename(resolve(folder))
  const unsigned = await buildPolicy(folder, { entrypoints: flags.entrypoint })
  const path = join(folder, bundleFile)
  const before = await bytesOf(path)
  const same = before !== undefined && gives(before, unsigned)
  // No two signatures are alike, so without a key a bundle that is up to date keeps the one it has.
  const bytes = signer ? await signBundle(unsigned, signer) : same ? before : unsigned
  // Loading shows what compiling does not: builtins that no proxy has, and data that none can hold.
  const { ref, entrypoints } = await loadBuilt(bytes, policy)
  const changed = !same || signer !== undefined
  if (changed && !flags.check) await replace(path, bytes)
  if (flags.edge !== undefined) await writeEdge(join(flags.edge, policy), bytes, policy)
  return { policy, revision: ref.revision, sha256: ref.sha256, entrypoints, bytes: bytes.length, changed }
}

/** One that calls `http.send` is good for those bindings alone that allow it, which is said. */
async function loadBuilt(bytes: Uint8Array, policy: string): Promise<Policy> {
  try {
    return await loadBundle(bytes, policy, { now: () => 0n })
  } catch (thrown) {
    if (!messageOf(thrown).includes('http.send')) throw thrown
    const opened = await loadBundle(bytes, policy, { now: () => 0n, host: askingHost })
    process.stderr.write(`note: ${policy} calls http.send, so a binding must say whom it may ask: spec.http.allow\n`)
    return opened
  }
}

/** Whether what lies there is what the sources give, signed or not. */
function gives(before: Uint8Array, unsigned: Uint8Array): boolean {
  if (equalBytes(before, unsigned)) return true
  try {
    return equalBytes(unsignedBundle(before) ?? before, unsigned)
  } catch {
    return false // No archive of ours.
  }
}

/** What a host needs that compiles no bytes: it imports the module and hands all three to `openPolicy`. */
async function writeEdge(out: string, bytes: Uint8Array, policy: string): Promise<void> {
  const { ref, data, wasm, reads } = await readBundle(bytes, policy)
  await mkdir(out, { recursive: true })
  await replace(join(out, 'policy.wasm'), prepareModule(wasm))
  await replace(join(out, 'data.json'), `${canonicalJson(data)}\n`)
  await replace(join(out, 'reads.json'), `${canonicalJson(reads ? writeReads(reads) : null)}\n`)
  await replace(join(out, 'ref.json'), `${JSON.stringify(ref, null, 2)}\n`)
}

const lineFor = (one: Built, check: boolean): string =>
  `${one.policy}  revision ${one.revision}  ${one.bytes} bytes  ${one.changed ? (check ? 'differs' : 'written') : 'unchanged'}`

async function bytesOf(path: string): Promise<Uint8Array | undefined> {
  try {
    return new Uint8Array(await readFile(path))
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw new WritError('policy_invalid', `${path} cannot be read: ${messageOf(thrown)}`, { cause: thrown })
  }
}

/** Readers see the old file or the new one, never half of one. */
async function replace(path: string, content: Uint8Array | string): Promise<void> {
  const beside = join(dirname(path), `.${basename(path)}.${process.pid}`)
  await writeFile(beside, content)
  await rename(beside, path)
}
