/**
 * Looks through the bytes of a decision or of outcomes, of which a log is nearly all, without making an object of them:
 * whether they are plainly canonical JSON (RFC 8785), and where the members stand that a reader needs. Whatever is
 * not as plain as that is left to `parseEvent`; held against it by test/audit/log/scan.test.ts.
 */

import { fitEnd, numberEnd, type Shape, shapeOf, slotTo, textEnd } from './shape.ts'

/** Members that are looked for, at the top and, behind `peer`, within it. */
const members = [
  'cluster',
  'decision_id',
  'enforced',
  'epoch',
  'kind',
  'peer',
  'prev',
  'producer',
  'seq',
  'td',
  'timestamp',
  'v',
  'verdict',
  'workload',
  'proof',
  'serial',
] as const

export type Member = (typeof members)[number]

/** Numbers of members, as `memberFrom` and `memberTo` have them. */
export const memberNumbers: { readonly [name in Member]: number } = Object.fromEntries(
  members.map((name, number) => [name, number]),
) as { readonly [name in Member]: number }

const { peer: peerNumber, proof: firstOfPeer } = memberNumbers

/** Where each member's value begins and ends, quotes and all; -1 where the record has none. Good until the next scan. */
export const memberFrom: Int32Array = new Int32Array(members.length)
export const memberTo: Int32Array = new Int32Array(members.length)

/** By the length of a name, the members that have it. */
const byLength: readonly (readonly { readonly number: number; readonly codes: Uint8Array }[])[] = Array.from(
  { length: 12 },
  (_, length) =>
    members.flatMap((name, number) =>
      name.length === length ? [{ number, codes: Uint8Array.from(name, (letter) => letter.charCodeAt(0)) }] : [],
    ),
)

const maxDepth = 64
const nameFrom = new Int32Array(maxDepth + 1)
const nameTo = new Int32Array(maxDepth + 1)
const inObject = new Uint8Array(maxDepth + 1)

/**
 * True only where the bytes from `start` to `end` are an object in canonical JSON; then the members' places are set. What
 * lies behind `end` may be looked at, and then the answer is no.
 */
export function scan(bytes: Uint8Array, start: number = 0, end: number = bytes.length): boolean {
  return scanFrom(bytes, start) === end
}

/** The shape that the record had which was scanned last; undefined where it has none. */
export let scannedShape: Shape | undefined

/** Where the object in canonical JSON ends that begins at `start`, and the members' places are set; -1 where there is none. */
export function scanFrom(bytes: Uint8Array, start: number): number {
  for (let i = 0; i < known.length; i++) {
    const one = known[i]!
    const end = fitEnd(one.shape, bytes, start)
    if (end < 0) continue
    setPlaces(one, start)
    scannedShape = one.shape
    // Those that are met often stand in front.
    if (i > 0) [known[i - 1], known[i]] = [one, known[i - 1]!]
    return end
  }
  scannedShape = undefined
  const end = read(bytes, start)
  if (end >= 0 && isText(bytes, memberNumbers.kind, 'decision')) learn(bytes, start, end)
  return end
}

/** A shape, and where its members stand: so far behind the end of a slot, or the record's beginning. */
interface Known {
  readonly shape: Shape
  readonly slots: Int32Array
  readonly behind: Int32Array
}

/** One for each way that decisions are written: by policies, options and headers. */
const known: Known[] = []
const maxKnown = 32
let misses = 0

/** While there are more shapes than are remembered, few of them are worth the time it takes to know one. */
function learn(bytes: Uint8Array, start: number, end: number): void {
  if (known.length === maxKnown && ++misses % 16 !== 0) return
  const shape = shapeOf(bytes, start, end, ['direction', 'kind', 'v'])
  if (!shape || fitEnd(shape, bytes, start) !== end) return
  const slots = new Int32Array(2 * members.length)
  const behind = new Int32Array(2 * members.length)
  for (let i = 0; i < slots.length; i++) {
    const place = i < members.length ? memberFrom[i]! : memberTo[i - members.length]!
    let slot = shape.texts.length - 1
    while (slot >= 0 && slotTo[slot]! > place) slot--
    slots[i] = memberFrom[i % members.length]! < 0 ? absent : slot
    behind[i] = place - (slot < 0 ? start : slotTo[slot]!)
  }
  const one = { shape, slots, behind }
  if (known.length < maxKnown) known.push(one)
  else known[maxKnown - 1] = one
  scannedShape = shape
}

const absent = -2

function setPlaces({ slots, behind }: Known, start: number): void {
  const count = members.length
  for (let i = 0; i < count; i++) {
    const from = slots[i]!
    if (from === absent) {
      memberFrom[i] = -1
      continue
    }
    const to = slots[count + i]!
    memberFrom[i] = (from < 0 ? start : slotTo[from]!) + behind[i]!
    memberTo[i] = (to < 0 ? start : slotTo[to]!) + behind[count + i]!
  }
}

/** The same, value by value. */
function read(bytes: Uint8Array, start: number): number {
  memberFrom.fill(-1)
  let depth = 0
  let i = start
  /** The member that is being read at the top, and within `peer`. */
  let top = -1
  let within = -1
  if (bytes[start] !== 0x7b) return -1
  for (;;) {
    const byte = bytes[i]!
    let opened = false
    if (byte === 0x22) {
      i = textEnd(bytes, i + 1)
      if (bytes[i] !== 0x22) return -1
      i++
    } else if (byte === 0x7b || byte === 0x5b) {
      if (++depth > maxDepth) return -1
      inObject[depth] = byte === 0x7b ? 1 : 0
      nameFrom[depth] = -1
      i++
      opened = bytes[i] !== byte + 2 // The bracket that closes it.
    } else if (byte === 0x2d || (byte >= 0x30 && byte <= 0x39)) {
      const to = numberEnd(bytes, i)
      if (to < 0) return -1
      i = to
    } else {
      const to = literalEnd(bytes, i)
      if (to < 0) return -1
      i = to
    }

    // Behind a value, or in a bracket that was just opened.
    let isName = opened && inObject[depth] === 1
    while (!opened) {
      if (depth === 1 && top >= 0) {
        memberTo[top] = i
        top = -1
      } else if (depth === 2 && within >= 0) {
        memberTo[within] = i
        within = -1
      }
      if (depth === 0) return i
      const next = bytes[i]!
      const object = inObject[depth] === 1
      if (next === 0x2c) {
        i++
        isName = object
        break
      }
      if (next !== (object ? 0x7d : 0x5d)) return -1
      depth--
      i++
    }
    if (!isName) continue
    if (bytes[i] !== 0x22) return -1
    const from = i + 1
    i = textEnd(bytes, from)
    if (bytes[i] !== 0x22 || bytes[i + 1] !== 0x3a) return -1
    const before = nameFrom[depth]!
    if (before !== -1 && !isBefore(bytes, before, nameTo[depth]!, from, i)) return -1
    nameFrom[depth] = from
    nameTo[depth] = i
    if (depth === 1) {
      top = memberOf(bytes, from, i)
      if (top >= firstOfPeer) top = -1
      if (top >= 0) memberFrom[top] = i + 2
    } else if (depth === 2 && top === peerNumber) {
      within = memberOf(bytes, from, i)
      if (within < firstOfPeer) within = -1
      else memberFrom[within] = i + 2
    }
    i += 2
  }
}

const literals = ['true', 'false', 'null'].map((word) => Uint8Array.from(word, (letter) => letter.charCodeAt(0)))

function literalEnd(bytes: Uint8Array, from: number): number {
  for (const literal of literals) {
    if (bytes[from] === literal[0]) return isAt(bytes, from, literal) ? from + literal.length : -1
  }
  return -1
}

function memberOf(bytes: Uint8Array, from: number, to: number): number {
  if (to - from >= byLength.length) return -1
  for (const { number, codes } of byLength[to - from]!) if (isAt(bytes, from, codes)) return number
  return -1
}

function isAt(bytes: Uint8Array, from: number, codes: Uint8Array): boolean {
  for (let i = 0; i < codes.length; i++) if (bytes[from + i] !== codes[i]) return false
  return true
}

/** Whether one name comes before another, and is not the same. */
function isBefore(bytes: Uint8Array, from: number, to: number, otherFrom: number, otherTo: number): boolean {
  while (from < to && otherFrom < otherTo) {
    const difference = bytes[from++]! - bytes[otherFrom++]!
    if (difference !== 0) return difference < 0
  }
  return from === to && otherFrom < otherTo
}

/** Whether a member is this text in quotes. */
export function isText(bytes: Uint8Array, member: number, text: string): boolean {
  const from = memberFrom[member]!
  if (from < 0 || memberTo[member]! - from !== text.length + 2 || bytes[from] !== 0x22) return false
  for (let i = 0; i < text.length; i++) if (bytes[from + 1 + i] !== text.charCodeAt(i)) return false
  return true
}

/** Whether a member is this literal or number. */
export function isBare(bytes: Uint8Array, member: number, text: string): boolean {
  const from = memberFrom[member]!
  if (from < 0 || memberTo[member]! - from !== text.length) return false
  for (let i = 0; i < text.length; i++) if (bytes[from + i] !== text.charCodeAt(i)) return false
  return true
}

/** The whole number that a member is, at least 0; -1 where it is none. */
export function countAt(bytes: Uint8Array, member: number): number {
  const from = memberFrom[member]!
  if (from < 0 || bytes[from]! < 0x30 || bytes[from]! > 0x39) return -1
  let value = 0
  for (let i = from; i < memberTo[member]!; i++) value = value * 10 + bytes[i]! - 0x30
  return value
}

/**
 * A number for the text of a member, the same for the same text, to look it up by without making it; -1 where it is no
 * text. Others may have the same number.
 */
export function sumAt(bytes: Uint8Array, member: number): number {
  const from = memberFrom[member]!
  if (from < 0 || bytes[from] !== 0x22) return -1
  const end = memberTo[member]! - 1
  let sum = 0
  for (let i = from + 1; i < end; i++) sum = (Math.imul(sum, 31) + bytes[i]!) & 0x3fffffff
  return sum
}

/** The text of a member; undefined where it is no text or longer than names, numbers and ids are. */
export function textAt(bytes: Uint8Array, member: number): string | undefined {
  const from = memberFrom[member]!
  const to = memberTo[member]!
  if (from < 0 || bytes[from] !== 0x22 || to - from > 258) return undefined
  return asciiText(bytes, from + 1, to - 1)
}

/** Values by epoch, looked up for the record that was scanned last: by a sum of its bytes first, which makes no text. */
export class ScannedEpochs<Value extends { readonly epoch: string }> {
  readonly #bySum = new Map<number, Value>()

  /** Undefined where `values` does not have it. What it gave once it gives again. */
  find(bytes: Uint8Array, values: ReadonlyMap<string, Value>): Value | undefined {
    const sum = sumAt(bytes, memberNumbers.epoch)
    const last = this.#bySum.get(sum)
    if (last && isText(bytes, memberNumbers.epoch, last.epoch)) return last
    const found = values.get(textAt(bytes, memberNumbers.epoch) ?? '')
    if (found) this.#bySum.set(sum, found)
    return found
  }
}

export const asciiText = (bytes: Uint8Array, from: number, to: number): string =>
  String.fromCharCode.apply(null, bytes.subarray(from, to) as unknown as number[])
