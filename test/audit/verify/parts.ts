/** Parts of a log as other threads read them, read in this one. */

import { plainSha256 } from '../../../audit/log/merkle.ts'
import { Findings } from '../../../audit/verify/finding.ts'
import { type PartReaders, readPart } from '../../../audit/verify/part.ts'
import { openTree } from '../../../audit/verify/tree.ts'
import type { VerifyParts } from '../../../audit/verify/verify.ts'
import { sha256 } from './producer.ts'

/** `taken` is told of each part that was read here, and whether it could be told in short. */
export function readersHere(
  { sources }: Pick<VerifyParts, 'sources'>,
  leaves: number,
  atOnce: number = 3,
  taken: (read: boolean) => void = () => undefined,
): PartReaders {
  return {
    leaves,
    atOnce,
    async read(shard, checkpoint, range) {
      const source = sources.find((one) => one.shard === shard)!
      const told = new Findings()
      const tree = await openTree(source, checkpoint, sha256, plainSha256(sha256), told)
      const read = await readPart({ source, tree, told }, range)
      taken(read !== undefined)
      return read && structuredClone(read)
    },
  }
}
