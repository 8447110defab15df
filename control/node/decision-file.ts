/** Decisions as OPA logs them, a JSON object a line, in a file. It is no tamper-evident log, and makes no claim to be. */

import { open } from 'node:fs/promises'
import { messageOf, WritError } from '../../core/fault.ts'
import type { Json } from '../../core/json.ts'

export interface DecisionFile {
  /** Resolves once the line is written. Rejects with `audit_unavailable`; then nothing may be answered. */
  keep(event: Json): Promise<void>
  close(): Promise<void>
}

export interface DecisionFileOptions {
  /** Length at which it is full, in bytes, and every request is refused. Default 1 GiB. */
  readonly maxBytes?: number
}

/** Appends to the file, which is made with mode 0600: inputs carry what callers sent. */
export async function openDecisionFile(path: string, options: DecisionFileOptions = {}): Promise<DecisionFile> {
  const { maxBytes = 1024 ** 3 } = options
  const file = await open(path, 'a', 0o600).catch((cause: unknown) => {
    throw unavailable(`the decision log ${path} cannot be written: ${messageOf(cause)}`, cause)
  })
  let { size } = await file.stat()
  let last: Promise<unknown> = Promise.resolve()
  const write = async (line: Buffer): Promise<void> => {
    if (size + line.length > maxBytes) throw unavailable(`the decision log ${path} is full: it holds ${maxBytes} bytes`)
    try {
      await file.appendFile(line)
      size += line.length
    } catch (cause) {
      throw unavailable(`the decision log ${path} cannot be written: ${messageOf(cause)}`, cause)
    }
  }
  return {
    keep(event) {
      const line = Buffer.from(`${JSON.stringify(event)}\n`)
      // One after the other, so that no line is cut by another.
      const kept = last.then(() => write(line))
      last = kept.catch(() => undefined)
      return kept
    },
    async close() {
      await last
      await file.close()
    },
  }
}

const unavailable = (why: string, cause?: unknown): WritError =>
  new WritError('audit_unavailable', why, {
    cure: 'free some space, or move the file away and start again',
    ...(cause === undefined ? {} : { cause }),
  })
