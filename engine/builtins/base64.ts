/** Base64 as Go reads it: line ends are passed over, and bits that belong to no byte are not looked at. */

const standard = /^[A-Za-z0-9+/]*={0,2}$/
const url = /^[A-Za-z0-9_-]*={0,2}$/

/** RFC 4648 section 4, with its padding; undefined where it is something else. */
export function decodeBase64(text: string): Uint8Array | undefined {
  const tight = text.replace(/[\r\n]/g, '')
  return tight.length % 4 === 0 && standard.test(tight) ? decoded(tight) : undefined
}

/** RFC 4648 section 5, with or without padding. */
export function decodeBase64Url(text: string): Uint8Array | undefined {
  const tight = text.replace(/[\r\n]/g, '')
  if (!url.test(tight)) return undefined
  const bare = tight.replace(/=+$/, '')
  if (bare.length % 4 === 1 || (bare.length !== tight.length && tight.length % 4 !== 0)) return undefined
  return decoded(bare.replaceAll('-', '+').replaceAll('_', '/'))
}

function decoded(text: string): Uint8Array {
  const raw = atob(text)
  const bytes = new Uint8Array(raw.length)
  for (let i = 0; i < raw.length; i++) bytes[i] = raw.charCodeAt(i)
  return bytes
}
