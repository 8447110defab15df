/** One request and the way to answer it, whatever it came over: a raw socket, an HTTP/2 stream, a fetch event. */

import type { HeaderEffects } from '../core/decision.ts'
import type { HeadFault, RequestHead } from '../core/facts.ts'
import type { Transform } from '../core/filters.ts'
import type { Peer } from '../core/identity.ts'
import type { Outcome, PeerAnswer } from '../core/outcome.ts'
import type { Endpoint } from '../core/snapshot.ts'
import type { ServiceBounds, TryTimes } from '../core/traffic.ts'
import type { Attempts } from './flow/attempts.ts'

/** What a refused caller gets: RFC 9457 problem details unless the policy wrote a body of its own. */
export interface Refusal {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

/** Where an allowed request goes, and what is changed on the way. */
export interface Onward {
  readonly endpoint: Endpoint
  /** Lower-case names; replaces what the caller sent. */
  readonly setHeaders: Readonly<Record<string, string>>
  readonly removeHeaders: readonly string[]
  readonly setResponseHeaders: NonNullable<HeaderEffects['setOnResponse']>
  /** Time for the whole exchange, in milliseconds; 0 is none. */
  readonly timeoutMs: number
  /** What the request line and the host say in place of what was judged. Default that. */
  readonly target?: Target
  /** Lower-case names; beside what the upstream sent. Default none. */
  readonly addResponseHeaders?: readonly (readonly [string, string])[]
  /** Of what the upstream sent. Default none. */
  readonly removeResponseHeaders?: readonly string[]
  /** Of JSON bodies. Default they are as they come. */
  readonly transform?: Transform
  /** Where copies go. Default nowhere. */
  readonly mirrors?: readonly MirrorTo[]
  /** How much is asked of the service at a time. Default the proxy's own limits. */
  readonly connections?: ServiceBounds
  /** Of each attempt. Default none. */
  readonly times?: TryTimes
  /** Where it may be sent more than once. */
  readonly attempts?: Attempts
  /** Longest body, in bytes; what is longer is cut off with 413. Default any. */
  readonly bodyBytes?: number
  /** Of an upgrade alone: whether it would be allowed now. */
  readonly stillAllowed?: () => Promise<boolean>
}

/** What stands in the request line and the host in place of what was judged. */
export interface Target {
  readonly authority: string
  readonly path: string
}

/** Where a copy of a request goes; its answer is read by nobody. */
export interface MirrorTo {
  readonly service: string
  readonly endpoint: Endpoint
  /** Told once it is over, where it went to another proxy of the mesh. */
  readonly over?: (peer: PeerAnswer) => void
}

/** What was read of a body before the request was judged. */
export type BodyRead =
  | { readonly kind: 'none' }
  | {
      readonly kind: 'read'
      readonly bytes: Uint8Array
      /** Whether there is more than was asked for. */
      readonly truncated: boolean
      /** Length of the whole body in bytes, -1 where it is not known. */
      readonly size: number
    }
  /** Its framing is broken. */
  | { readonly kind: 'bad'; readonly detail: string }
  /** It did not come in time. */
  | { readonly kind: 'late' }
  /** The caller closed first. */
  | { readonly kind: 'gone' }

export interface Exchange {
  readonly peer: Peer
  /** The head in its one form, or why there is none. */
  readonly head: RequestHead | HeadFault
  readonly local: { readonly address: string; readonly port: number }
  /** Whether the caller asks for a tunnel, which outlasts its request. Default not. */
  readonly upgrades?: boolean
  /**
   * Reads the body up to that many bytes, once and before anything is answered. What was read goes on with `forward`,
   * before the rest. Never rejects.
   */
  readBody(maxBytes: number): Promise<BodyRead>
  /** Sends the refusal; resolves when it has left or the caller is gone. Never rejects. */
  refuse(refusal: Refusal): Promise<Outcome>
  /** Sends the request on and streams the answer back; resolves when both are over. Never rejects. */
  forward(onward: Onward): Promise<Outcome>
}

export const isHead = (head: RequestHead | HeadFault): head is RequestHead => 'method' in head

/** One field by its lower-case name. A head that can look it up without building all of them does. */
export function fieldOf(
  head: RequestHead & { readonly field?: (name: string) => string | undefined },
  name: string,
): string | undefined {
  return head.field ? head.field(name) : head.headers[name]
}
