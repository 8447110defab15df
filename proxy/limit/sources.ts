/** Which addresses may connect, and how much of each: connections, handshakes under way, new connections in a time. */

import { type Address, isWithin, parseAddress, parseRange, type Range, sourceKey } from '../../core/address.ts'
import type { SourceLimits } from '../../core/traffic.ts'
import { type Bucket, fullBucket, refilled, taken, waitMs } from './bucket.ts'

/** Stable codes of what a source is refused for. */
export type SourceCode =
  | 'source_denied' // Its address is on the list of those that are denied, or not on that of those that are allowed.
  | 'source_connections' // It has as many connections as a source may have.
  | 'source_handshakes' // It has as many handshakes under way as a source may have.
  | 'source_rate' // It has opened as many connections lately as a source may open.

/** What a connection that was let in has to say later on. */
export interface Admitted {
  /** Its handshake is over. */
  handshaken(): void
  closed(): void
}

export interface Sources {
  /** `handshake`: whether there will be one. An address that is none (of a Unix socket) is let in. */
  admit(
    address: string,
    handshake: boolean,
    nowMs: number,
  ): Admitted | { readonly code: SourceCode; readonly detail: string }
  /** Takes the limits of a newer snapshot; what is open stays open and counts. */
  use(limits: SourceLimits): void
  /** How many were refused, by code. */
  refused(): Readonly<Record<SourceCode, number>>
}

interface Source {
  open: number
  handshakes: number
  bucket: Bucket | undefined
}

/** Sources that are remembered without a connection. The one that came longest ago makes room, and may open all at once again. */
export const maxSources = 10_000

export function makeSources(first: SourceLimits): Sources {
  let limits = first
  let lists = listsOf(first)
  /** Those that have connections, and those that had. */
  const open = new Map<string, Source>()
  const gone = new Map<string, Source>()
  const refused: Record<SourceCode, number> = {
    ...{ source_denied: 0, source_connections: 0, source_handshakes: 0, source_rate: 0 },
  }

  function refuse(code: SourceCode, detail: string): { readonly code: SourceCode; readonly detail: string } {
    refused[code]++
    return { code, detail }
  }

  function sourceOf(key: string): Source {
    const known = open.get(key) ?? gone.get(key) ?? { open: 0, handshakes: 0, bucket: undefined }
    gone.delete(key)
    return known
  }

  function remember(key: string, source: Source): void {
    if (source.open > 0) {
      open.set(key, source)
      return
    }
    open.delete(key)
    if (!source.bucket) return
    if (gone.size >= maxSources) gone.delete(gone.keys().next().value!)
    gone.set(key, source) // A Map keeps its order: who came last stands last.
  }

  return {
    admit(text, handshake, nowMs) {
      const address = parseAddress(text)
      if (!address) return nobodys
      if (!allows(address, lists)) return refuse('source_denied', 'this address may not connect here')
      const key = sourceKey(address, limits.prefix)
      const source = sourceOf(key)
      const { connections, handshakes, rate } = limits
      if (rate) source.bucket = refilled(source.bucket ?? fullBucket(rate, nowMs), nowMs, rate)
      const wrong =
        connections !== undefined && source.open >= connections
          ? refuse('source_connections', `a source has ${connections} connections at most`)
          : handshake && handshakes !== undefined && source.handshakes >= handshakes
            ? refuse('source_handshakes', `a source has ${handshakes} handshakes under way at most`)
            : rate && waitMs(source.bucket!, rate) > 0
              ? refuse('source_rate', `a source opens ${rate.perSecond} connections a second and ${rate.burst} at once`)
              : undefined
      if (wrong) {
        remember(key, source)
        return wrong
      }
      if (rate) source.bucket = taken(source.bucket!)
      source.open++
      if (handshake) source.handshakes++
      remember(key, source)
      return admitted(source, handshake, () => remember(key, source))
    },
    use(next) {
      limits = next
      lists = listsOf(next)
      if (!next.rate) gone.clear()
    },
    refused: () => refused,
  }
}

function admitted(source: Source, handshake: boolean, over: () => void): Admitted {
  let [shaking, isOpen] = [handshake, true]
  const handshaken = (): void => {
    if (shaking) source.handshakes--
    shaking = false
  }
  return {
    handshaken,
    closed() {
      if (!isOpen) return
      isOpen = false
      handshaken()
      source.open--
      over()
    },
  }
}

const nobodys: Admitted = { handshaken: () => {}, closed: () => {} }

interface Lists {
  readonly allow: readonly Range[] | undefined
  readonly deny: readonly Range[]
}

const listsOf = ({ allow, deny = [] }: SourceLimits): Lists => ({
  allow: allow && rangesOf(allow),
  deny: rangesOf(deny),
})

/** Those that are ranges; a snapshot with others is not taken. */
const rangesOf = (texts: readonly string[]): readonly Range[] => texts.flatMap((text) => parseRange(text) ?? [])

const allows = (address: Address, { allow, deny }: Lists): boolean =>
  !deny.some((range) => isWithin(address, range)) &&
  (allow === undefined || allow.some((range) => isWithin(address, range)))
