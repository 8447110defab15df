/**
 * Compiles OPA's command line to WebAssembly, packed: `npm run build:rego`, and once for the tests. Takes Go.
 * Who installs the package gets what was built when it was packed, and needs neither Go nor opa.
 */

import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { brotliCompress, constants } from 'node:zlib'
import { WritError } from '../../../core/fault.ts'
import { boundMemory } from '../memory.ts'

const source = join(import.meta.dirname, '..')

/** What the module depends on, as 12 hex digits. */
export async function sourcesDigest(): Promise<string> {
  const hash = createHash('sha256')
  const names = ['go.mod', 'go.sum', 'main.go', 'memory.ts', 'readline/readline.go', 'node/build.ts']
  for (const name of names) hash.update(await readFile(join(source, name)))
  return hash.digest('hex').slice(0, 12)
}

export interface ModuleBuild {
  /** Path of Go. */
  readonly go: string
  /** File to write. */
  readonly out: string
  /** How hard brotli tries, 0 to 11. Default 9, which takes some 20 s and saves 5 % over 5. */
  readonly quality?: number
}

export async function buildOpaModule({ go, out, quality = 9 }: ModuleBuild): Promise<void> {
  const temporary = await mkdtemp(join(tmpdir(), 'writ-rego-'))
  try {
    const plain = join(temporary, 'opa.wasm')
    const env = { ...process.env, GOOS: 'wasip1', GOARCH: 'wasm', GOFLAGS: '-mod=readonly -buildvcs=false' }
    const args = ['build', '-trimpath', '-ldflags=-s -w', '-o', plain, '.']
    await promisify(execFile)(go, args, { cwd: source, env, timeout: 15 * 60_000, maxBuffer: 16 * 1024 ** 2 })
    const wasm = boundMemory(new Uint8Array(await readFile(plain)))
    const packed = await promisify(brotliCompress)(wasm, {
      params: {
        [constants.BROTLI_PARAM_QUALITY]: quality,
        [constants.BROTLI_PARAM_LGWIN]: 24,
        [constants.BROTLI_PARAM_SIZE_HINT]: wasm.length,
      },
    })
    await mkdir(dirname(out), { recursive: true })
    const beside = `${out}.${process.pid}`
    await writeFile(beside, packed)
    await rename(beside, out)
  } catch (cause) {
    throw new WritError('compiler_missing', 'OPA could not be compiled to WebAssembly', {
      cure: 'It takes Go 1.26 or newer, and its module proxy once.',
      cause,
    })
  } finally {
    await rm(temporary, { recursive: true, force: true })
  }
}

if (import.meta.main) {
  const out = join(source, '../../dist/rego/opa.wasm.br')
  await buildOpaModule({ go: process.env['GO'] ?? 'go', out })
  process.stdout.write(`${out}\n`)
}
