/** How places of object stores are written: `s3://bucket/prefix`, and the endpoint that has the bucket. */

import { protectedUrl } from '../../core/url.ts'

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

/** Of nothing but a host: the bucket stands in the place's own URL. */
export function isEndpoint(text: string): boolean {
  const url = protectedUrl(text)
  return url !== undefined && url.search === '' && url.pathname === '/'
}
