/** Issuers' keys that are asked for: once for all listeners of a process, again from time to time, the last good ones kept. */

import { messageOf } from '../../core/fault.ts'
import type { TokenKey, TokenKeys } from '../../core/token.ts'
import { keepingKnown, maxKeySetBytes, readTokenKeys } from './key-set.ts'

/** Asks a URL. Rejects where there is no answer of status 200, or a longer one. */
export type FetchKeys = (
  url: string,
  options: { readonly maxBytes: number; readonly timeoutMs: number; readonly privateAddresses: boolean },
) => Promise<Uint8Array>

export interface KeyLimits {
  /** Time for one request, in milliseconds. Default 5000. */
  readonly timeoutMs?: number
  /** Time after a request in which a key that nobody knows asks for no other, in milliseconds. Default 30 000. */
  readonly unknownKeyMs?: number
  /** Time after a failure before it is tried again, in milliseconds. Default 5000. */
  readonly retryMs?: number
  /** URLs whose keys are held. Default 256; beyond them the one that was used longest ago is forgotten. */
  readonly maxUrls?: number
}

export interface KeyNews {
  readonly url: string
  /** Undefined where it answers again. */
  readonly problem: string | undefined
  /** Whether keys of before are still in force. */
  readonly kept: boolean
}

type Later<T> = T | Promise<T>
type Asked = Extract<TokenKeys, { kind: 'url' }>

export interface HeldKeys {
  /** Keys in force; undefined where none were ever had. Asks for them where they are missing or old. Never rejects. */
  current(of: TokenKeys, nowMs: number): Later<readonly TokenKey[] | undefined>
  /** The same for a token whose key is not among them: asks at most once in `unknownKeyMs`, whoever brings it. */
  again(of: TokenKeys, nowMs: number): Later<readonly TokenKey[] | undefined>
}

interface Held {
  keys: readonly TokenKey[] | undefined
  /** When they were last known to be the issuer's. */
  goodMs: number
  askedMs: number
  failing: boolean
  pending: Promise<void> | undefined
}

export function holdKeys(
  fetchKeys: FetchKeys,
  onNews: (news: KeyNews) => void = () => {},
  limits: KeyLimits = {},
): HeldKeys {
  const { timeoutMs = 5000, unknownKeyMs = 30_000, retryMs = 5000, maxUrls = 256 } = limits
  const held = new Map<string, Held>()

  function heldOf({ url, privateAddresses }: Asked): Held {
    const name = `${privateAddresses} ${url}`
    const known = held.get(name) ?? {
      keys: undefined,
      goodMs: 0,
      askedMs: -Infinity,
      failing: false,
      pending: undefined,
    }
    held.delete(name)
    held.set(name, known) // The last one used is the last one.
    if (held.size > maxUrls) held.delete(held.keys().next().value!)
    return known
  }

  function ask(of: Asked, to: Held, nowMs: number): Promise<void> {
    to.askedMs = nowMs
    to.pending ??= fetched(of, to, nowMs).finally(() => {
      to.pending = undefined
    })
    return to.pending
  }

  async function fetched({ url, privateAddresses }: Asked, to: Held, nowMs: number): Promise<void> {
    try {
      const read = readTokenKeys(await fetchKeys(url, { maxBytes: maxKeySetBytes, timeoutMs, privateAddresses }))
      if (!read.ok) throw new Error(`it ${read.wrong}`)
      to.keys = keepingKnown(to.keys ?? [], read.keys)
      to.goodMs = nowMs
      if (to.failing) onNews({ url, problem: undefined, kept: true })
      to.failing = false
    } catch (thrown) {
      if (!to.failing) onNews({ url, problem: messageOf(thrown), kept: to.keys !== undefined })
      to.failing = true
    }
  }

  return {
    current(of, nowMs) {
      if (of.kind === 'known') return of.keys
      const to = heldOf(of)
      const age = nowMs - to.goodMs
      if (to.keys && age < of.refreshMs) return to.keys
      const mayAsk = nowMs - to.askedMs >= retryMs
      if (!to.keys) {
        if (!mayAsk && !to.pending) return undefined
        return ask(of, to, mayAsk ? nowMs : to.askedMs).then(() => to.keys)
      }
      if (!mayAsk) return to.keys
      const asking = ask(of, to, nowMs)
      // Twice as old as they should be, as where nobody came by for long: whoever comes waits, but not for a server that is away.
      return age >= 2 * of.refreshMs && !to.failing ? asking.then(() => to.keys) : to.keys
    },
    again(of, nowMs) {
      if (of.kind === 'known') return of.keys
      const to = heldOf(of)
      if (to.pending) return to.pending.then(() => to.keys)
      if (nowMs - to.askedMs < unknownKeyMs) return to.keys
      return ask(of, to, nowMs).then(() => to.keys)
    },
  }
}
