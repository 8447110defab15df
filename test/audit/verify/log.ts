/** A log as files in memory, made with the log's own functions, and a small mesh that filled it. */

import { createPublicKey, generateKeyPairSync, sign, verify } from 'node:crypto'
import { formatCheckpoint } from '../../../audit/log/checkpoint.ts'
import { Frontier, foldHashes } from '../../../audit/log/merkle.ts'
import { type Ed25519Verify, formatVerifierKey, type NoteKey, noteKey, signNote } from '../../../audit/log/note.ts'
import { encodeBundle, tilePath, tileWidth, widthOf } from '../../../audit/log/tiles.ts'
import { type Verification, type VerifyParts, verifyLog } from '../../../audit/verify/verify.ts'
import { concat, toBase64, utf8 } from '../../../core/bytes.ts'
import { originOf } from '../../../core/log.ts'
import type { Epoch, GapBody } from '../../../core/record.ts'
import { leafHashOf, Producer, sha256, testRoot, verifyTestHead } from './producer.ts'

export class Signer {
  readonly key: NoteKey
  readonly #sign: (message: Uint8Array) => Uint8Array

  constructor() {
    const { privateKey, publicKey } = generateKeyPairSync('ed25519')
    const raw = new Uint8Array(publicKey.export({ format: 'der', type: 'spki' })).slice(-32)
    this.key = noteKey(sha256, 'bank.example/audit', raw)!
    this.#sign = (message) => new Uint8Array(sign(null, message, privateKey))
  }

  get text(): string {
    return formatVerifierKey(this.key)
  }

  checkpoint(shard: number, size: number, root: Uint8Array): Promise<string> {
    const text = formatCheckpoint({ origin: originOf('bank.example', shard), size, root })
    return signNote(text, this.key, this.#sign)
  }
}

export const verifyNote: Ed25519Verify = (publicKey, message, signature) => {
  const der = concat(Uint8Array.from(Buffer.from('302a300506032b6570032100', 'hex')), publicKey)
  return verify(null, message, createPublicKey({ key: Buffer.from(der), format: 'der', type: 'spki' }), signature)
}

export type Files = Map<string, Uint8Array>

export function rootOfLeaves(leaves: readonly Uint8Array[]): Uint8Array {
  const frontier = new Frontier(sha256)
  for (const leaf of leaves) frontier.append(leafHashOf(leaf))
  return frontier.root()
}

/** All files of one shard, `checkpoint` among them. */
export async function filesOf(leaves: readonly Uint8Array[], signer: Signer, shard: number = 0): Promise<Files> {
  const files: Files = new Map()
  let row: readonly Uint8Array[] = leaves.map(leafHashOf)
  for (let level = 0; row.length > 0; level++) {
    const above: Uint8Array[] = []
    for (let index = 0; widthOf(level, index, leaves.length) > 0; index++) {
      const width = widthOf(level, index, leaves.length)
      const hashes = row.slice(index * tileWidth, index * tileWidth + width)
      files.set(tilePath(level, index, width), concat(...hashes))
      if (width === tileWidth) above.push(foldHashes(sha256, hashes))
      if (level > 0) continue
      const entries = leaves.slice(index * tileWidth, index * tileWidth + width)
      files.set(tilePath('entries', index, width), encodeBundle(entries))
    }
    row = above
  }
  files.set('checkpoint', utf8(await signer.checkpoint(shard, leaves.length, rootOfLeaves(leaves))))
  return files
}

export function partsOf(shards: readonly Files[], signer: Signer): VerifyParts {
  return {
    sources: shards.map((files, shard) => ({ shard, read: async (path) => files.get(path) })),
    key: signer.key,
    verifyNote,
    verifyHead: verifyTestHead,
    sha256,
  }
}

export async function verifyLeaves(
  leaves: readonly Uint8Array[],
  more: Partial<VerifyParts> = {},
): Promise<Verification> {
  const signer = new Signer()
  return verifyLog({ ...partsOf([await filesOf(leaves, signer)], signer), ...more })
}

/** Findings as short text, to compare: `broken hole 0/17 <epoch>-4`. */
export const told = (result: Verification): readonly string[] =>
  result.findings.map(
    ({ level, code, shard, index, id }) =>
      `${level} ${code} ${shard}/${index ?? '-'}${id === undefined ? '' : ` ${id.replace(/^[0-9a-f]+/, '')}`}`,
  )

/** The control plane announces the root; orders and the auditor begin. */
export class Mesh {
  readonly control: Producer = new Producer('writ/control')
  readonly auditor: Producer = new Producer('writ/auditor')
  readonly orders: Producer = new Producer('orders')
  readonly leaves: Uint8Array[] = []

  constructor() {
    this.leaves.push(this.control.start())
    this.leaves.push(
      this.control.write({
        kind: 'trust',
        trust_domain: 'bank.example' as never,
        sequence: 1,
        roots: [toBase64(testRoot)],
      }),
      this.control.head(),
      this.auditor.write({ kind: 'start', software: 'test', svid: [] }),
      this.orders.start(),
    )
  }

  /** Calls to orders, two in three allowed, with a head after each five. */
  calls(count: number): this {
    for (let i = 0; i < count; i++) {
      this.leaves.push(this.orders.decision({ verdict: i % 3 === 2 ? 'deny' : 'allow', path: `/orders/${i}` }))
      if (i % 5 === 4) this.leaves.push(this.orders.head())
    }
    return this
  }

  head(): this {
    this.leaves.push(this.orders.head())
    return this
  }

  /** What the auditor writes of numbers missing. */
  gap(action: GapBody['action'], first: number, last: number, epoch: Epoch = this.orders.epoch): Uint8Array {
    return this.auditor.write({ kind: 'gap', action, of: { producer: this.orders.name, epoch }, first, last })
  }

  /** Index of the leaf that holds record `seq` of orders. */
  indexOf(seq: number): number {
    const needle = `"epoch":"${this.orders.epoch}"`
    return this.leaves.findIndex((leaf) => {
      const text = new TextDecoder().decode(leaf)
      return (
        text.includes(needle) &&
        text.includes(`"seq":${seq},`) &&
        text.includes('"producer":"spiffe://bank.example/orders"')
      )
    })
  }
}
