/**
 * Records that are alike in all that is read of them, told by their bytes: of a shape (`audit/log/shape.ts`) the values are
 * compared that somebody reads, and nothing else is looked at. Held against the reading of whole records by
 * test/audit/report/gather.test.ts.
 */

import type { AuditEvent } from '../../../core/record.ts'
import { memberNumbers as at, isText } from '../../log/scan.ts'
import { type Shape, slotFrom, slotTo } from '../../log/shape.ts'
import { type Read, readingsOf } from './reads.ts'

/** More than so many kinds of records in one part are read one by one. */
const maxLikes = 16_384

/** What a slot is looked at for. */
const byValue = 1
const byFilled = 2
const byJwt = 4
const byCard = 8

/** Records that are alike, and what came of the first. */
export interface Like<Found> {
  readonly event: AuditEvent
  readonly found: Found
  readonly key: Uint8Array
  readonly next: Like<Found> | undefined
}

interface Known<Found> {
  /** Slots that are looked at, and for what. */
  readonly slots: Int32Array
  readonly ways: Uint8Array
  /** By the sum of what was compared. */
  readonly likes: Map<number, Like<Found>>
}

export class Likes<Found> {
  readonly #reads: readonly Read[]
  readonly #shapes = new Map<Shape, Known<Found> | undefined>()
  #count = 0
  #key: Uint8Array = new Uint8Array(1024)
  #length = 0
  #sum = 0
  #known: Known<Found> | undefined

  constructor(reads: readonly Read[]) {
    this.#reads = reads
  }

  /**
   * Those that the record is alike with that was scanned last. `new` where it is the first of its sort, so that `learn`
   * may follow; `odd` where it has to be read by itself.
   */
  find(bytes: Uint8Array, shape: Shape): Like<Found> | 'new' | 'odd' {
    let known = this.#shapes.get(shape)
    if (known === undefined && !this.#shapes.has(shape)) {
      known = knownOf<Found>(shape, this.#reads)
      this.#shapes.set(shape, known)
    }
    if (!known || !this.#gather(bytes, known)) return 'odd'
    this.#known = known
    for (let like = known.likes.get(this.#sum); like; like = like.next) if (this.#is(like.key)) return like
    return this.#count < maxLikes ? 'new' : 'odd'
  }

  /** What the record that was looked for last came to. */
  learn(event: AuditEvent, found: Found): Like<Found> {
    const { likes } = this.#known!
    const like = { event, found, key: this.#key.slice(0, this.#length), next: likes.get(this.#sum) }
    likes.set(this.#sum, like)
    this.#count++
    return like
  }

  *[Symbol.iterator](): Generator<Like<Found>> {
    for (const known of this.#shapes.values()) {
      for (const first of known?.likes.values() ?? [])
        for (let like: Like<Found> | undefined = first; like; like = like.next) yield like
    }
  }

  /** Puts together what is compared. False where a value might be the number of a card. */
  #gather(bytes: Uint8Array, { slots, ways }: Known<Found>): boolean {
    const jwt = isText(bytes, at.proof, 'jwt')
    let key = this.#key
    let length = 0
    let sum = 0
    for (let n = 0; n < slots.length; n++) {
      const from = slotFrom[slots[n]!]!
      const to = slotTo[slots[n]!]!
      const way = ways[n]!
      if ((way & byValue) !== 0 || (jwt && (way & byJwt) !== 0)) {
        if (length + to - from + 1 > key.length) key = this.#grow(length + to - from + 1)
        for (let i = from; i < to; i++) {
          const byte = bytes[i]!
          key[length++] = byte
          sum = (Math.imul(sum, 31) + byte) & 0x3fffffff
        }
        key[length++] = 0x22 // No text of a slot has a quote.
      } else {
        if (length + 2 > key.length) key = this.#grow(length + 2)
        if ((way & byFilled) !== 0) key[length++] = to > from ? 0x31 : 0x30
        if ((way & byCard) !== 0 && mayBeCard(bytes, from, to)) return false
      }
    }
    this.#length = length
    this.#sum = sum
    return true
  }

  #grow(length: number): Uint8Array {
    const grown = new Uint8Array(2 * length)
    grown.set(this.#key)
    this.#key = grown
    return grown
  }

  #is(key: Uint8Array): boolean {
    if (key.length !== this.#length) return false
    for (let i = 0; i < key.length; i++) if (key[i] !== this.#key[i]) return false
    return true
  }
}

/** Digits, spaces and dashes. */
const ofCard = Uint8Array.from({ length: 256 }, (_, byte) =>
  (byte >= 0x30 && byte <= 0x39) || byte === 0x20 || byte === 0x2d ? 1 : 0,
)
const shortestCard = 13

/** Whether so many digits, spaces and dashes stand together as a card's number has at the least: one of every 13 is looked at first. */
export function mayBeCard(bytes: Uint8Array, from: number, to: number): boolean {
  for (let i = from + shortestCard - 1; i < to; ) {
    if (ofCard[bytes[i]!] === 0) {
      i += shortestCard
      continue
    }
    let first = i
    while (first > from && ofCard[bytes[first - 1]!] === 1) first--
    let last = i
    while (last + 1 < to && ofCard[bytes[last + 1]!] === 1) last++
    if (last - first + 1 >= shortestCard) return true
    i = last + 1 + shortestCard
  }
  return false
}

function knownOf<Found>(shape: Shape, reads: readonly Read[]): Known<Found> | undefined {
  const paths = pathsOf(shape)
  if (!paths) return undefined
  const slots: number[] = []
  const ways: number[] = []
  paths.forEach((steps, slot) => {
    const how = readingsOf(steps, reads)
    const isText = shape.texts[slot] === 1
    let way = how.has('value') ? byValue : 0
    if (isText && how.has('filled')) way |= byFilled
    if (how.has('jwt')) way |= byJwt
    if (isText && how.has('card')) way |= byCard
    if (way === 0) return
    slots.push(slot)
    ways.push(way)
  })
  return { slots: Int32Array.from(slots), ways: Uint8Array.from(ways), likes: new Map() }
}

/** Where each slot stands in the record: a mark is put into it, and found again in what the text says. */
function pathsOf({ bytes, from, to, texts }: Shape): readonly (readonly string[])[] | undefined {
  let text = ''
  let end = 0
  for (let slot = 0; slot < texts.length; slot++) {
    text += new TextDecoder().decode(bytes.subarray(end, from[slot]!))
    text += texts[slot] === 1 ? `${mark}${slot}` : `"${mark}${slot}"`
    end = to[slot]!
  }
  text += new TextDecoder().decode(bytes.subarray(end))
  const paths: (readonly string[])[] = []
  const walk = (value: unknown, steps: readonly string[]): void => {
    if (typeof value === 'string' && value.startsWith(mark)) paths[Number(value.slice(1))] = steps
    else if (typeof value === 'object' && value !== null) {
      for (const [name, one] of Object.entries(value)) walk(one, [...steps, name])
    }
  }
  walk(JSON.parse(text), [])
  for (let slot = 0; slot < texts.length; slot++) if (!paths[slot]) return undefined
  return paths
}

/** No slot and no name has it: they are plain. */
const mark = '\u007f'
