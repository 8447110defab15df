/**
 * Looks through the bytes of a decision or of outcomes, of which a log is nearly all, without making an object of them:
 * whether they are plainly canonical JSON (RFC 8785), and where the members stand that verification needs. Whatever is
 * not as plain as that is left to `parseEvent`; held against it by test/audit/verify/scan.test.ts.
 */

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
/** Characters of a number that JavaScript writes as it stands. */
const maxDigits = 15
const nameFrom = new Int32Array(maxDepth + 1)
const nameTo = new Int32Array(maxDepth + 1)
const inObject = new Uint8Array(maxDepth + 1)

/** Of text that stands for itself: printable ASCII without quote and backslash. */
const plain = Uint8Array.from({ length: 256 }, (_, byte) =>
  byte >= 0x20 && byte < 0x7f && byte !== 0x22 && byte !== 0x5c ? 1 : 0,
)

/**
 * True only where the bytes from `start` to `end` are an object in canonical JSON; then the members' places are set. What
 * lies behind `end` may be looked at, and then the answer is no.
 */
export function scan(bytes: Uint8Array, start: number = 0, end: number = bytes.length): boolean {
  memberFrom.fill(-1)
  let depth = 0
  let i = start
  /** The member that is being read at the top, and within `peer`. */
  let top = -1
  let within = -1
  if (bytes[start] !== 0x7b) return false
  for (;;) {
    const byte = bytes[i]!
    let opened = false
    if (byte === 0x22) {
      i = textEnd(bytes, i + 1)
      if (bytes[i] !== 0x22) return false
      i++
    } else if (byte === 0x7b || byte === 0x5b) {
      if (++depth > maxDepth) return false
      inObject[depth] = byte === 0x7b ? 1 : 0
      nameFrom[depth] = -1
      i++
      opened = bytes[i] !== byte + 2 // The bracket that closes it.
    } else if (byte === 0x2d || (byte >= 0x30 && byte <= 0x39)) {
      const to = numberEnd(bytes, i)
      if (to < 0) return false
      i = to
    } else {
      const to = literalEnd(bytes, i)
      if (to < 0) return false
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
      if (depth === 0) return i === end
      const next = bytes[i]!
      const object = inObject[depth] === 1
      if (next === 0x2c) {
        i++
        isName = object
        break
      }
      if (next !== (object ? 0x7d : 0x5d)) return false
      depth--
      i++
    }
    if (!isName) continue
    if (bytes[i] !== 0x22) return false
    const from = i + 1
    i = textEnd(bytes, from)
    if (bytes[i] !== 0x22 || bytes[i + 1] !== 0x3a) return false
    const before = nameFrom[depth]!
    if (before !== -1 && !isBefore(bytes, before, nameTo[depth]!, from, i)) return false
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

/** Four at a time: most of a record is text, and most texts are longer. */
function textEnd(bytes: Uint8Array, from: number): number {
  let i = from
  while (plain[bytes[i]!]! & plain[bytes[i + 1]!]! & plain[bytes[i + 2]!]! & plain[bytes[i + 3]!]!) i += 4
  while (plain[bytes[i]!] === 1) i++
  return i
}

function numberEnd(bytes: Uint8Array, from: number): number {
  const first = bytes[from] === 0x2d ? from + 1 : from
  let i = first
  while (bytes[i]! >= 0x30 && bytes[i]! <= 0x39) i++
  if (i === first || i - from > maxDigits) return -1
  if (bytes[first] === 0x30 && (i > first + 1 || first > from)) return -1 // No leading zero, and zero has no sign.
  return i // A fraction or an exponent is found wanting behind it.
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

/** The text of a member; undefined where it is no text or longer than names, numbers and ids are. */
export function textAt(bytes: Uint8Array, member: number): string | undefined {
  const from = memberFrom[member]!
  const to = memberTo[member]!
  if (from < 0 || bytes[from] !== 0x22 || to - from > 258) return undefined
  return asciiText(bytes, from + 1, to - 1)
}

export const asciiText = (bytes: Uint8Array, from: number, to: number): string =>
  String.fromCharCode.apply(null, bytes.subarray(from, to) as unknown as number[])
