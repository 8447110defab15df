/** How places of object stores are written: `s3://bucket/prefix`, and the endpoint that has the bucket. */

export const isS3 = (place: string): boolean => place.startsWith('s3://')

/** Names that mean the same in a URL, in a signature and in a file system: nothing of them is ever escaped. */
const shape = /^s3:\/\/([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])((?:\/(?!\.{1,2}(?:\/|$))[A-Za-z0-9._-]{1,255}){0,32})\/?$/

export interface S3Url {
  readonly bucket: string
  /** Empty, or ends with a slash. */
  readonly prefix: string
}

export function parseS3Url(text: string): S3Url | undefined {
  const [, bucket, path] = (text.length <= 1024 && shape.exec(text)) || []
  return bucket === undefined ? undefined : { bucket, prefix: path ? `${path.slice(1)}/` : '' }
}

const loopback = /^(?:localhost|\[::1\]|127(?:\.\d{1,3}){3})$/

/** Keys and records pass there: nothing but https, or http on this machine. */
export function isEndpoint(text: string): boolean {
  if (!URL.canParse(text)) return false
  const { protocol, hostname, username, password, pathname, search, hash } = new URL(text)
  if (username + password + search + hash !== '' || pathname !== '/') return false
  return protocol === 'https:' || (protocol === 'http:' && loopback.test(hostname))
}
