/** Text of bytes, one character for each. */

/** Text of the bytes from `from` to `to`. A shell that has something faster passes it in. */
export type Latin1 = (bytes: Uint8Array, from: number, to: number) => string

const { fromCharCode } = String

export const latin1: Latin1 = (bytes, from, to) => {
  let text = ''
  let i = from
  for (; i + 8 <= to; i += 8) {
    const four = fromCharCode(bytes[i]!, bytes[i + 1]!, bytes[i + 2]!, bytes[i + 3]!)
    text += four + fromCharCode(bytes[i + 4]!, bytes[i + 5]!, bytes[i + 6]!, bytes[i + 7]!)
  }
  for (; i < to; i++) text += fromCharCode(bytes[i]!)
  return text
}

/** Writes text whose characters are bytes to `out` at `at`. */
export function putLatin1(text: string, out: Uint8Array, at: number): void {
  for (let i = 0; i < text.length; i++) out[at + i] = text.charCodeAt(i)
}
