/** A join token as it is given: in a file or on standard input, never on the command line, where others can read it. */

import { readFile } from 'node:fs/promises'
import { messageOf, WritError } from '../core/fault.ts'

/** Longest that is read, in bytes. */
const maxBytes = 4096

export async function readTokenFile(file: string | undefined): Promise<string> {
  if (file === undefined) {
    throw new WritError('identity_unavailable', 'there is no identity that still holds, and no join token', {
      cure: 'make one with: writ token <workload>, and give it by --token-file',
    })
  }
  const text = file === '-' ? await readStdin() : await readFile(file, 'utf8').catch(unreadable(file))
  if (text.length > maxBytes) throw new WritError('token_invalid', `${file} is too long for a token`)
  return text.trim()
}

async function readStdin(): Promise<string> {
  let text = ''
  for await (const chunk of process.stdin.setEncoding('utf8')) {
    text += String(chunk)
    if (text.length > maxBytes) break
  }
  return text
}

const unreadable = (file: string) => (thrown: unknown) => {
  throw new WritError('identity_unavailable', `the join token ${file} cannot be read: ${messageOf(thrown)}`, {
    cure: 'make one with: writ token <workload>, and give it by --token-file',
  })
}
