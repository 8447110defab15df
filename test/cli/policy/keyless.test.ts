import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, expect, vi } from 'vitest'
import { buildCommand } from '../../../cli/policy-build.ts'
import { openPolicySources } from '../../../cli/wire/policy-sources.ts'
import type { EventBody } from '../../../core/record.ts'
import { pollingDefaults } from '../../../engine/poll.ts'
import { type Issuer, openIssuer, subject } from '../../engine/issuer.ts'
import { openBundleServer } from '../../engine/node/bundle-server.ts'
import { needs } from '../../parts/needs.ts'
import { bankIn, printed, temporary } from '../recorded.ts'

const test = needs('opa')

afterEach(() => {
  vi.unstubAllEnvs()
})

/** A bundle of the bank, built where the CI gives tokens. */
async function built(): Promise<{ readonly bundle: Uint8Array; readonly issuer: Issuer }> {
  const issuer = await openIssuer(Math.floor(Date.now() / 1000))
  for (const [name, value] of Object.entries(issuer.env)) vi.stubEnv(name, value)
  const folder = await bankIn(await temporary(), (edges) => edges)
  expect((await printed(buildCommand(), folder, '--keyless')).out).toMatch(/written\n$/)
  return { bundle: new Uint8Array(await readFile(join(folder, 'bundle.tar.gz'))), issuer }
}

/** What control records of a source that gives it. */
async function recorded(bundle: Uint8Array, issuer: Issuer, wanted: string): Promise<readonly EventBody[]> {
  const dir = await temporary()
  await writeFile(join(dir, 'keys.json'), JSON.stringify(issuer.jwks))
  const server = await openBundleServer()
  server.give(bundle)
  const events: EventBody[] = []
  const sources = openPolicySources({
    ...{ dir: join(dir, 'kept'), meshFile: join(dir, 'mesh.yaml'), onEvent: () => undefined },
    now: () => BigInt(Date.now()) * 1_000_000n,
  })
  try {
    const keyless = { issuer: issuer.url, subject: wanted, jwksFile: 'keys.json' }
    await sources.follow([{ name: 'bank', url: server.url, polling: pollingDefaults, verification: { keyless } }])
    const keep = async (event: EventBody) => void events.push(event)
    sources.attach({ keep } as unknown as Parameters<typeof sources.attach>[0], () => undefined)
    await vi.waitFor(() => expect(events).not.toEqual([]), { timeout: 10_000 })
    return events
  } finally {
    await sources.close()
    await server.close()
  }
}

test('control records who signed a bundle that it takes, and refuses one of another name', async () => {
  const { bundle, issuer } = await built()
  const detail = expect.stringMatching(
    new RegExp(`^bank [0-9a-f]{16} [0-9a-f]{64}: signed by ${subject} of ${issuer.url} at \\d`),
  )
  expect(await recorded(bundle, issuer, 'repo:acme/*:ref:refs/heads/main')).toMatchObject([
    { action: 'policy_signed', detail },
  ])
  expect(await recorded(bundle, issuer, 'repo:acme/*:ref:refs/heads/release')).toMatchObject([
    { action: 'policy_refused', detail: expect.stringContaining('it was signed by') as string },
  ])
})

test('--keyless takes no key that is kept, and no token without its key', async () => {
  const folder = await bankIn(await temporary(), (edges) => edges)
  await expect(printed(buildCommand(), folder, '--keyless', '--key-id', 'a')).rejects.toMatchObject({ code: 'usage' })
  await expect(printed(buildCommand(), folder, '--identity-token', 'x')).rejects.toMatchObject({ code: 'usage' })
  vi.stubEnv('WRIT_ID_TOKEN', 'x')
  await expect(printed(buildCommand(), folder, '--keyless')).rejects.toMatchObject({ code: 'unauthorized' })
})
