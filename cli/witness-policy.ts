/** Which witnesses a reader asks for: a policy file (C2SP tlog-policy), or keys on the command line. */

import { readFile, stat } from 'node:fs/promises'
import { parseCheckpoint } from '../audit/log/checkpoint.ts'
import { parseCosignerKey } from '../audit/log/cosignature.ts'
import { parseNote } from '../audit/log/note.ts'
import { type LogPolicy, parsePolicy, quorumOf } from '../audit/log/policy.ts'
import { toHex } from '../core/bytes.ts'
import { WritError } from '../core/fault.ts'
import type { SignedCheckpoint } from '../core/log.ts'
import { sha256 } from './wire/machine.ts'

/** Throws `usage`. */
export async function readPolicy(options: {
  readonly policy?: string
  readonly witness?: readonly string[]
}): Promise<LogPolicy | undefined> {
  const { policy, witness = [] } = options
  if (policy !== undefined && witness.length > 0) {
    throw new WritError('usage', '--policy and --witness do not go together', { cure: 'give one of the two' })
  }
  if (policy !== undefined) {
    const read = parsePolicy(sha256, await readSmall(policy, 'policy'))
    if (!('wrong' in read)) return read
    throw new WritError('usage', `${policy} is no policy: ${read.wrong}`, {
      cure: 'its lines are log, witness, group and quorum, as c2sp.org/tlog-policy has them',
    })
  }
  if (witness.length === 0) return undefined
  const keys = await Promise.all(witness.map(readWitnessKey))
  const distinct = new Set(keys.map(({ publicKey }) => toHex(publicKey)))
  if (distinct.size < keys.length) {
    throw new WritError('usage', 'the same witness twice', { cure: 'name each once; all of them are asked for' })
  }
  return quorumOf(
    undefined,
    keys.map((key) => ({ key })),
    keys.length,
  )
}

async function readWitnessKey(textOrFile: string) {
  const given = parseCosignerKey(sha256, textOrFile.trim())
  if (given) return given
  const text = new TextDecoder().decode(await readSmall(textOrFile, 'key of a witness'))
  const key = parseCosignerKey(sha256, text.trim())
  if (key) return key
  throw new WritError('usage', `${textOrFile} holds no key of a witness`, {
    cure: 'it is one line: <name>+<id>+<base64>, of type 4, as a witness writes it to witness.pub',
  })
}

/** A checkpoint that somebody kept, such as `<witness>/<origin hash>/checkpoint`. */
export async function readCheckpointFile(path: string): Promise<SignedCheckpoint> {
  const note = new TextDecoder().decode(await readSmall(path, 'checkpoint'))
  const checkpoint = parseCheckpoint(parseNote(note)?.text ?? '')
  if (checkpoint) return { checkpoint, note }
  throw new WritError('usage', `${path} holds no checkpoint`, { cure: 'it is a signed note of origin, size and root' })
}

async function readSmall(path: string, what: string): Promise<Uint8Array> {
  const found = await stat(path).catch(() => undefined)
  if (found?.isFile() && found.size <= 256 * 1024) return readFile(path)
  throw new WritError('usage', `${JSON.stringify(path)} is no file of a ${what}`, {
    cure: 'give the path of a file, of at most 256 KiB',
  })
}
