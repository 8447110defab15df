/**
 * JSON bodies that a route changes on the way: each is gathered whole, patched, and sent on. What is no JSON by its media
 * type passes as it is; what says it is and cannot be read, or is too long, is refused rather than passed unchanged.
 */

import type { Transform } from '../../core/filters.ts'
import type { Onward } from '../exchange.ts'
import { isJson, patchedBody } from '../flow/filters/patch.ts'
import type { UpstreamFailure } from '../flow/problem.ts'
import { type Fields, fieldValue } from '../http1/fields.ts'
import type { Request } from '../http1/request.ts'
import type { Response } from '../http1/response.ts'
import type { Trailers } from '../http1/trailers.ts'
import type { Leg, LegUser, OpenLeg } from './leg.ts'

export class TransformLeg implements Leg {
  readonly #request: Request
  readonly #onward: Onward
  readonly #user: LegUser
  readonly #open: OpenLeg
  readonly #transform: Transform
  #leg: Leg | undefined
  /** What came of a body that is to be patched: the request's until it is sent on, then the answer's. */
  #gathered: Uint8Array[] | undefined
  #bytes = 0
  #answer: Response | undefined
  /** Why a body is refused, as soon as that is known; what still comes of it is dropped. */
  #wrong: UpstreamFailure | undefined
  #over = false

  constructor(request: Request, onward: Onward, user: LegUser, open: OpenLeg, transform: Transform) {
    this.#request = request
    this.#onward = onward
    this.#user = user
    this.#open = open
    this.#transform = transform
    const changes = transform.request !== undefined && request.framing.kind !== 'none' && isJsonOf(request.fields)
    if (!changes) this.#begin(onward, false)
    else if (isPatchable(request.fields)) {
      this.#gathered = []
      user.onReady('')
    } else this.#refuse('request_unpatched')
  }

  #begin(onward: Onward, gathered: boolean): void {
    const user = this.#user
    this.#leg = this.#open(this.#request, onward, {
      onReady: (upstream, sentAgain) => {
        user.onReady(upstream, gathered || sentAgain)
        if (gathered && !sentAgain) queueMicrotask(() => this.#sendGathered())
      },
      onResponse: (response) => this.#onResponse(response),
      onBody: (bytes) => (this.#answer || this.#wrong ? this.#gather(bytes, 'answer_unpatched') : user.onBody(bytes)),
      onBodyEnd: (trailers) => this.#onBodyEnd(trailers),
      onDrain: () => user.onDrain(),
      onFailure: (code) => this.#fail(code),
    })
  }

  write(bytes: Uint8Array): boolean {
    if (this.#leg) return this.#leg.write(bytes)
    return this.#gather(bytes, 'request_unpatched')
  }

  end(trailers: Trailers): void {
    if (this.#leg) {
      this.#leg.end(trailers)
      return
    }
    if (this.#over || this.#wrong) return
    const patched = patchedBody(this.#whole(), this.#transform.request!)
    if (!patched) {
      this.#fail('request_unpatched')
      return
    }
    this.#gathered = [patched]
    const { setHeaders } = this.#onward
    const length = this.#request.framing.kind === 'length' && { 'content-length': String(patched.length) }
    const removeHeaders = [...this.#onward.removeHeaders, ...ofOldBytes]
    this.#begin({ ...this.#onward, setHeaders: { ...setHeaders, ...length }, removeHeaders }, true)
  }

  resume(): void {
    this.#leg?.resume()
  }

  close(): void {
    this.#over = true
    this.#leg?.close()
  }

  #sendGathered(): void {
    const gathered = this.#gathered
    this.#gathered = undefined
    for (const bytes of gathered ?? []) this.#leg?.write(bytes)
    this.#leg?.end([])
  }

  /** Nothing is taken in beyond the limit. */
  #gather(bytes: Uint8Array, tooLong: UpstreamFailure): boolean {
    if (this.#over || this.#wrong) return true
    this.#gathered ??= []
    this.#gathered.push(bytes)
    this.#bytes += bytes.length
    if (this.#bytes > this.#transform.maxBytes) this.#refuse(tooLong)
    return true
  }

  /** Not within a leg's own reading. */
  #refuse(code: UpstreamFailure): void {
    this.#wrong ??= code
    this.#gathered = undefined
    queueMicrotask(() => this.#fail(code))
  }

  #whole(): Uint8Array {
    const whole = Buffer.concat(this.#gathered ?? [])
    this.#gathered = undefined
    this.#bytes = 0
    return whole
  }

  #onResponse(response: Response): void {
    if (this.#over) return
    this.#gathered = undefined
    this.#bytes = 0
    if (this.#transform.response === undefined || response.framing.kind === 'none' || !isJsonOf(response.fields)) {
      this.#user.onResponse(response)
    } else if (isPatchable(response.fields)) this.#answer = response
    else this.#refuse('answer_unpatched') // It is compressed, or a part.
  }

  #onBodyEnd(trailers: Trailers): void {
    if (this.#over) return
    if (this.#wrong) {
      this.#fail(this.#wrong)
      return
    }
    const answer = this.#answer
    const patched = answer && patchedBody(this.#whole(), this.#transform.response!)
    if (answer && !patched) {
      this.#fail('answer_unpatched')
      return
    }
    this.#over = true
    if (answer) {
      this.#user.onResponse({ ...answer, fields: without(answer.fields, ofOldBody), framing: { kind: 'chunked' } })
      this.#user.onBody(patched!)
    }
    this.#user.onBodyEnd(trailers)
  }

  #fail(code: UpstreamFailure): void {
    if (this.#over) return
    this.#over = true
    this.#leg?.close()
    this.#user.onFailure(code)
  }
}

const isJsonOf = (fields: Fields): boolean => isJson(fieldValue(fields, 'content-type'))

/** A body that is whole and not compressed. */
function isPatchable(fields: Fields): boolean {
  const encoding = fieldValue(fields, 'content-encoding')
  const whole = encoding === undefined || encoding.toLowerCase() === 'identity'
  return isJsonOf(fields) && whole && fieldValue(fields, 'content-range') === undefined
}

/** What was said of the body as it was. */
const ofOldBytes = ['content-md5', 'digest', 'content-digest', 'repr-digest']
const ofOldBody: ReadonlySet<string> = new Set([...ofOldBytes, 'content-length', 'etag', 'accept-ranges'])

function without(fields: Fields, names: ReadonlySet<string>): Fields {
  const { text, at } = fields
  const kept: number[] = []
  for (let i = 0; i < at.length; i += 4) {
    if (!names.has(text.slice(at[i], at[i + 1]).toLowerCase())) kept.push(at[i]!, at[i + 1]!, at[i + 2]!, at[i + 3]!)
  }
  return { ...fields, at: kept }
}
