/** The stream of a mesh in one process: what is published is ingested at once, as partition 0. */

import { messageOf, WritError } from '../../core/fault.ts'
import type { Ingest, Stream } from '../../core/ports.ts'

/** `nextOffset` is where the ledger stands; it is asked for once, and again after anything failed. */
export function embeddedStream(ingest: Ingest, nextOffset: () => Promise<bigint>): Stream {
  let offset: bigint | undefined
  let last: Promise<unknown> = Promise.resolve()
  let closed = false

  const send = async (key: string, value: Uint8Array): Promise<void> => {
    if (closed) throw new WritError('stream_unavailable', 'the stream is closed')
    try {
      offset ??= await nextOffset()
      await ingest(0, [{ offset: String(offset), key, value }])
      offset++
    } catch (thrown) {
      offset = undefined
      throw new WritError('stream_unavailable', `the auditor did not take the records: ${messageOf(thrown)}`, {
        cause: thrown,
      })
    }
  }
  return {
    publish(batch) {
      // One after the other: offsets are dense, and an ingest that fails must not be overtaken.
      const sent = last.then(() => send(batch.producer, joinLines(batch.records)))
      last = sent.catch(() => {})
      return sent
    },
    partitions: () => Promise.resolve(1),
    async close() {
      closed = true
      await last
    },
  }
}

/** Records of one message: canonical JSON has no line feed, so one separates them. */
export function joinLines(records: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  let length = Math.max(records.length - 1, 0)
  for (const record of records) length += record.length
  const whole = new Uint8Array(length)
  let at = 0
  for (const [i, record] of records.entries()) {
    if (i > 0) whole[at++] = 10
    whole.set(record, at)
    at += record.length
  }
  return whole
}
