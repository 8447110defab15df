/** Whose word makes a checkpoint good (C2SP tlog-policy): logs, witnesses, groups of them, and the quorum. */

import { fromUtf8, toHex } from '../../core/bytes.ts'
import type { Sha256 } from '../../core/ports.ts'
import { type CosignerKey, formatCosignerKey, parseCosignerKey } from './cosignature.ts'
import { formatVerifierKey, type NoteKey, parseAnyKey, parseVerifierKey } from './note.ts'

export interface PolicyWitness {
  readonly name: string
  /** Undefined for a kind of key that is not read here, such as ML-DSA-44: its word never counts. */
  readonly key: CosignerKey | undefined
  readonly url: string | undefined
}

/** What counts as one witness: itself, or so many of a group's members. */
type Member =
  | { readonly kind: 'witness'; readonly witness: PolicyWitness }
  | { readonly kind: 'group'; readonly least: number; readonly members: readonly Member[] }

export interface LogPolicy {
  readonly logs: readonly NoteKey[]
  readonly witnesses: readonly PolicyWitness[]
  /** Undefined for `quorum none`. */
  readonly quorum: Member | undefined
}

/** Longest file and most lines that mean something. */
const maxBytes = 256 * 1024
const maxLines = 1024

/** A policy with the first fault that makes it none. Octets that are not ASCII are compared, never read. */
export function parsePolicy(sha256: Sha256, bytes: Uint8Array): LogPolicy | { readonly wrong: string } {
  if (bytes.length > maxBytes) return { wrong: `more than ${maxBytes} bytes` }
  const text = latin1(bytes)
  if (/[^\t\n\x20-\x7e\x80-\xff]/.test(text)) return { wrong: 'a control character' }
  const reader = new Reader(sha256)
  const lines = text.split('\n')
  if (lines.length > maxLines) return { wrong: `more than ${maxLines} lines` }
  for (const [i, line] of lines.entries()) {
    const words = line.split(/[\t ]+/).filter((word) => word !== '')
    if (words.length === 0 || words[0]!.startsWith('#')) continue
    const wrong = reader.take(words)
    if (wrong !== undefined) return { wrong: `line ${i + 1}: ${wrong}` }
  }
  return reader.finish()
}

function latin1(bytes: Uint8Array): string {
  let text = ''
  for (let i = 0; i < bytes.length; i += 0x8000) text += String.fromCharCode(...bytes.subarray(i, i + 0x8000))
  return text
}

/** Names of keys are UTF-8 again. */
function utf8Of(text: string): string | undefined {
  try {
    return fromUtf8(Uint8Array.from(text, (octet) => octet.charCodeAt(0)))
  } catch {
    return undefined
  }
}

class Reader {
  readonly #sha256: Sha256
  readonly #logs: NoteKey[] = []
  readonly #witnesses: PolicyWitness[] = []
  readonly #members = new Map<string, Member>()
  readonly #material = { log: new Set<string>(), witness: new Set<string>() }
  /** Whoever belongs to a group already: each counts in one way only. */
  readonly #taken = new Set<string>()
  #quorum: { readonly of: Member | undefined } | undefined

  constructor(sha256: Sha256) {
    this.#sha256 = sha256
  }

  /** What is wrong with a line, by its words. */
  take([word, ...rest]: readonly string[]): string | undefined {
    switch (word) {
      case 'log':
        return this.#takeLog(rest)
      case 'witness':
        return this.#takeWitness(rest)
      case 'group':
        return this.#takeGroup(rest)
      case 'quorum':
        return this.#takeQuorum(rest)
      default:
        return `${word} is not log, witness, group or quorum`
    }
  }

  finish(): LogPolicy | { readonly wrong: string } {
    if (!this.#quorum) return { wrong: 'there is no quorum line' }
    return { logs: this.#logs, witnesses: this.#witnesses, quorum: this.#quorum.of }
  }

  #takeLog(words: readonly string[]): string | undefined {
    if (words.length < 1 || words.length > 2) return 'log <key> [<url>]'
    const wrong = this.#once('log', words[0]!)
    if (wrong !== undefined) return wrong
    const key = parseVerifierKey(this.#sha256, utf8Of(words[0]!) ?? '')
    if (key) this.#logs.push(key) // A log by a kind of key that is not read here is no log of ours.
    return undefined
  }

  #takeWitness(words: readonly string[]): string | undefined {
    const [name, text, url] = words
    if (name === undefined || text === undefined || words.length > 3) return 'witness <name> <key> [<url>]'
    const wrong = this.#nameFault(name) ?? this.#once('witness', text)
    if (wrong !== undefined) return wrong
    const witness = { name, key: parseCosignerKey(this.#sha256, utf8Of(text) ?? ''), url }
    this.#witnesses.push(witness)
    this.#members.set(name, { kind: 'witness', witness })
    return undefined
  }

  #takeGroup([name, threshold, ...names]: readonly string[]): string | undefined {
    if (name === undefined || threshold === undefined || names.length === 0) return 'group <name> <all|any|k> <name>...'
    const wrong = this.#nameFault(name)
    if (wrong !== undefined) return wrong
    const members: Member[] = []
    for (const one of names) {
      const member = this.#members.get(one)
      if (!member) return `${one} is not defined above`
      if (this.#taken.has(one)) return `${one} is a member of a group already`
      this.#taken.add(one)
      members.push(member)
    }
    const least = threshold === 'any' ? 1 : threshold === 'all' ? members.length : Number(threshold)
    if (!/^(?:any|all|[1-9]\d{0,3})$/.test(threshold) || least > members.length) {
      return `${threshold} is not any, all or a number from 1 to ${members.length}`
    }
    this.#members.set(name, { kind: 'group', least, members })
    return undefined
  }

  #takeQuorum(words: readonly string[]): string | undefined {
    if (words.length !== 1) return 'quorum <name>'
    if (this.#quorum) return 'a second quorum'
    const of = this.#members.get(words[0]!)
    if (!of && words[0] !== 'none') return `${words[0]} is not defined above`
    this.#quorum = { of }
    return undefined
  }

  #nameFault(name: string): string | undefined {
    if (name === 'none') return 'none is not a name'
    return this.#members.has(name) ? `${name} is defined already` : undefined
  }

  #once(kind: 'log' | 'witness', text: string): string | undefined {
    const key = parseAnyKey(this.#sha256, utf8Of(text) ?? '')
    if (!key) return 'not a verifier key'
    const right = kind === 'log' ? key.type !== 0x04 : key.type === 0x04 || key.type === 0x06
    if (!right) return `a key of type ${key.type} is not that of a ${kind}`
    const material = toHex(key.material)
    if (this.#material[kind].has(material)) return `a second ${kind} with the same public key`
    this.#material[kind].add(material)
    return undefined
  }
}

/** Do these cosigners make the quorum? */
export function meetsQuorum({ quorum }: LogPolicy, cosigned: readonly CosignerKey[]): boolean {
  return quorum === undefined || counts(quorum, new Set(cosigned.map(({ publicKey }) => toHex(publicKey))))
}

function counts(member: Member, cosigned: ReadonlySet<string>): boolean {
  if (member.kind === 'witness') {
    const { key } = member.witness
    return key !== undefined && cosigned.has(toHex(key.publicKey))
  }
  let count = 0
  for (const one of member.members) if (counts(one, cosigned)) count++
  return count >= member.least
}

/** As its key names it; the name in a policy file is that file's own. */
export const witnessName = ({ key, name }: PolicyWitness): string => key?.cosigner ?? name

/** Keys of the witnesses that can be verified. */
export const witnessKeys = ({ witnesses }: LogPolicy): readonly CosignerKey[] =>
  witnesses.flatMap(({ key }) => (key ? [key] : []))

/** So many of these witnesses. */
export function quorumOf(
  log: NoteKey | undefined,
  witnesses: readonly { readonly key: CosignerKey; readonly url?: string }[],
  least: number,
): LogPolicy {
  const named = witnesses.map(({ key, url }, i) => ({ name: `w${i + 1}`, key, url }))
  const members = named.map((witness): Member => ({ kind: 'witness', witness }))
  return { logs: log ? [log] : [], witnesses: named, quorum: { kind: 'group', least, members } }
}

/** The file of a policy that `quorumOf` made. */
export function formatQuorum(
  log: NoteKey,
  witnesses: readonly { readonly key: CosignerKey; readonly url?: string }[],
  least: number,
): string {
  const lines = [
    '# Whose cosignatures make a checkpoint of this log good (c2sp.org/tlog-policy).',
    `log ${formatVerifierKey(log)}`,
    ...witnesses.map(({ key, url }, i) => `witness w${i + 1} ${formatCosignerKey(key)}${url ? ` ${url}` : ''}`),
    `group witnesses ${least} ${witnesses.map((_, i) => `w${i + 1}`).join(' ')}`,
    'quorum witnesses',
  ]
  return `${lines.join('\n')}\n`
}
