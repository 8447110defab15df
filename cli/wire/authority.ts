/** Moves the authority on by itself, and keeps every step of it before it is taken. */

import { credentialsIn } from '../../audit/node/objects/place.ts'
import { signerOf } from '../../audit/node/objects/s3.ts'
import type { Authority, AuthorityOptions } from '../../ca/node/authority.ts'
import { awsKmsRootKeys } from '../../ca/node/aws-kms.ts'
import { pkcs11RootKeys } from '../../ca/node/pkcs11.ts'
import type { RootKeys } from '../../ca/node/root-keys.ts'
import { openShared, type SharedState } from '../../ca/node/shared.ts'
import { vaultUpstream } from '../../ca/node/vault.ts'
import type { MeshSettings } from '../../control/mesh/settings.ts'
import { toBase64 } from '../../core/bytes.ts'
import { messageOf, WritError } from '../../core/fault.ts'
import type { TrustBundle } from '../../core/identity.ts'
import type { RecordSink } from '../../core/ports.ts'
import type { TrustBody } from '../../core/record.ts'
import { random } from './machine.ts'
import { pause } from './pause.ts'
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

function rootKeysOf({ pkcs11, awsKms }: NonNullable<MeshSettings['rootKeys']>): RootKeys {
  if (pkcs11) {
    return pkcs11RootKeys({ ...pkcs11, pin: inEnvironment(pkcs11.pinEnv, 'the PIN of the token should be') }, random)
  }
  const { region, endpoint } = awsKms! // The schema wants one of them.
  return awsKmsRootKeys({
    ...{ region, endpoint },
    sign: (...request) => {
      const credentials = credentialsIn(process.env)
      if (credentials) return signerOf({ region, credentials }, 'kms')(...request)
      throw new WritError('config_invalid', 'nothing says in whose name AWS KMS is asked', {
        cure: 'export AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (and AWS_SESSION_TOKEN)',
      })
    },
  })
}

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

function inEnvironment(name: string, what: string): string {
  const value = process.env[name]
  if (value) return value
  throw new WritError('config_invalid', `the environment has no ${name}, where ${what}`, {
    cure: `export ${name}, or take what names it out of the mesh file`,
  })
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
