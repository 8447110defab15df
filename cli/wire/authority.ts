/** Moves the authority on by itself, and keeps every step of it before it is taken. */

import type { Authority, AuthorityOptions } from '../../ca/node/authority.ts'
import { openShared, type SharedState } from '../../ca/node/shared.ts'
import { vaultUpstream } from '../../ca/node/vault.ts'
import type { MeshSettings } from '../../control/mesh/settings.ts'
import { toBase64 } from '../../core/bytes.ts'
import { messageOf, WritError } from '../../core/fault.ts'
import type { TrustBundle } from '../../core/identity.ts'
import type { RecordSink } from '../../core/ports.ts'
import type { TrustBody } from '../../core/record.ts'
import { pause } from './pause.ts'
import { inEnvironment, rootKeysOf } from './root-keys.ts'
import type { OnEvent } from './telemetry.ts'

/** What the mesh file and the environment say of the authority. */
export const authorityOptions = ({
  svidTtlMs,
  roots,
  rootKeys,
  upstream,
}: Pick<MeshSettings, 'svidTtlMs' | 'roots' | 'rootKeys' | 'upstream'>): Pick<
  AuthorityOptions,
  'passphrase' | 'maxLeafMs' | 'times' | 'keys' | 'upstream'
> => ({
  passphrase: process.env['WRIT_CA_KEY'],
  maxLeafMs: svidTtlMs,
  times: { publishMs: roots.publishMs, skewMs: roots.keepMs },
  ...(rootKeys && { keys: rootKeysOf(rootKeys) }),
  ...(upstream && { upstream: vaultUpstream(upstream.vault) }),
})

/** What this control plane shares with others, where the mesh file says so. Keys are not shared unsealed. */
export async function openSharedState({
  sharedUrlEnv: name,
}: Pick<MeshSettings, 'sharedUrlEnv'>): Promise<SharedState | undefined> {
  if (name === undefined) return undefined
  if (!process.env['WRIT_CA_KEY']) {
    throw new WritError('config_invalid', 'keys of the authority would lie in a database as they are', {
      cure: 'set WRIT_CA_KEY, to the same passphrase for each control plane: openssl rand -base64 32',
    })
  }
  return openShared(inEnvironment(name, 'the URL of the database should be'))
}

type Later<T> = T | Promise<T>

/** Time between two looks at what is due, in milliseconds. */
const everyMs = 5000

export interface TendOptions {
  readonly authority: Authority
  readonly sink: RecordSink
  /** Names of the workloads that do not have the prepared root yet. */
  readonly waiting: () => Later<readonly string[]>
  /** Puts the serial number of an issuer on the deny list. */
  readonly deny: (serial: string) => Promise<void>
  readonly nowMs: () => number
  readonly onEvent: OnEvent
  /** Looks for alarms, each time that what is due has been done. */
  readonly look: () => Later<void>
}

export const trustEvent = ({ trustDomain, sequence, roots }: TrustBundle): TrustBody => ({
  kind: 'trust',
  trust_domain: trustDomain,
  sequence,
  roots: roots.map(toBase64),
})

/** Until the returned function is called; that resolves once nothing is under way any more. */
export function tendAuthority({
  authority,
  sink,
  waiting,
  deny,
  nowMs,
  onEvent,
  look,
}: TendOptions): () => Promise<void> {
  const stop = new AbortController()
  const heardSinceMs = nowMs()
  let told = authority.bundle().sequence
  authority.onChange(async ({ action, id, bundle, issuer }) => {
    const detail = `authority ${id}, bundle ${bundle.sequence}${issuer === undefined ? '' : `, issuer ${issuer}`}`
    await sink.keep({ kind: 'admin', action: `authority_${action}`, actor: 'control', detail })
    // Before it counts as denied: whoever dies in between denies it again.
    if (action === 'issuer_denied' && issuer !== undefined) await deny(issuer)
    if (bundle.sequence !== told) await sink.keep(trustEvent(bundle))
    told = bundle.sequence
    onEvent({ level: 'info', from: 'authority', text: `${action.replaceAll('_', ' ')}: ${detail}` })
  })

  const tending = tend()
  async function tend(): Promise<void> {
    for (let failures = 0; !stop.signal.aborted; ) {
      await pause(everyMs, stop.signal)
      if (stop.signal.aborted) return
      try {
        await authority.maintain({ waiting: await waiting(), heardSinceMs })
        failures = 0
      } catch (thrown) {
        if (failures++ === 0) onEvent({ level: 'error', from: 'authority', text: messageOf(thrown) })
      }
      await look()
    }
  }
  return async () => {
    stop.abort()
    await tending
  }
}
