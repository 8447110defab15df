/** The whole of an answer of a server that may send what it likes, up to a limit. */

/**
 * `too_long` where it is longer once it is unpacked, and `damaged` where it does not unpack: what a few bytes became counts
 * in full. Rejects where it does not come whole.
 */
export async function readWhole(answer: Response, maxBytes: number): Promise<Uint8Array | 'too_long' | 'damaged'> {
  const chunks: Uint8Array[] = []
  let length = 0
  try {
    for await (const chunk of answer.body ?? []) {
      length += chunk.length
      if (length > maxBytes) return 'too_long' // The stream is cancelled by leaving it.
      chunks.push(chunk)
    }
  } catch (thrown) {
    if (isDamage(thrown)) return 'damaged'
    throw thrown
  }
  return new Uint8Array(Buffer.concat(chunks))
}

/** zlib's own codes; the fetch of Node wraps them. */
function isDamage(thrown: unknown): boolean {
  for (let at = thrown; at instanceof Error; at = at.cause) if ('code' in at && /^Z_/.test(String(at.code))) return true
  return false
}
