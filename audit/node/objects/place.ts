/** Where objects are kept: `s3://bucket/prefix` at an endpoint, and whose name requests are signed in. */

import { WritError } from '../../../core/fault.ts'
import { isEndpoint, parseS3Url } from '../../keep/place.ts'

/** What a mesh file or flags say beside the URL. What neither says, the environment does, as AWS's own tools read it. */
export interface S3Settings {
  /** Default `AWS_ENDPOINT_URL_S3`, then `AWS_ENDPOINT_URL`, then AWS itself. */
  readonly endpoint?: string | undefined
  /** Default `AWS_REGION`, then `AWS_DEFAULT_REGION`, then us-east-1. */
  readonly region?: string | undefined
}

export interface Credentials {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly sessionToken?: string
}

export interface S3Place {
  readonly bucket: string
  /** Empty, or ends with a slash. */
  readonly prefix: string
  readonly endpoint: URL
  readonly region: string
  /** Undefined: requests are not signed, which is enough to read what is public. */
  readonly credentials: Credentials | undefined
}

/** Throws `usage` where the URL or what stands beside it is wrong. */
export function s3Place(url: string, settings: S3Settings = {}, env: NodeJS.ProcessEnv = process.env): S3Place {
  const at = parseS3Url(url)
  if (!at) {
    throw new WritError('usage', `${url} is not the URL of a place in a bucket`, {
      cure: 's3://bucket/prefix, the prefix of letters, digits, ".", "_", "-" and "/"',
    })
  }
  const region = settings.region ?? env['AWS_REGION'] ?? env['AWS_DEFAULT_REGION'] ?? 'us-east-1'
  if (!/^[a-z0-9-]{1,64}$/.test(region)) throw new WritError('usage', `${JSON.stringify(region)} is no region`)
  const endpoint =
    settings.endpoint ??
    env['AWS_ENDPOINT_URL_S3'] ??
    env['AWS_ENDPOINT_URL'] ??
    `https://s3.${region}.amazonaws.com${region.startsWith('cn-') ? '.cn' : ''}`
  if (!isEndpoint(endpoint)) {
    throw new WritError('usage', `${endpoint} is no endpoint of an object store`, {
      cure: 'https://host, or http:// on loopback; the bucket stands in the s3:// URL',
    })
  }
  return {
    ...{ ...at, region },
    endpoint: new URL(endpoint),
    credentials: credentialsIn(env),
  }
}

/** As AWS's own tools read them. */
export function credentialsIn(env: NodeJS.ProcessEnv): Credentials | undefined {
  const { AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN } = env
  if (!AWS_ACCESS_KEY_ID || !AWS_SECRET_ACCESS_KEY) return undefined
  return {
    accessKeyId: AWS_ACCESS_KEY_ID,
    secretAccessKey: AWS_SECRET_ACCESS_KEY,
    ...(AWS_SESSION_TOKEN && { sessionToken: AWS_SESSION_TOKEN }),
  }
}

/** Who writes has to be somebody. Throws `config_invalid`. */
export function requireCredentials({ bucket, credentials }: S3Place): void {
  if (credentials) return
  throw new WritError('config_invalid', `nothing says in whose name s3://${bucket} is written`, {
    cure: 'export AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (and AWS_SESSION_TOKEN)',
  })
}
