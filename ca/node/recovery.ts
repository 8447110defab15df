/** A workload whose certificate is over gets another one by a key of its own, bound to its name when it first came. */

import { messageOf, WritError } from '../../core/fault.ts'
import type { RecordSink } from '../../core/ports.ts'
import type { SpiffeId } from '../../core/spiffe.ts'
import { readSvid } from '../svid.ts'
import type { issuedJson } from '../wire.ts'
import { issuanceBody } from './issuing.ts'
import { provenDigest, type RecoveryProof } from './recovery-proof.ts'

export interface BoundKey {
  /** SHA-256 of the key, lower-case hex. */
  readonly digest: string
  readonly id: SpiffeId
  /** Whether the mesh file or an entry named the id when the key was bound. */
  readonly registered: boolean
  /** Of the last certificate that its holder was given. */
  readonly serial: string
  readonly notAfterMs: number
}

/** Keys that are bound. */
export interface RecoveryStore {
  find(digest: string): Promise<BoundKey | undefined>
  /** Those whose certificate ended before `forgetMs` make room. Rejects with `unavailable` where there is none. */
  put(key: BoundKey, forgetMs: number): Promise<void>
}

/** Most keys that are bound at a time. A workload beyond them needs a token again once its certificate is over. */
export const maxBound = 100_000

export const tooManyBound = (): WritError =>
  new WritError('unavailable', `${maxBound} recovery keys are bound`, { cure: 'shorten spec.identity.recovery' })

type Issued = Parameters<typeof issuedJson>[0]

export interface Recovery {
  /** Issues a first certificate or a newer one. A first one binds the key to its name; a newer one never does. */
  noted(
    how: 'first' | 'renewed',
    proof: RecoveryProof,
    csrDer: Uint8Array,
    issue: () => Issued | Promise<Issued>,
  ): Promise<Issued>
  /** A certificate for the name of a bound key. `source` is the address that a stranger's refusal is counted under. */
  recover(proof: RecoveryProof, csrDer: Uint8Array, source: string): Promise<Issued>
}

export interface RecoveryOptions {
  readonly store: RecoveryStore
  readonly issue: (id: SpiffeId, csrDer: Uint8Array, evidence: string) => Promise<Issued>
  readonly sink: RecordSink
  readonly nowMs: () => number
  /** Ids and serials that are refused. */
  readonly denied: () => ReadonlySet<string>
  /** Whether the mesh file or an entry names this id. */
  readonly isRegistered: (id: SpiffeId) => boolean
  /** How long after the end of its certificate a workload recovers, in milliseconds; 0 never. */
  readonly withinMs: () => number
  /** A key that could not be kept is no reason to refuse a certificate. */
  readonly onProblem: (text: string) => void
}

export function makeRecovery(options: RecoveryOptions): Recovery {
  const { store, issue, sink, nowMs, denied, isRegistered, withinMs, onProblem } = options

  async function note(how: 'first' | 'renewed', digest: string, { chain }: Issued): Promise<void> {
    const read = readSvid(chain)
    if ('wrong' in read || withinMs() === 0) return
    const { id } = read.svid
    const { serial, notAfterMs } = read.svid.chain[0]
    const known = how === 'first' ? undefined : await store.find(digest)
    if (how === 'renewed' && known?.id !== id) return
    const registered = known?.registered ?? isRegistered(id)
    await store.put({ digest, id, registered, serial, notAfterMs }, nowMs() - withinMs())
  }

  const kept = async (how: 'first' | 'renewed', digest: string, issued: Issued): Promise<Issued> => {
    await note(how, digest, issued).catch((thrown: unknown) => onProblem(messageOf(thrown)))
    return issued
  }

  function refusalOf({ id, serial, registered, notAfterMs }: BoundKey): string | undefined {
    if (denied().has(id)) return `${id} is on the deny list`
    if (denied().has(serial)) return `its certificate ${serial} is on the deny list`
    if (registered && !isRegistered(id)) return `${id} is registered no more`
    if (nowMs() > notAfterMs + withinMs()) return `its certificate ended at ${new Date(notAfterMs).toISOString()}`
    return undefined
  }

  return {
    async noted(how, proof, csrDer, first) {
      const digest = provenDigest(proof, csrDer)
      return kept(how, digest, await first())
    },

    async recover(proof, csrDer, source) {
      const digest = provenDigest(proof, csrDer)
      const held = withinMs() === 0 ? undefined : await store.find(digest)
      if (!held) {
        // A stranger's word: counted, not recorded one by one, so that nobody can fill the log with guesses.
        const detail = 'a recovery key that is bound to no name here'
        sink.refused({ listener: 'control/recover', source, code: 'identity_untrusted', detail })
        throw new WritError('unauthorized', detail, { cure })
      }
      const evidence = `recovery-key:${digest.slice(0, 8)}`
      const reason = refusalOf(held)
      if (reason !== undefined) {
        await sink.keep({ ...issuanceBody('refused', held.id, evidence), reason })
        throw new WritError('forbidden', `no recovery for ${held.id}: ${reason}`, { cure })
      }
      return kept('renewed', digest, await issue(held.id, csrDer, evidence))
    },
  }
}

const cure = 'join anew with a token, or with a proof of the platform'
