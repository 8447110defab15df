/** Where a request stands in a trace, read from and written as W3C Trace Context (level 2) and Zipkin's B3. */

import type { RequestHead } from '../../core/facts.ts'
import { fieldOf } from '../exchange.ts'

export type Propagation = 'w3c' | 'b3' | 'b3multi'

export interface Parent {
  /** 32 hex digits, not all zeros. */
  readonly traceId: string
  /** 16 hex digits, not all zeros. */
  readonly spanId: string
  /** Undefined where the caller leaves it to us. */
  readonly sampled: boolean | undefined
  /** Whether whoever began the trace says that its id is random (W3C level 2, section 3.2.2.5.2). */
  readonly random: boolean
  /** Whether a `tracestate` beside it may go on: one that cannot be read is discarded (section 3.3). */
  readonly stateHolds: boolean
  /** The caller's words, to answer in. */
  readonly said: Propagation
}

/** W3C section 3.2: version ff, ids of zeros and upper case are invalid; later versions may go on after a hyphen. */
const traceparent = /^(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(?:$|-)/
const b3Single = /^(?!0+-)([0-9a-f]{32}|[0-9a-f]{16})-(?!0{16})([0-9a-f]{16})(?:-([01d])(?:-[0-9a-f]{16})?)?$/
const traceIdShape = /^(?!0+$)(?:[0-9a-f]{32}|[0-9a-f]{16})$/
const spanIdShape = /^(?!0{16})[0-9a-f]{16}$/

/** W3C first, then one `b3` field, then `x-b3-` fields. Undefined where none of them is there and whole. */
export function readParent(head: RequestHead): Parent | undefined {
  return w3c(head) ?? single(fieldOf(head, 'b3')) ?? multi(head)
}

function w3c(head: RequestHead): Parent | undefined {
  const field = fieldOf(head, 'traceparent')
  const match = field === undefined ? null : traceparent.exec(field)
  if (!match || (match[1] === '00' && field!.length !== 55)) return undefined
  const flags = Number.parseInt(match[4]!, 16)
  const stateHolds = isState(fieldOf(head, 'tracestate') ?? '')
  const [sampled, random] = [(flags & 1) !== 0, (flags & 2) !== 0]
  return { traceId: match[2]!, spanId: match[3]!, sampled, random, stateHolds, said: 'w3c' }
}

/** Section 3.3.1: at most 32 members, which may be empty; names and values as they are spelled there. */
function isState(field: string): boolean {
  const members = field.split(',').map((member) => member.replaceAll(/^[ \t]+|[ \t]+$/g, ''))
  const said = members.filter((member) => member !== '')
  return said.length <= maxStates && said.every((member) => state.test(member))
}

const maxStates = 32
const state = /^[a-z0-9][a-z0-9_\-*/@]{0,255}=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]$/

function single(field: string | undefined): Parent | undefined {
  const match = field === undefined ? null : b3Single.exec(field)
  return match ? { ...ids(match[1]!, match[2]!), sampled: asked(match[3]), said: 'b3' } : undefined
}

function multi(head: RequestHead): Parent | undefined {
  const traceId = fieldOf(head, 'x-b3-traceid')
  const spanId = fieldOf(head, 'x-b3-spanid')
  if (traceId === undefined || spanId === undefined || !traceIdShape.test(traceId) || !spanIdShape.test(spanId)) {
    return undefined
  }
  const debug = fieldOf(head, 'x-b3-flags') === '1'
  return { ...ids(traceId, spanId), sampled: debug || asked(fieldOf(head, 'x-b3-sampled')), said: 'b3multi' }
}

/** B3 knows ids of 64 bits, which are the lower half of one of 128. */
const ids = (traceId: string, spanId: string) => ({
  ...{ traceId: traceId.padStart(32, '0'), spanId },
  ...{ random: false, stateHolds: false },
})

const asked = (word: string | undefined): boolean | undefined =>
  word === undefined ? undefined : word === '1' || word === 'd' || word === 'true'

/** The fields that tell the next one of a span. */
export function spanHeaders(
  span: { readonly traceId: string; readonly spanId: string; readonly sampled: boolean; readonly random?: boolean },
  ways: Iterable<Propagation>,
): Record<string, string> {
  const headers: Record<string, string> = {}
  const sampled = span.sampled ? '1' : '0'
  for (const way of ways) {
    switch (way) {
      case 'w3c':
        headers['traceparent'] = `00-${span.traceId}-${span.spanId}-0${(span.random ? 2 : 0) + (span.sampled ? 1 : 0)}`
        break
      case 'b3':
        headers['b3'] = `${span.traceId}-${span.spanId}-${sampled}`
        break
      case 'b3multi':
        headers['x-b3-traceid'] = span.traceId
        headers['x-b3-spanid'] = span.spanId
        headers['x-b3-sampled'] = sampled
        break
    }
  }
  return headers
}

const fieldsOf: Readonly<Record<Propagation, readonly string[]>> = {
  w3c: ['traceparent', 'tracestate'],
  b3: ['b3'],
  b3multi: ['x-b3-traceid', 'x-b3-spanid', 'x-b3-parentspanid', 'x-b3-sampled', 'x-b3-flags'],
}

/** Fields of other words, and those that belonged to another span; a whole `tracestate` goes on beside its `traceparent`. */
export function staleFields(parent: Parent | undefined, headers: Readonly<Record<string, string>>): readonly string[] {
  return Object.values(fieldsOf)
    .flat()
    .filter((name) => !(name in headers) && !(name === 'tracestate' && parent?.stateHolds))
}
