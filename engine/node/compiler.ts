/** Finds the Rego compiler, OPA's own, or installs it where there is Go. Only who edits policies needs one. */

import { execFile } from 'node:child_process'
import { constants } from 'node:fs'
import { access, chmod, copyFile, mkdir, mkdtemp, rename, rm } from 'node:fs/promises'
import { homedir, tmpdir } from 'node:os'
import { delimiter, isAbsolute, join } from 'node:path'
import { promisify } from 'node:util'
import { WritError } from '../../core/fault.ts'

/** The version that committed bundles are built with; another one may give other bytes for the same sources. */
export const opaVersion = '1.22.2'

const goModule = 'github.com/open-policy-agent/opa'

export interface CompilerOptions {
  /** Environment to look in: WRIT_OPA, PATH, XDG_CACHE_HOME, HOME. */
  readonly env: Readonly<Record<string, string | undefined>>
  /** Hears of what takes long or may surprise, a line at a time. */
  readonly say: (line: string) => void
}

/** Path of `opa`: WRIT_OPA, else PATH, else the cache, else installed into it with Go. Throws `compiler_missing`. */
export async function findCompiler({ env, say }: CompilerOptions): Promise<string> {
  const atHand = await compilerAtHand(env)
  if (atHand) return atHand
  const go = env['WRIT_OPA'] === 'none' ? undefined : await findOnPath('go', env)
  if (!go) throw missing('there is neither opa nor Go')
  const folder = cacheFolder(env)
  say(`installing opa ${opaVersion} with ${go} into ${folder}; this takes a minute or two, once`)
  const target = cachedIn(folder)
  await install(go, folder, target, env)
  return target
}

/** The same without installing anything: undefined where there is none yet, or where WRIT_OPA is `none`. */
export async function compilerAtHand(env: CompilerOptions['env']): Promise<string | undefined> {
  const named = env['WRIT_OPA']
  if (named === 'none') return undefined
  if (named) {
    if (await runnable(named)) return named
    throw new WritError('compiler_missing', `WRIT_OPA names ${named}, which is no program`, {
      cure: `Point it at opa ${opaVersion}, or unset it.`,
    })
  }
  const onPath = await findOnPath('opa', env)
  if (onPath) return onPath
  const cached = cachedIn(cacheFolder(env))
  return (await runnable(cached)) ? cached : undefined
}

/** What is fetched or built once for a user lies here. */
export const cacheFolder = (env: CompilerOptions['env']): string =>
  join(env['XDG_CACHE_HOME'] || join(env['HOME'] || homedir(), '.cache'), 'writ')

const cachedIn = (folder: string): string => join(folder, `opa-${opaVersion}`)

/** Says so when the compiler is not the version that committed bundles are built with. */
export async function checkVersion(opa: string, { say }: CompilerOptions): Promise<void> {
  const { stdout } = await promisify(execFile)(opa, ['version'], { timeout: 30_000 }).catch((cause: unknown) => {
    throw missing(`${opa} does not run`, cause)
  })
  const version = /^Version: (\S+)$/m.exec(stdout)?.[1] ?? 'unknown'
  if (version !== opaVersion)
    say(`${opa} is version ${version}; bundles built with ${opaVersion} may differ from its own`)
}

async function install(go: string, folder: string, target: string, env: CompilerOptions['env']): Promise<void> {
  const temporary = await mkdtemp(join(tmpdir(), 'writ-opa-'))
  try {
    await promisify(execFile)(go, ['install', `${goModule}@v${opaVersion}`], {
      env: { ...env, GOBIN: temporary, GOFLAGS: '' },
      cwd: temporary, // Out of reach of any go.mod.
      timeout: 15 * 60_000,
      maxBuffer: 16 * 1024 ** 2,
    })
    await mkdir(folder, { recursive: true })
    // Copied beside its place and then renamed: the temporary folder may be another disk, and two may install at once.
    const beside = `${target}.${process.pid}`
    await copyFile(join(temporary, 'opa'), beside)
    await chmod(beside, 0o755)
    await rename(beside, target)
  } catch (cause) {
    throw missing('installing it with Go failed', cause)
  } finally {
    await rm(temporary, { recursive: true, force: true })
  }
}

async function findOnPath(name: string, env: CompilerOptions['env']): Promise<string | undefined> {
  for (const folder of (env['PATH'] ?? '').split(delimiter)) {
    if (isAbsolute(folder) && (await runnable(join(folder, name)))) return join(folder, name)
  }
  return undefined
}

const runnable = (path: string): Promise<boolean> =>
  access(path, constants.X_OK).then(
    () => true,
    () => false,
  )

export const missing = (why: string, cause?: unknown): WritError =>
  new WritError('compiler_missing', `no Rego compiler: ${why}`, {
    cure: `Install opa ${opaVersion} (https://www.openpolicyagent.org/docs#running-opa) on PATH or name it in WRIT_OPA; or install Go, which can build it.`,
    ...(cause === undefined ? {} : { cause }),
  })
