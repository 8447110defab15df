/** What the mesh door answers: joining, renewing, tokens, snapshots, bundles, the deny list, health, receipts and collection. */

import type { TLSSocket } from 'node:tls'
import type { Context } from 'hono'
import { z } from 'zod'
import { type RecoveryProof, readRecovery, recoveryHeader } from '../../ca/node/recovery-proof.ts'
import { issuedJson, type MintedToken, mintedJson, trustJson, trustNewsJson } from '../../ca/wire.ts'
import { fromBase64, toBase64 } from '../../core/bytes.ts'
import { WritError } from '../../core/fault.ts'
import type { Identity, TrustBundle } from '../../core/identity.ts'
import type { Json } from '../../core/json.ts'
import type { FindReceipt, Identify, KeyVault } from '../../core/ports.ts'
import { parseEpoch } from '../../core/record.ts'
import type { MeshSnapshot } from '../../core/snapshot.ts'
import type { SpiffeId } from '../../core/spiffe.ts'
import { type Health, type HealthReport, healthReport, type TrialHealth, type VersionHealth } from '../health.ts'
import type { PartOf } from '../parts.ts'
import { problemResponse } from '../problem.ts'
import { makeRate, type RateOptions } from '../rate.ts'
import { type Subscribe, waitOf, waitUntil } from '../wait.ts'
import { type CollectorParts, collectorRoutes } from './collector-routes.ts'
import { type DoorApp, type DoorEnv, doorApp, readJson } from './http.ts'
import { peers } from './peer.ts'
import { type RegistrationParts, registrationRoutes, tagOf } from './registration-routes.ts'

type Later<T> = T | Promise<T>

/** A new SVID and the bundles to trust. Certificates are DER, the leaf first. */
export interface Issued {
  readonly chain: readonly Uint8Array[]
  readonly bundles: readonly TrustBundle[]
}

export interface MeshRouteParts extends CollectorParts {
  readonly registrar: {
    /** `csr` is PKCS#10, DER; `source` the caller's address. Throws `token_invalid`, `certificate_invalid`. */
    join(token: string, csr: Uint8Array, source: string): Later<Issued>
    renew(identity: Identity, csr: Uint8Array): Later<Issued>
    /** A JWT-SVID in the peer's own name, for one audience or several. */
    mintJwt(identity: Identity, audience: string | readonly string[]): Later<MintedToken>
  }
  /** Certificates for those whose last one is over (ca/node/recovery.ts). Default none are given. */
  readonly recovery?: RecoveryPart
  /** Identities by registration entries. Default none are given. */
  readonly registration?: RegistrationParts
  readonly identify: Identify
  /** The roots of our own trust domain. */
  readonly trust: () => TrustBundle
  /** Those of the trust domains that this one federates with. Default none. */
  readonly foreign?: () => readonly TrustBundle[]
  /** Serial numbers of issuers whose certificates everybody renews at once. Default none. */
  readonly distrusted?: () => readonly string[]
  readonly partOf: PartOf
  /** Bytes of a bundle (.tar.gz) by its digest. */
  readonly bundle: (sha256: string) => Later<Uint8Array | undefined>
  /** Bytes of data that policies read beside their bundles, by its digest. Default there is none. */
  readonly data?: (sha256: string) => Later<Uint8Array | undefined>
  /** Time since a version was last seen to be the newest, in milliseconds. Default nobody knows. */
  readonly dataAgeMs?: (name: string, sha256: string) => number | undefined
  readonly denied: () => { readonly generation: number; readonly denied: ReadonlySet<string> }
  /** Calls back when the snapshot or the deny list has changed. */
  readonly subscribe: Subscribe
  readonly findReceipt: FindReceipt
  /** Keeps keys of disclosures. Default nobody does. */
  readonly vault?: KeyVault | undefined
  readonly health: Health
  /** Each report of a workload's proxy, once it is kept. */
  readonly onReport?: (id: SpiffeId, report: HealthReport) => Later<void>
  /** Who asks for trust bundles, and the sequence of ours where they showed that they have it. */
  readonly onTrust?: (identity: Identity, sequence: number | undefined) => void
  /** What a workload's proxy says of policies on trial. */
  readonly onTrials?: (id: SpiffeId, trials: readonly TrialHealth[]) => Later<void>
  /** What it says of backends on trial. */
  readonly onVersions?: (id: SpiffeId, versions: readonly VersionHealth[]) => Later<void>
  readonly nowMs: () => number
  /** Joins per source address. Default: 128 at once, 2 a second, 4096 sources remembered. */
  readonly joinRate?: RateOptions
}

/** ca/node/recovery.ts */
export interface RecoveryPart {
  noted(how: 'first' | 'renewed', proof: RecoveryProof, csr: Uint8Array, issue: () => Later<Issued>): Promise<Issued>
  recover(proof: RecoveryProof, csr: Uint8Array, source: string): Promise<Issued>
}

const maxBodyBytes = 16 * 1024
const joinBody = z.strictObject({ token: z.string().min(1).max(1024), csr: z.string().max(maxBodyBytes) })
const renewBody = z.strictObject({ csr: z.string().max(maxBodyBytes) })
/** Printable and without spaces, so that it stands in records as it is. */
const audience = z.string().regex(/^[\x21-\x7e]{1,2048}$/, 'is not 1 to 2048 visible characters')
const jwtBody = z.strictObject({ audience: z.union([audience, z.array(audience).min(1).max(16)]) })

const keyBody = z.strictObject({
  id: z.string().regex(/^[0-9a-f]{32}$/),
  subject: z.string().min(1).max(8192),
  key: z.string().length(44),
})

/** `closing` ends the waits of long polls. */
export function meshRoutes(parts: MeshRouteParts, closing: AbortSignal): DoorApp {
  const app = doorApp(parts.unexpected)
  const peerOf = peers()
  const mayJoin = makeRate(parts.joinRate ?? { burst: 128, perSecond: 2, sources: 4096 })

  app.get('/v1/trust', () => json(trustJson(parts.trust())))

  app.post('/v1/join', async (c) => {
    if (!mayJoin(addressOf(c), parts.nowMs())) return tooManyJoins()
    const { token, csr } = await readJson(c.req.raw, maxBodyBytes, joinBody)
    const der = derOf(csr)
    return json(issuedJson(await noted('first', c, der, () => parts.registrar.join(token, der, addressOf(c)))))
  })

  app.post('/v1/recover', async (c) => {
    if (!mayJoin(addressOf(c), parts.nowMs())) return tooManyJoins()
    const { csr } = await readJson(c.req.raw, maxBodyBytes, renewBody)
    const proof = readRecovery(c.req.header(recoveryHeader) ?? '')
    if (!parts.recovery) throw new WritError('unauthorized', 'no recovery keys are taken here')
    return json(issuedJson(await parts.recovery.recover(proof, derOf(csr), addressOf(c))))
  })

  app.route('/', collectorRoutes(parts))

  // Everything below is for workloads that prove their name, again on every request.
  const mesh = <Path extends string>(
    method: 'get' | 'post',
    path: Path,
    answer: (c: Context<DoorEnv, Path>, identity: Identity) => Later<Response>,
  ): void => {
    app[method](path, async (c) => {
      const identified = await parts.identify(peerOf(socketOf(c)), parts.nowMs())
      if (identified.ok) return answer(c as unknown as Context<DoorEnv, Path>, identified.identity)
      const { code, detail } = identified
      parts.sink.refused({ listener: 'control/mesh', source: addressOf(c), code, detail })
      return problemResponse({ code, detail, headers: { connection: 'close' } })
    })
  }

  if (parts.registration) {
    registrationRoutes(app, {
      registration: parts.registration,
      nowMs: parts.nowMs,
      mayAsk: (source) => mayJoin(source, parts.nowMs()),
      evidenceOf: (c) => peerOf(socketOf(c)).evidence,
      ...{ addressOf, mesh, news, noted },
    })
  }

  mesh('get', '/v1/trust-bundles', async (c, identity) => {
    const bundles = (): readonly TrustBundle[] => [parts.trust(), ...(parts.foreign?.() ?? [])]
    const distrusted = (): readonly string[] => parts.distrusted?.() ?? []
    const tag = (): string =>
      tagOf([...bundles().map(({ trustDomain, sequence }) => `${trustDomain}:${sequence}`), ...distrusted()])
    // Who shows a version has it in use: that is the word that a new root waits for.
    parts.onTrust?.(identity, c.req.header('if-none-match') === tag() ? parts.trust().sequence : undefined)
    if (!(await news(c, identity, tag))) return notModified(tag())
    const newest = trustNewsJson({ bundles: bundles(), distrusted: distrusted() })
    return c.json(newest as object, 200, { etag: tag() })
  })

  mesh('post', '/v1/renew', async (c, identity) => {
    const { csr } = await readJson(c.req.raw, maxBodyBytes, renewBody)
    const der = derOf(csr)
    return json(issuedJson(await noted('renewed', c, der, () => parts.registrar.renew(identity, der))))
  })

  mesh('post', '/v1/jwt', async (c, identity) => {
    const { audience } = await readJson(c.req.raw, maxBodyBytes, jwtBody)
    return json(mintedJson(await parts.registrar.mintJwt(identity, audience)))
  })

  mesh('get', '/v1/snapshot', async (c, identity) => {
    const part = (): MeshSnapshot => {
      const found = parts.partOf(identity.id)
      if (found) return found
      throw notOfTheMesh(identity.id)
    }
    const tag = (): string => `"${part().name}"`
    if (!(await news(c, identity, tag))) return notModified(tag())
    return c.json(part(), 200, { etag: tag() })
  })

  mesh('get', '/v1/bundles/:sha256', async (c, identity) => {
    const sha256 = c.req.param('sha256')
    const own = parts.partOf(identity.id)?.bundles.some((ref) => ref.sha256 === sha256)
    const bytes = own ? await parts.bundle(sha256) : undefined
    if (!bytes)
      throw new WritError('not_found', `no bundle ${sha256} for ${identity.id}`, { cure: 'get the snapshot again' })
    return c.body(new Uint8Array(bytes), 200, { 'content-type': 'application/gzip', etag: `"${sha256}"` })
  })

  mesh('get', '/v1/data/:sha256', async (c, identity) => {
    const sha256 = c.req.param('sha256')
    const own = parts.partOf(identity.id)?.data?.some(({ version }) => version?.sha256 === sha256)
    const bytes = own ? await parts.data?.(sha256) : undefined
    if (!bytes)
      throw new WritError('not_found', `no data ${sha256} for ${identity.id}`, { cure: 'get the snapshot again' })
    return c.body(new Uint8Array(bytes), 200, { 'content-type': 'application/octet-stream', etag: `"${sha256}"` })
  })

  mesh('get', '/v1/data-freshness', (c, identity) => {
    const uses = parts.partOf(identity.id)?.data ?? []
    const data = uses.flatMap(({ name, version }) => {
      const ageMs = version && parts.dataAgeMs?.(name, version.sha256)
      return ageMs === undefined ? [] : [{ name, sha256: version!.sha256, age_ms: ageMs }]
    })
    return c.json({ data }, 200)
  })

  mesh('get', '/v1/denied', async (c, identity) => {
    const tag = (): string => `"${parts.denied().generation}"`
    if (!(await news(c, identity, tag))) return notModified(tag())
    const { generation, denied } = parts.denied()
    return c.json({ generation, denied: [...denied] }, 200, { etag: `"${generation}"` })
  })

  mesh('post', '/v1/status', async (c, { id }) => {
    const report = await readJson(c.req.raw, maxBodyBytes, healthReport)
    if (!parts.partOf(id)) throw notOfTheMesh(id)
    parts.health.keep(id, report, parts.nowMs())
    if (report.trials) await parts.onTrials?.(id, report.trials)
    if (report.versions) await parts.onVersions?.(id, report.versions)
    await parts.onReport?.(id, report)
    return c.body(null, 204)
  })

  mesh('post', '/v1/disclosure-keys', async (c, { id }) => {
    if (!parts.partOf(id)) throw notOfTheMesh(id)
    const { id: name, subject, key } = await readJson(c.req.raw, maxBodyBytes, keyBody)
    if (!parts.vault) throw new WritError('unavailable', 'control keeps no keys of disclosures')
    await parts.vault.put({ id: name, subject, key: fromBase64(key) ?? new Uint8Array() })
    return c.body(null, 204)
  })

  mesh('get', '/v1/receipts/:epoch/:seq', async (c) => {
    const epoch = parseEpoch(c.req.param('epoch'))
    const seq = /^(?:0|[1-9][0-9]{0,15})$/.test(c.req.param('seq')) ? Number(c.req.param('seq')) : Number.NaN
    const receipt = epoch && Number.isSafeInteger(seq) ? await parts.findReceipt({ epoch, seq }) : undefined
    if (!receipt)
      throw new WritError('not_found', 'no checkpoint covers this record yet', { cure: 'ask again in a few seconds' })
    return c.json({ index: receipt.index, path: receipt.path.map(toBase64), note: receipt.note })
  })

  /** What is issued, with the recovery key that came beside the request, if one did. */
  async function noted(
    how: 'first' | 'renewed',
    c: Context<DoorEnv>,
    csr: Uint8Array,
    issue: () => Later<Issued>,
  ): Promise<Issued> {
    const text = parts.recovery && c.req.header(recoveryHeader)
    return text === undefined ? issue() : parts.recovery!.noted(how, readRecovery(text), csr, issue)
  }

  /** False where the caller has this version already, after the wait that it asked for. */
  async function news(c: Context<DoorEnv>, identity: Identity, tag: () => string): Promise<boolean> {
    const has = c.req.header('if-none-match')
    if (has === undefined) return true
    const gone = AbortSignal.any([closing, c.req.raw.signal])
    const changed = await waitUntil(() => tag() !== has, parts.subscribe, waitOf(c.req.header('prefer')), gone)
    if (!changed) return false
    // The name may have been lost while the request waited.
    const again = await parts.identify(peerOf(socketOf(c)), parts.nowMs())
    if (again.ok && again.identity.id === identity.id) return true
    throw new WritError('forbidden', 'the identity ended while the request waited')
  }

  return app
}

const socketOf = (c: Context<DoorEnv>): TLSSocket => c.env.incoming.socket as TLSSocket
const addressOf = (c: Context<DoorEnv>): string => c.env.incoming.socket.remoteAddress ?? ''

const json = (value: Json): Response => Response.json(value)

const tooManyJoins = (): Response => {
  const detail = 'too many joins from this address'
  return problemResponse({ code: 'unavailable', status: 429, detail, headers: { 'retry-after': '5' } })
}

const notModified = (etag: string): Response => new Response(null, { status: 304, headers: { etag } })

const notOfTheMesh = (id: SpiffeId): WritError =>
  new WritError('forbidden', `no workload of this mesh is ${id}`, {
    cure: 'add a Workload document with this identity',
  })

function derOf(text: string): Uint8Array {
  const der = fromBase64(text)
  if (der) return der
  throw new WritError('certificate_invalid', 'the csr is not base64', {
    cure: 'send the PKCS#10 request as base64 DER',
  })
}
