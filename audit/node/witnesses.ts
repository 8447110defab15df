/**
 * Asks witnesses for their cosignatures (C2SP tlog-witness) while the log goes on: nothing waits for them. A round takes
 * the newest checkpoint of a shard to all of them, so that cosignatures meet on one.
 */

import { equalBytes, fromUtf8 } from '../../core/bytes.ts'
import { messageOf } from '../../core/fault.ts'
import type { Checkpoint, SignedCheckpoint } from '../../core/log.ts'
import type { Sha256 } from '../../core/ports.ts'
import { type CosignerKey, cosignaturesOf, withLines } from '../log/cosignature.ts'
import { consistencyProof } from '../log/merkle.ts'
import { notSignedBy, parseNote } from '../log/note.ts'
import { type LogPolicy, meetsQuorum, quorumOf } from '../log/policy.ts'
import { hashesFromTiles, type TileReader } from '../log/tiles.ts'
import { formatAddCheckpoint } from '../log/witness.ts'
import { verifyEd25519 } from './ed25519.ts'

export interface WitnessPlace {
  /** Submission prefix: `add-checkpoint` is asked for below it. https, or http on loopback. */
  readonly url: string
  readonly key: CosignerKey
}

export interface WitnessesSettings {
  readonly witnesses: readonly WitnessPlace[]
  /** How many of them make a checkpoint a witnessed one. */
  readonly quorum: number
  readonly sha256: Sha256
  readonly nowMs: () => number
  readonly onEvent: (event: WitnessingEvent) => void
  /** Shortest time between two rounds of a shard, in milliseconds. Default 1000. */
  readonly everyMs?: number
  /** Longest wait for a witness, in milliseconds. One that is late is left alone for a while. Default 5000. */
  readonly timeoutMs?: number
}

export type WitnessingEvent =
  | { readonly kind: 'witnessed'; readonly shard: number; readonly size: number; readonly count: number }
  /** Told when it begins and when its reason changes. */
  | { readonly kind: 'witness_failed'; readonly shard: number; readonly witness: string; readonly why: string }

/** A shard's checkpoint, the files that it is proven from, and where to bring the cosignatures. */
export interface Offer {
  readonly shard: number
  readonly signed: SignedCheckpoint
  readonly read: TileReader
  /** `note` has all signature lines so far; `met` where they make the quorum. Called once or twice a round. */
  readonly cosigned: (note: string, met: boolean) => Promise<void>
}

export interface Witnesses {
  /** Begins a round unless one is under way, was just done, or has nothing to ask for. */
  offer(offer: Offer): void
  /** Resolves when no round is under way. */
  settled(): Promise<void>
  close(): Promise<void>
}

/** After a failure a witness is left alone for a second, then two, four, up to this, in milliseconds. */
const longestPauseMs = 60_000

/** A cosignature takes 200 bytes; no witness has more to say than this. */
const maxAnswerBytes = 64 * 1024

/** What is known of one witness and shard. */
interface Standing {
  /** Size that it cosigned last; undefined until it said so. */
  size: number | undefined
  failures: number
  retryAtMs: number
  told: string | undefined
}

/** The last round of a shard. */
interface Round {
  readonly size: number
  readonly nextAtMs: number
  /** Lines over the checkpoint of that size. */
  readonly done: Map<WitnessPlace, string>
  readonly running: Promise<void> | undefined
}

export function openWitnesses(settings: WitnessesSettings): Witnesses {
  const { witnesses, sha256, nowMs, onEvent } = settings
  const policy: LogPolicy = quorumOf(undefined, witnesses, settings.quorum)
  const standings = new Map<string, Standing>()
  const rounds = new Map<number, Round>()
  const closing = new AbortController()

  function standingOf(shard: number, { url }: WitnessPlace): Standing {
    const id = `${shard} ${url}`
    const standing = standings.get(id) ?? { size: undefined, failures: 0, retryAtMs: 0, told: undefined }
    standings.set(id, standing)
    return standing
  }

  async function askOne(offer: Offer, witness: WitnessPlace): Promise<string | undefined> {
    const standing = standingOf(offer.shard, witness)
    try {
      const line = await ask(offer, witness, standing)
      standing.failures = 0
      standing.told = undefined
      return line
    } catch (thrown) {
      if (closing.signal.aborted) return undefined
      const why = messageOf(thrown)
      standing.retryAtMs = nowMs() + Math.min(1000 * 2 ** standing.failures++, longestPauseMs)
      if (standing.told !== why)
        onEvent({ kind: 'witness_failed', shard: offer.shard, witness: witness.key.cosigner, why })
      standing.told = why
      return undefined
    }
  }

  /** The cosignature line. A witness that stands elsewhere says where, and is asked once more from there. */
  async function ask({ signed, read }: Offer, witness: WitnessPlace, standing: Standing): Promise<string> {
    const { checkpoint, note } = signed
    for (let tries = 0; tries < 2; tries++) {
      const old = standing.size ?? 0
      if (old > checkpoint.size)
        throw new Error(`it has cosigned a tree of ${old}, and this log has ${checkpoint.size}`)
      const hashAt = hashesFromTiles(sha256, read, checkpoint.size)
      const proof = old === 0 ? [] : await consistencyProof(sha256, old, checkpoint.size, hashAt)
      const { status, type, text } = await post(witness, formatAddCheckpoint({ old, proof, note }))
      if (status === 200) {
        const line = await lineBy(witness.key, note, text)
        standing.size = checkpoint.size
        return line
      }
      const size = /^(0|[1-9]\d{0,15})\n$/.exec(text)?.[1]
      if (status !== 409 || type !== 'text/x.tlog.size' || size === undefined)
        throw new Error(faultOf(status, checkpoint))
      standing.size = Number(size)
    }
    throw new Error('it stands elsewhere each time it is asked')
  }

  async function post(
    { url }: WitnessPlace,
    body: string,
  ): Promise<{ readonly status: number; readonly type: string; readonly text: string }> {
    const response = await fetch(`${url.replace(/\/$/, '')}/add-checkpoint`, {
      method: 'POST',
      body,
      redirect: 'error',
      signal: AbortSignal.any([closing.signal, AbortSignal.timeout(settings.timeoutMs ?? 5000)]),
    })
    const type = (response.headers.get('content-type') ?? '').split(';')[0]!.trim()
    return { status: response.status, type, text: await bounded(response) }
  }

  async function round(offer: Offer, asked: readonly WitnessPlace[], done: Map<WitnessPlace, string>): Promise<void> {
    const { shard, signed } = offer
    let told = done.size
    const tell = async (): Promise<void> => {
      if (done.size === told) return
      told = done.size
      const met = meetsQuorum(
        policy,
        [...done.keys()].map(({ key }) => key),
      )
      // What is offered may have lines of a run before: of each witness the newest stays, or a log at rest grows its note.
      const others = notSignedBy(
        signed.note,
        [...done.keys()].map(({ key }) => ({ name: key.cosigner, id: key.id })),
      )
      await offer.cosigned(withLines(others, [...done.values()]), met)
      if (met) onEvent({ kind: 'witnessed', shard, size: signed.checkpoint.size, count: done.size })
    }
    await Promise.all(
      asked.map(async (witness) => {
        const line = await askOne(offer, witness)
        if (line === undefined) return
        done.set(witness, line)
        if (done.size === settings.quorum) await tell() // Who is slower does not hold back what is enough.
      }),
    )
    await tell()
  }

  return {
    offer: (offer) => {
      const { shard, signed } = offer
      const { size } = signed.checkpoint
      const before = rounds.get(shard)
      if (closing.signal.aborted || before?.running || nowMs() < (before?.nextAtMs ?? 0)) return
      const done = new Map(before?.size === size ? before.done : [])
      const asked = witnesses.filter((one) => !done.has(one) && nowMs() >= standingOf(shard, one).retryAtMs)
      if (asked.length === 0) return
      const state = { size, done, nextAtMs: nowMs() + (settings.everyMs ?? 1000), running: undefined }
      const running = round(offer, asked, done)
        .catch((thrown: unknown) => {
          if (closing.signal.aborted) return
          onEvent({ kind: 'witness_failed', shard, witness: 'all', why: `not published: ${messageOf(thrown)}` })
        })
        .finally(() => rounds.set(shard, state))
      rounds.set(shard, { ...state, running })
    },
    settled: async () => {
      await Promise.all([...rounds.values()].map(({ running }) => running))
    },
    close: async () => {
      closing.abort()
      await Promise.all([...rounds.values()].map(({ running }) => running))
    },
  }
}

/** The line that this key signed, which holds. Other lines are none of ours. */
async function lineBy(key: CosignerKey, note: string, lines: string): Promise<string> {
  const text = `${parseNote(note)!.text}\n${lines}`
  const cosigned = await cosignaturesOf(text, [key], verifyEd25519)
  if (!cosigned.ok) throw new Error(`it answered with no signature lines that hold: ${cosigned.detail}`)
  const signatures = parseNote(text)!.signatures
  const at = signatures.findIndex(({ name, keyId }) => name === key.cosigner && equalBytes(keyId, key.id))
  if (at < 0) throw new Error('it did not sign with the key that it is known by')
  return lines.split('\n')[at]!
}

function faultOf(status: number, { origin, size }: Checkpoint): string {
  switch (status) {
    case 404:
      return `it does not know ${origin} (404)`
    case 403:
      return `it trusts another key for ${origin} (403)`
    case 422:
      return `it says that the tree of ${size} does not extend what it cosigned (422)`
    default:
      return `it answered ${status}`
  }
}

async function bounded(response: Response): Promise<string> {
  const chunks: Uint8Array[] = []
  let length = 0
  for await (const chunk of response.body ?? []) {
    length += chunk.length
    if (length > maxAnswerBytes) throw new Error(`its answer is longer than ${maxAnswerBytes} bytes`)
    chunks.push(chunk)
  }
  return fromUtf8(Buffer.concat(chunks))
}
