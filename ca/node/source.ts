/** Where a process has its own identity from: a folder and the control plane, or an authority it holds itself. */

import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { equalBytes, toBase64 } from '../../core/bytes.ts'
import { messageOf, WritError } from '../../core/fault.ts'
import type { IdentityState } from '../../core/identity.ts'
import { isObject, parseJson } from '../../core/json.ts'
import type { RandomBytes } from '../../core/ports.ts'
import type { IssuanceBody } from '../../core/record.ts'
import { parseSpiffeId, type SpiffeId, trustDomainOf } from '../../core/spiffe.ts'
import { readSvid, verifySvid } from '../svid.ts'
import { readIssued, trustJson } from '../wire.ts'
import type { Authority } from './authority.ts'
import { newKeyPair, spkiOf, verifySignature } from './crypto.ts'
import { createText, privateFolder, readText, replaceText } from './files.ts'
import { issuanceBody } from './issuing.ts'
import { type IdentityEvent, type LiveIdentity, type Obtained, startRotation } from './rotate.ts'

export interface IdentitySourceOptions {
  /**
   * Holds `identity.json`, certificate, key and trust bundles, and `recovery.pem`, the key that stands for this process when
   * its certificate is over: mode 0600. Created with mode 0700 if missing.
   */
  readonly dir: string
  /** Whose identity this must be. Default whoever the join token names. */
  readonly id?: SpiffeId
  readonly obtain: {
    /** A first certificate. `recovery` is the PKCS#8 PEM of a key that may stand for it later. */
    readonly join: (recovery: string) => Promise<Obtained>
    readonly renew: (state: IdentityState, recovery: string) => Promise<Obtained>
    /** A new one after the last has expired; where that is refused, `join` is asked. Default `join`. */
    readonly recover?: (last: Obtained, recovery: string) => Promise<Obtained>
  }
  readonly nowMs: () => number
  readonly random: RandomBytes
  readonly onEvent: (event: IdentityEvent) => void
}

/** Wait between tries to join a control plane that does not answer, in milliseconds. */
const joinRetryMs = 2000

/**
 * Resolves once there is an identity. While the control plane does not answer it goes on trying, so that it does not
 * matter who starts first; a refusal rejects.
 */
export async function openIdentitySource(options: IdentitySourceOptions): Promise<LiveIdentity> {
  const { dir, id, obtain, nowMs, random, onEvent } = options
  privateFolder(dir)
  const path = join(dir, 'identity.json')
  const save = (next: Obtained): void => replaceText(path, textOf(next))
  const recovery = recoveryKey(join(dir, 'recovery.pem'))

  const again = async (last: Obtained | undefined): Promise<Obtained & { readonly kind: 'joined' | 'recovered' }> => {
    if (last && obtain.recover) {
      try {
        return { ...(await obtain.recover(last, recovery)), kind: 'recovered' }
      } catch (thrown) {
        if (!(thrown instanceof WritError) || thrown.code === 'unavailable') throw thrown
        onEvent({ kind: 'failed', fault: thrown, retryInMs: 0 })
      }
    }
    return { ...(await obtain.join(recovery)), kind: 'joined' }
  }

  /** Who slept while its issuer came on the deny list has a certificate that holds and that nobody takes. */
  const renewed = async (state: IdentityState): Promise<Obtained & { readonly kind: 'recovered' | 'renewed' }> => {
    try {
      return { ...(await obtain.renew(state, recovery)), kind: 'renewed' }
    } catch (thrown) {
      const refused = thrown instanceof WritError && ['unauthorized', 'forbidden'].includes(thrown.code)
      if (!refused || !obtain.recover) throw thrown
      return obtain.recover(state, recovery).then(
        (next) => ({ ...next, kind: 'recovered' as const }),
        () => Promise.reject(thrown),
      )
    }
  }

  const found = load(path)
  const stored = found && nowMs() >= found.svid.notBeforeMs && nowMs() <= found.svid.notAfterMs ? found : undefined
  if (stored && id && stored.svid.id !== id)
    throw wrongName(`${path} is the identity of ${stored.svid.id}, not of ${id}`)
  const last = id === undefined || found?.svid.id === id ? found : undefined
  const { kind, ...first } = stored
    ? { ...stored, kind: 'loaded' as const }
    : await patiently(() => again(last), onEvent)
  if (id && first.svid.id !== id) throw wrongName(`the join token is for ${first.svid.id}, not for ${id}`)
  if (!stored) save(first)
  onEvent({ kind, svid: first.svid })

  return startRotation({
    first,
    sinceMs: stored ? first.svid.notBeforeMs : nowMs(),
    renew: async (state) => (nowMs() > state.svid.notAfterMs ? again(state) : renewed(state)),
    save,
    nowMs,
    random,
    onEvent,
  })
}

const wrongName = (message: string): WritError =>
  new WritError('config_invalid', message, { cure: 'give each workload a folder and a join token of its own' })

/** Made once, before the first certificate: it is bound to the name that comes with that. */
function recoveryKey(path: string): string {
  createText(path, newKeyPair().keyPem)
  return readText(path)!
}

async function patiently<T>(obtain: () => Promise<T>, onEvent: IdentitySourceOptions['onEvent']): Promise<T> {
  for (;;) {
    try {
      return await obtain()
    } catch (thrown) {
      if (!(thrown instanceof WritError) || thrown.code !== 'unavailable') throw thrown
      onEvent({ kind: 'failed', fault: thrown, retryInMs: joinRetryMs })
      await sleep(joinRetryMs)
    }
  }
}

const version = 1

function textOf({ svid, bundles }: Obtained): string {
  const trust = [...bundles.values()].map(trustJson)
  return `${JSON.stringify({ v: version, id: svid.id, svid: svid.chain.map(toBase64), key: svid.keyPem, trust })}\n`
}

/** What was stored, if it is whole and held while it lasted. Anything else is had anew, so it need not be told apart. */
function load(path: string): Obtained | undefined {
  const text = readText(path)
  const value = text === undefined ? undefined : parseJson(text)
  if (!isObject(value) || value['v'] !== version || typeof value['id'] !== 'string') return undefined
  const id = parseSpiffeId(value['id'])
  const issued = readIssued(value)
  const keyPem = value['key']
  if (!id || !issued || typeof keyPem !== 'string') return undefined
  const bundles = new Map(issued.bundles.map((bundle) => [bundle.trustDomain, bundle]))
  const own = bundles.get(trustDomainOf(id))
  const read = readSvid(issued.chain)
  if ('wrong' in read) return undefined
  const answer = own && verifySvid(issued.chain, own, read.svid.chain[0].notAfterMs, verifySignature)
  if (!answer?.ok || answer.identity.id !== id || !isKeyOf(keyPem, answer.path[0]!.spki)) return undefined
  const { serial, notBeforeMs, notAfterMs } = answer.identity
  return { svid: { id, chain: issued.chain, keyPem, serial, notBeforeMs, notAfterMs }, bundles }
}

function isKeyOf(keyPem: string, spki: Uint8Array): boolean {
  try {
    return equalBytes(spkiOf(keyPem), spki)
  } catch {
    return false
  }
}

export interface LocalIdentityOptions {
  readonly nowMs: () => number
  readonly random: RandomBytes
  readonly onEvent?: (event: IdentityEvent) => void
  /** Life of each certificate, in milliseconds. Default one hour. */
  readonly ttlMs?: number
  /** Keeps each issuance before the certificate is in use; a rejection is a failed renewal. Default keeps nothing. */
  readonly keep?: (body: IssuanceBody) => unknown
}

/** For processes that hold the authority themselves: no token, no connection, nothing on disk but the authority. */
export async function localIdentitySource(
  authority: Authority,
  id: SpiffeId,
  options: LocalIdentityOptions,
): Promise<LiveIdentity> {
  const { nowMs, random, ttlMs, onEvent = () => {}, keep = () => {} } = options
  const issue = async (action: 'issued' | 'renewed', evidence: string): Promise<Obtained['svid']> => {
    const { spki, keyPem } = newKeyPair()
    const leaf = authority.issue({ id, spki, ...(ttlMs === undefined ? {} : { ttlMs }) })
    await keep(issuanceBody(action, id, evidence, leaf))
    return { id, keyPem, ...leaf }
  }
  try {
    const svid = await issue('issued', 'local')
    const own = authority.bundle()
    onEvent({ kind: 'joined', svid })
    return startRotation({
      first: { svid, bundles: new Map([[own.trustDomain, own]]) },
      sinceMs: nowMs(),
      renew: async (state) => ({
        kind: 'renewed',
        svid: await issue('renewed', `svid:${state.svid.serial}`),
        bundles: new Map(state.bundles).set(own.trustDomain, authority.bundle()),
      }),
      save: () => {},
      nowMs,
      random,
      onEvent,
    })
  } catch (cause) {
    if (cause instanceof WritError) throw cause
    throw new WritError('identity_unavailable', `no certificate for ${id}: ${messageOf(cause)}`, {
      cure: 'see the cause; the authority is in this process',
      cause,
    })
  }
}
