import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  consistencyProof,
  Frontier,
  type HashAt,
  inclusionProof,
  leafHash,
  nodeHash,
  rootAt,
  verifyConsistency,
  verifyInclusion,
} from '../../../audit/log/merkle.ts'
import { fromHex, toHex } from '../../../core/bytes.ts'
import { naivePath, naiveProof, naiveRoot, sha256 } from './naive.ts'

/** The tree that transparency-dev/merkle and Certificate Transparency test with. */
const entries = [
  '',
  '00',
  '10',
  '2021',
  '3031',
  '40414243',
  '5051525354555657',
  '606162636465666768696a6b6c6d6e6f',
].map((hex) => fromHex(hex)!)
const roots = [
  'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
  '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d',
  'fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125',
  'aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77',
  'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
  '4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4',
  '76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef',
  'ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c',
  '5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328',
]
const paths: readonly (readonly [index: number, size: number, path: readonly string[]])[] = [
  [0, 1, []],
  [
    0,
    8,
    [
      '96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7',
      '5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e',
      '6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4',
    ],
  ],
  [
    5,
    8,
    [
      'bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b',
      'ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0',
      'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
    ],
  ],
  [2, 3, ['fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125']],
  [
    1,
    5,
    [
      '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d',
      '5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e',
      'bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b',
    ],
  ],
]
const proofs: readonly (readonly [old: number, size: number, proof: readonly string[]])[] = [
  [1, 1, []],
  [
    1,
    8,
    [
      '96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7',
      '5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e',
      '6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4',
    ],
  ],
  [
    6,
    8,
    [
      '0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a',
      'ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0',
      'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
    ],
  ],
  [
    2,
    5,
    [
      '5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e',
      'bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b',
    ],
  ],
]

const frontierOf = (leaves: readonly Uint8Array[]): Frontier => {
  const tree = new Frontier(sha256)
  for (const bytes of leaves) tree.append(leafHash(sha256, bytes))
  return tree
}

/** Perfect subtrees by the definition. */
const hashesOf =
  (leaves: readonly Uint8Array[]): HashAt =>
  (level, index) => {
    const part = leaves.slice(index * 2 ** level, (index + 1) * 2 ** level)
    if (part.length < 2 ** level) throw new Error('asked for a subtree that is not there')
    return naiveRoot(part)
  }

describe('known answers', () => {
  test('leaf and node hashes carry the prefixes of RFC 6962', () => {
    expect(toHex(leafHash(sha256, new Uint8Array(0)))).toBe(roots[1])
    expect(toHex(leafHash(sha256, new TextEncoder().encode('L123456')))).toBe(
      '395aa064aa4c29f7010acfe3f25db9485bbd4b91897b6ad7ad547639252b4d56',
    )
    const text = (name: string) => new TextEncoder().encode(name)
    expect(toHex(nodeHash(sha256, sha256(text('N1')), sha256(text('N2'))))).not.toBe(
      toHex(sha256(Buffer.concat([sha256(text('N1')), sha256(text('N2'))]))),
    )
  })

  test.each(roots.map((root, size) => [size, root] as const))('the root of %i entries', async (size, root) => {
    expect(toHex(frontierOf(entries.slice(0, size)).root())).toBe(root)
    expect(toHex(await rootAt(sha256, size, hashesOf(entries)))).toBe(root)
  })

  test.each(paths)('the path of entry %i in a tree of %i', async (index, size, path) => {
    expect((await inclusionProof(sha256, index, size, hashesOf(entries))).map(toHex)).toEqual(path)
  })

  test.each(proofs)('the proof that %i grew into %i', async (old, size, proof) => {
    expect((await consistencyProof(sha256, old, size, hashesOf(entries))).map(toHex)).toEqual(proof)
  })
})

const someEntries = fc.array(fc.uint8Array({ maxLength: 3 }), { minLength: 1, maxLength: 70 })
const within = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })

describe('against the definition', () => {
  test('roots and proofs of any tree are those of the definition, and verify', async () => {
    await fc.assert(
      fc.asyncProperty(someEntries, within, within, async (all, a, b) => {
        const size = 1 + Math.floor(a * all.length)
        const index = Math.floor(b * size)
        const old = index + 1
        const leaves = all.slice(0, size)
        const root = frontierOf(leaves).root()
        expect(toHex(root)).toBe(toHex(naiveRoot(leaves)))

        const path = await inclusionProof(sha256, index, size, hashesOf(all))
        expect(path.map(toHex)).toEqual(naivePath(index, leaves).map(toHex))
        expect(verifyInclusion(sha256, leafHash(sha256, leaves[index]!), index, size, path, root)).toBe(true)

        const proof = await consistencyProof(sha256, old, size, hashesOf(all))
        expect(proof.map(toHex)).toEqual(naiveProof(old, leaves).map(toHex))
        expect(verifyConsistency(sha256, old, size, proof, naiveRoot(leaves.slice(0, old)), root)).toBe(true)
      }),
      { numRuns: 150 },
    )
  })

  test('a proof with anything changed does not verify', async () => {
    await fc.assert(
      fc.asyncProperty(someEntries, within, within, fc.nat(1000), async (all, a, b, flip) => {
        const size = 1 + Math.floor(a * all.length)
        const index = Math.floor(b * size)
        const old = index + 1
        const leaves = all.slice(0, size)
        const root = naiveRoot(leaves)
        const leaf = leafHash(sha256, leaves[index]!)
        const oldRoot = naiveRoot(leaves.slice(0, old))
        const path = naivePath(index, leaves)
        const proof = naiveProof(old, leaves)
        const other = (bytes: Uint8Array) => {
          const changed = Uint8Array.from(bytes)
          changed[flip % changed.length]! ^= 1 << (flip % 8)
          return changed
        }
        const at = (list: readonly Uint8Array[]) =>
          list.map((hash, i) => (i === flip % list.length ? other(hash) : hash))

        expect(verifyInclusion(sha256, other(leaf), index, size, path, root)).toBe(false)
        expect(verifyInclusion(sha256, leaf, index, size, path, other(root))).toBe(false)
        expect(verifyInclusion(sha256, leaf, index, size, [...path, leaf], root)).toBe(false)
        expect(verifyConsistency(sha256, old, size, proof, other(oldRoot), root)).toBe(false)
        expect(verifyConsistency(sha256, old, size, proof, oldRoot, other(root))).toBe(false)
        expect(verifyConsistency(sha256, old, size, [...proof, leaf], oldRoot, root)).toBe(false)
        if (path.length > 0) {
          expect(verifyInclusion(sha256, leaf, index, size, at(path), root)).toBe(false)
          expect(verifyInclusion(sha256, leaf, index, size, path.slice(1), root)).toBe(false)
        }
        if (proof.length > 0) {
          expect(verifyConsistency(sha256, old, size, at(proof), oldRoot, root)).toBe(false)
          expect(verifyConsistency(sha256, old, size, proof.slice(1), oldRoot, root)).toBe(false)
        }
      }),
      { numRuns: 150 },
    )
  })

  test('arbitrary proofs neither verify nor throw', () => {
    const hash = fc.uint8Array({ minLength: 0, maxLength: 40 })
    fc.assert(
      fc.property(fc.integer(), fc.integer(), fc.array(hash, { maxLength: 60 }), hash, (a, b, list, root) => {
        expect(verifyInclusion(sha256, root, a, b, list, sha256(root))).toBe(false)
        expect(verifyConsistency(sha256, a, b, list, root, sha256(root))).toBe(false)
      }),
    )
  })
})

describe('edges', () => {
  test('every tree extends the empty one with an empty proof, and with no other', () => {
    const empty = sha256(new Uint8Array(0))
    const root = fromHex(roots[5]!)!
    expect(verifyConsistency(sha256, 0, 5, [], empty, root)).toBe(true)
    expect(verifyConsistency(sha256, 0, 5, [root], empty, root)).toBe(false)
    expect(verifyConsistency(sha256, 0, 5, [], root, root)).toBe(false)
  })

  test('a tree does not grow into a smaller one, and only into itself at its own size', () => {
    const [five, six] = [fromHex(roots[5]!)!, fromHex(roots[6]!)!]
    expect(verifyConsistency(sha256, 5, 5, [], five, five)).toBe(true)
    expect(verifyConsistency(sha256, 5, 5, [], five, six)).toBe(false)
    expect(verifyConsistency(sha256, 6, 5, [], six, five)).toBe(false)
  })

  test('an index at the size has no path, the one below has', async () => {
    await expect(inclusionProof(sha256, 8, 8, hashesOf(entries))).rejects.toThrow(RangeError)
    expect(await inclusionProof(sha256, 7, 8, hashesOf(entries))).toHaveLength(3)
  })

  test('trees beyond 2^32 leaves are counted, not wrapped', async () => {
    const size = 2 ** 40 + 1
    const same: HashAt = (level) => sha256(Uint8Array.of(level))
    const path = await inclusionProof(sha256, size - 1, size, same)
    const root = nodeHash(sha256, sha256(Uint8Array.of(40)), sha256(Uint8Array.of(0)))
    expect(verifyInclusion(sha256, sha256(Uint8Array.of(0)), size - 1, size, path, root)).toBe(true)
    expect(verifyInclusion(sha256, sha256(Uint8Array.of(0)), 2 ** 8, size, path, root)).toBe(false)
  })
})
