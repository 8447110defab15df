/** Roots whose keys AWS KMS makes and holds: CreateKey, GetPublicKey, Sign and ScheduleKeyDeletion of its JSON API. */

import { createHash } from 'node:crypto'
import { fromBase64, toBase64, utf8 } from '../../core/bytes.ts'
import { messageOf, WritError } from '../../core/fault.ts'
import { isObject, type Json } from '../../core/json.ts'
import type { SignRequest } from '../../core/ports.ts'
import { keyKindOf } from '../algorithms.ts'
import { attempt, readDer } from '../der.ts'
import type { RootKey, RootKeys } from './root-keys.ts'
import { askWeb, isSafe, jsonIn } from './web.ts'

export interface KmsPlace {
  readonly region: string
  /** Default that of AWS in the region. */
  readonly endpoint?: string | undefined
  /** Gives the headers of a request that is signed by AWS Signature Version 4 for the service `kms`. */
  readonly sign: SignRequest
}

/** Shortest wait that KMS takes before it destroys a key, in days; until then it can be brought back. */
const pendingDays = 7

type Operation = 'CreateKey' | 'GetPublicKey' | 'Sign' | 'ScheduleKeyDeletion'

/** `ref` is `awskms:` and the ARN of the key. Throws `config_invalid` for an endpoint that is none. */
export function awsKmsRootKeys(place: KmsPlace): RootKeys {
  const url = endpointOf(place)
  const where = `AWS KMS at ${url.host}`

  async function ask(operation: Operation, input: Json): Promise<Record<string, unknown>> {
    const body = utf8(JSON.stringify(input))
    const target = { 'content-type': 'application/x-amz-json-1.1', 'x-amz-target': `TrentService.${operation}` }
    const headers = await place.sign('POST', url, {}, target, body)
    const answer = await askWeb({ url, method: 'POST', headers, body }).catch((cause: unknown) => {
      throw new WritError('unavailable', `${where} does not answer: ${messageOf(cause)}`, {
        cure: 'see that this machine reaches it, and that the region is right',
        cause,
      })
    })
    const value = jsonIn(answer)
    if (answer.status === 200 && isObject(value)) return value
    throw refusal(where, operation, answer.status, value)
  }

  const bytesOf = (operation: Operation, value: unknown): Uint8Array => {
    const bytes = typeof value === 'string' ? fromBase64(value) : undefined
    if (bytes) return bytes
    throw new WritError('unavailable', `${where} answered ${operation} without what was asked for`, {
      cure: 'see that the endpoint is that of AWS KMS',
    })
  }

  async function keyOf(arn: string): Promise<RootKey> {
    const spki = bytesOf('GetPublicKey', (await ask('GetPublicKey', { KeyId: arn }))['PublicKey'])
    const kind = attempt(() => keyKindOf(readDer(spki)))
    if (!('value' in kind) || kind.value !== 'p256') {
      throw new WritError('certificate_invalid', `the key ${arn} is not one of ECC_NIST_P256`, {
        cure: 'let Writ make the keys of its roots',
      })
    }
    return {
      ...{ ref: `awskms:${arn}`, spki },
      async sign(bytes) {
        const digest = createHash('sha256').update(bytes).digest()
        const said = await ask('Sign', {
          ...{ KeyId: arn, Message: toBase64(digest), MessageType: 'DIGEST' },
          SigningAlgorithm: 'ECDSA_SHA_256',
        })
        return bytesOf('Sign', said['Signature'])
      },
    }
  }

  return {
    async create() {
      const made = await ask('CreateKey', {
        ...{ KeySpec: 'ECC_NIST_P256', KeyUsage: 'SIGN_VERIFY', Description: 'root of a Writ authority' },
      })
      const { Arn: arn } = isObject(made['KeyMetadata']) ? made['KeyMetadata'] : {}
      if (typeof arn !== 'string') bytesOf('CreateKey', undefined)
      return keyOf(arn as string)
    },
    async open(ref) {
      if (ref.startsWith('awskms:arn:')) return keyOf(ref.slice(7))
      throw new WritError('certificate_invalid', `${ref.slice(0, 80)} names no key of AWS KMS`, {
        cure: "open the authority with the keys' own place",
      })
    },
    async destroy(ref) {
      if (!ref.startsWith('awskms:arn:')) return
      await ask('ScheduleKeyDeletion', { KeyId: ref.slice(7), PendingWindowInDays: pendingDays }).catch(
        (thrown: unknown) => {
          // It is gone, or on its way.
          if (!(thrown instanceof WritError) || !/NotFoundException|KMSInvalidStateException/.test(thrown.message))
            throw thrown
        },
      )
    },
  }
}

function endpointOf({ endpoint, region }: KmsPlace): URL {
  const tail = region.startsWith('cn-') ? 'amazonaws.com.cn' : 'amazonaws.com'
  const text = endpoint ?? `https://kms.${region}.${tail}`
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url && isSafe(url) && /^[a-z0-9-]{1,64}$/.test(region)) return url
  throw new WritError('config_invalid', `${text} is no endpoint of AWS KMS`, {
    cure: 'name a region such as eu-central-1; an endpoint is https://, or http:// on loopback',
  })
}

const cures: readonly (readonly [RegExp, 'forbidden' | 'not_found' | 'unauthorized' | 'unavailable', string])[] = [
  [/AccessDenied/, 'forbidden', 'allow these credentials kms:CreateKey, GetPublicKey, Sign and ScheduleKeyDeletion'],
  [
    /UnrecognizedClient|InvalidSignature|IncompleteSignature|ExpiredToken|MissingAuthentication/,
    'unauthorized',
    'export AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY (and AWS_SESSION_TOKEN) that hold, and see that the clock is right',
  ],
  [/NotFound/, 'not_found', 'the key is gone: a new root would be unknown to every workload that lacks it'],
  [/Disabled|InvalidState/, 'unavailable', 'enable the key, or cancel its deletion, in AWS KMS'],
  [/LimitExceeded/, 'unavailable', 'raise the quota of keys in AWS KMS, or destroy keys that nobody uses'],
]

function refusal(where: string, operation: Operation, status: number, value: unknown): WritError {
  const body = isObject(value) ? value : {}
  const type = String(body['__type'] ?? '').replace(/^.*#/, '')
  const text = String(body['message'] ?? body['Message'] ?? '').slice(0, 500)
  const [, code, cure] = cures.find(([pattern]) => pattern.test(type)) ?? [
    undefined,
    'unavailable' as const,
    'see what AWS says of it',
  ]
  return new WritError(code, `${where} answered ${operation} with ${status} ${type}: ${text}`, { cure })
}
