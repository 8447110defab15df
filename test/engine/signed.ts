/** Signs bundles in tests, by hand and with OPA itself. */

import { execFile } from 'node:child_process'
import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { gunzipSync } from 'node:zlib'
import { CompactSign } from 'jose'
import { toHex, utf8 } from '../../core/bytes.ts'
import type { Json } from '../../core/json.ts'
import { readTar, type TarFile } from '../../engine/tar.ts'

export interface Pair {
  readonly privatePem: string
  readonly publicPem: string
  readonly privateKey: KeyObject
}

export function keyPair(kind: 'P-256' | 'P-384' | 'P-521' | 'rsa' = 'P-256'): Pair {
  const { privateKey, publicKey } =
    kind === 'rsa'
      ? generateKeyPairSync('rsa', { modulusLength: 2048 })
      : generateKeyPairSync('ec', { namedCurve: kind })
  return {
    privateKey,
    privatePem: privateKey.export({ type: 'pkcs8', format: 'pem' }) as string,
    publicPem: publicKey.export({ type: 'spki', format: 'pem' }) as string,
  }
}

export const filesOf = (bundle: Uint8Array): readonly TarFile[] => readTar(gunzipSync(bundle), 1000)

/** A payload's entry for a file that is hashed by its bytes. */
export async function entryFor(name: string, bytes: Uint8Array, algorithm = 'SHA-256'): Promise<Json> {
  const digest = await crypto.subtle.digest(algorithm, bytes as Uint8Array<ArrayBuffer>)
  return { name, hash: toHex(new Uint8Array(digest)), algorithm }
}

export async function signatureOver(
  claims: Json,
  key: KeyObject | Uint8Array,
  header: { readonly alg: string; readonly kid?: string },
): Promise<TarFile> {
  const token = await new CompactSign(utf8(JSON.stringify(claims))).setProtectedHeader(header).sign(key)
  return { name: '.signatures.json', bytes: utf8(JSON.stringify({ signatures: [token] })) }
}

/** `opa build` of one Rego file and its data, with these flags; what it signs is what any OPA serves. */
export async function opaBuild(
  opa: string,
  options: {
    readonly rego?: string
    /** A second Rego file. */
    readonly more?: string
    readonly data?: string
    readonly flags?: readonly string[]
    readonly key?: Pair
  },
): Promise<Uint8Array> {
  const dir = await mkdtemp(join(tmpdir(), 'writ-opa-'))
  try {
    const rego = options.rego ?? 'package app.authz\n# METADATA\n# entrypoint: true\ndefault allow := false\n'
    await writeFile(join(dir, 'policy.rego'), rego)
    await writeFile(join(dir, 'data.json'), options.data ?? '{"app": {"limit": 3}}')
    if (options.more !== undefined) await writeFile(join(dir, 'more.rego'), options.more)
    if (options.key) await writeFile(join(dir, 'key.pem'), options.key.privatePem)
    const signing = options.key ? ['--signing-key', 'key.pem'] : []
    const args = ['build', '-t', 'wasm', '-b', '.', '--ignore', '*.pem', '-o', 'out.tar.gz']
    await promisify(execFile)(opa, [...args, ...signing, ...(options.flags ?? [])], { cwd: dir })
    return new Uint8Array(await readFile(join(dir, 'out.tar.gz')))
  } finally {
    await rm(dir, { recursive: true, force: true })
  }
}
