/** An OCI registry, the reference one, with one user, and a way to push a bundle as `oras push` does. */

import { createHash } from 'node:crypto'
import { mkdtemp, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Child, startChild } from './child.ts'
import { debianProgram } from './find.ts'
import { type Part, type Running, running } from './part.ts'
import { freePort, portAnswers } from './ports.ts'

export const registry: Part = {
  install: 'docker-registry (Debian: apt-get install docker-registry)',
  prepare: (say) => debianProgram('docker-registry', 'docker-registry', say),
}

/** The one who may push and pull. The hash is bcrypt's, which is all that the registry reads. */
export const registryUser = 'writ:secret'
const htpasswd = 'writ:$2a$04$gP3cOwux21kt6C.xV9/juOfcYAekj2pIp6t1/P5Jmx.gEerICVfGW\n'

export interface RunningRegistry extends Running {
  readonly url: string
  /** Puts the bytes there as the one layer of a manifest under that tag; resolves with the manifest's digest. */
  push(repository: string, tag: string, bundle: Uint8Array): Promise<string>
}

export async function startRegistry(): Promise<RunningRegistry> {
  const program = await registry.prepare(() => undefined)
  const folder = await mkdtemp(join(tmpdir(), 'writ-registry-'))
  const port = await freePort()
  const url = `http://127.0.0.1:${port}`
  await writeFile(join(folder, 'htpasswd'), htpasswd)
  const settings = {
    version: 0.1,
    log: { level: 'warn' },
    storage: { filesystem: { rootdirectory: join(folder, 'data') } },
    http: { addr: `127.0.0.1:${port}` },
    auth: { htpasswd: { realm: 'writ', path: join(folder, 'htpasswd') } },
  }
  await writeFile(join(folder, 'registry.yml'), JSON.stringify(settings)) // JSON is YAML.
  const start = async (): Promise<Child> => {
    const child = startChild(program, ['serve', join(folder, 'registry.yml')])
    await portAnswers(port, 10_000, child.ended)
    return child
  }
  return { ...(await running(folder, start)), url, push: (...what) => push(url, ...what) }
}

const authorization = `Basic ${Buffer.from(registryUser).toString('base64')}`

async function push(url: string, repository: string, tag: string, bundle: Uint8Array): Promise<string> {
  const config = new TextEncoder().encode('{}')
  const manifest = JSON.stringify({
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    config: { mediaType: 'application/vnd.oci.image.config.v1+json', ...(await blob(url, repository, config)) },
    layers: [{ mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip', ...(await blob(url, repository, bundle)) }],
  })
  await ask(`${url}/v2/${repository}/manifests/${tag}`, {
    method: 'PUT',
    headers: { 'content-type': 'application/vnd.oci.image.manifest.v1+json' },
    body: manifest,
  })
  return digestOf(manifest)
}

async function blob(url: string, repository: string, bytes: Uint8Array): Promise<{ digest: string; size: number }> {
  const digest = digestOf(bytes)
  const upload = await ask(`${url}/v2/${repository}/blobs/uploads/`, { method: 'POST' })
  const place = new URL(upload.headers.get('location')!, url)
  place.searchParams.set('digest', digest)
  await ask(place, { method: 'PUT', body: bytes as Uint8Array<ArrayBuffer> })
  return { digest, size: bytes.length }
}

async function ask(url: string | URL, request: RequestInit): Promise<Response> {
  const response = await fetch(url, { ...request, headers: { ...request.headers, authorization } })
  if (!response.ok) throw new Error(`${request.method} ${url}: ${response.status} ${await response.text()}`)
  return response
}

export const digestOf = (bytes: Uint8Array | string): string =>
  `sha256:${createHash('sha256').update(bytes).digest('hex')}`
