/** What the key services of clouds have in common: JSON over HTTPS under a bearer token that the platform gives. */

import { utf8 } from '../../core/bytes.ts'
import { messageOf, WritError } from '../../core/fault.ts'
import { isObject, type Json } from '../../core/json.ts'
import { keyKindOf } from '../algorithms.ts'
import { attempt, readDer } from '../der.ts'
import { askWeb, jsonIn, type WebRequest } from './web.ts'

type Answer = Readonly<Record<string, unknown>>

/** A service's refusal as it says it itself. */
export interface CloudRefusal {
  readonly status: number
  /** The service's own word for it, such as `PERMISSION_DENIED`. */
  readonly type: string
  readonly text: string
}

export interface CloudService {
  /** How it is named in what goes wrong. */
  readonly where: string
  /** Gives the bearer token. */
  readonly token: () => Promise<string>
  readonly refusalOf: (status: number, body: Answer) => CloudRefusal
  /** Which of its refusals is what, and its cure; the first whose pattern is found in status and type. */
  readonly cures: readonly (readonly [RegExp, 'forbidden' | 'not_found' | 'unauthorized' | 'unavailable', string])[]
}

/** Rejects with `unavailable` where nobody answers, else with the refusal and its cure. */
export async function askCloud(
  { where, token, refusalOf, cures }: CloudService,
  method: WebRequest['method'],
  url: URL,
  body?: Json,
): Promise<Answer> {
  const headers = {
    ...{ accept: 'application/json', authorization: `Bearer ${await token()}` },
    ...(body !== undefined && { 'content-type': 'application/json' }),
  }
  const bytes = body === undefined ? {} : { body: utf8(JSON.stringify(body)) }
  const answer = await askWeb({ url, method, headers, ...bytes }).catch((cause: unknown) => {
    throw new WritError('unavailable', `${where} does not answer: ${messageOf(cause)}`, {
      cure: 'see that this machine reaches it',
      cause,
    })
  })
  const value = jsonIn(answer)
  const object = isObject(value) ? value : {}
  if (answer.status >= 200 && answer.status < 300) return object
  const { status, type, text } = refusalOf(answer.status, object)
  const [, code, cure] = cures.find(([pattern]) => pattern.test(`${status} ${type}`)) ?? [
    undefined,
    'unavailable' as const,
    'see what the service says of it',
  ]
  throw new WritError(code, `${where} answered ${status} ${type}: ${text.slice(0, 500)}`, { cure })
}

/** A token from where the platform gives them to whoever runs there. Rejects with `unauthorized` where there is none. */
export async function platformToken(from: string, request: WebRequest, cure: string): Promise<string> {
  const none = (why: string, cause?: unknown): WritError =>
    new WritError('unauthorized', `${from} gave no token: ${why}`, { cure, cause })
  const answer = await askWeb(request).catch((cause: unknown) => {
    throw none(messageOf(cause), cause)
  })
  const value = jsonIn(answer)
  const token = isObject(value) ? value['access_token'] : undefined
  if (answer.status === 200 && typeof token === 'string' && /^[\x21-\x7e]+$/.test(token)) return token
  throw none(`it answered ${answer.status}`)
}

/** `spki` where it is a P-256 key. Throws `certificate_invalid`. */
export function rootSpki(spki: Uint8Array | undefined, name: string): Uint8Array {
  const kind = spki && attempt(() => keyKindOf(readDer(spki)))
  if (spki && kind && 'value' in kind && kind.value === 'p256') return spki
  throw new WritError('certificate_invalid', `the key ${name} is not one of P-256`, {
    cure: 'let Writ make the keys of its roots',
  })
}

export const unanswered = (where: string, what: string): WritError =>
  new WritError('unavailable', `${where} answered without ${what}`, {
    cure: 'see that the address is that of the service',
  })

export const otherPlace = (ref: string, where: string): WritError =>
  new WritError('certificate_invalid', `${ref.slice(0, 80)} names no key of ${where}`, {
    cure: "open the authority with the keys' own place",
  })
