/**
 * Sends decisions to a collector as OPA would upload them, but one by one and waited for: what the collector has not said
 * that it keeps is not kept. Those that come while a post is under way go together in the next one.
 */

import { request as plainRequest } from 'node:http'
import { request as tlsRequest } from 'node:https'
import { promisify } from 'node:util'
import { gzip } from 'node:zlib'
import { messageOf, WritError } from '../../core/fault.ts'
import { isObject, type Json, parseJson } from '../../core/json.ts'
import { leadsHere } from '../../core/url.ts'

export interface DecisionSenderOptions {
  /** Where the collector is: `https://collector.example`; plain http to loopback only, since the token goes along. */
  readonly url: string
  /** `writ token NAME --logs`. */
  readonly token: string
  /** Certificates (PEM) that may vouch for the collector, instead of those that this machine trusts. */
  readonly ca?: string | undefined
  /** Time for one post, in milliseconds. Default 5 000; a decision waits for one post at most before its own. */
  readonly timeoutMs?: number
}

export interface DecisionSender {
  /** Resolves once it is kept. Rejects with `audit_unavailable`; then nothing may be answered. */
  keep(event: Json): Promise<void>
  /** Whether the collector is there and knows the token. Throws `unauthorized` or `forbidden`, else `unavailable`. */
  check(): Promise<void>
}

/** Most that one post carries, and most that wait for one; further ones are refused. */
const maxEvents = 256
const maxPostChars = 1024 ** 2
const maxWaiting = 4096
/** Longest answer that is read, in bytes. */
const maxAnswer = 256 * 1024

interface Waiting {
  readonly text: string
  readonly resolve: () => void
  readonly reject: (fault: WritError) => void
}

/** Throws `config_invalid` for an address that the token may not go to. */
export function decisionSender(options: DecisionSenderOptions): DecisionSender {
  const send = senderTo(addressOf(options.url), options)
  let waiting: Waiting[] = []
  let sending = false

  async function sendAll(): Promise<void> {
    sending = true
    while (waiting.length > 0) {
      const batch = takeBatch(waiting)
      waiting = waiting.slice(batch.length)
      await sendBatch(batch)
    }
    sending = false
  }

  async function sendBatch(batch: readonly Waiting[]): Promise<void> {
    try {
      const body = `[${batch.map(({ text }) => text).join(',')}]`
      const refused = refusedIn(await send(body).catch((thrown) => again(thrown, () => send(body))), batch.length)
      for (const [i, { resolve, reject }] of batch.entries()) {
        const why = refused.get(i)
        if (why === undefined) resolve()
        else reject(notKept(`it took the decision for none: ${why}`))
      }
    } catch (cause) {
      const fault = notKept(messageOf(cause), cause)
      for (const { reject } of batch) reject(fault)
    }
  }

  return {
    keep: (event) =>
      new Promise((resolve, reject) => {
        if (waiting.length >= maxWaiting) {
          reject(notKept(`${maxWaiting} decisions wait for it already`))
          return
        }
        waiting.push({ text: JSON.stringify(event), resolve, reject })
        if (!sending) void sendAll()
      }),
    async check() {
      refusedIn(await send('[]'), 0)
    },
  }
}

/** The first always, however long it is. */
function takeBatch(waiting: readonly Waiting[]): readonly Waiting[] {
  let length = 0
  const end = waiting.findIndex(({ text }, i) => {
    length += text.length
    return i > 0 && (i >= maxEvents || length > maxPostChars)
  })
  return waiting.slice(0, end < 0 ? undefined : end)
}

/** By index, why an event was not kept as one. Throws where the answer does not account for all of them. */
function refusedIn(answer: Json | undefined, sent: number): ReadonlyMap<number, string> {
  const { kept, repeated, malformed } = isObject(answer) ? answer : {}
  if (
    typeof kept !== 'number' ||
    typeof repeated !== 'number' ||
    kept + repeated !== sent ||
    !Array.isArray(malformed)
  ) {
    throw new Error('it did not say what it kept')
  }
  return new Map(
    (malformed as readonly Json[]).map((one) => {
      const { index, why } = isObject(one) ? one : {}
      if (typeof index !== 'number') throw new Error('it did not say what it kept')
      return [index, String(why)]
    }),
  )
}

/** A connection that the other end had closed already; what it kept of it nevertheless it knows by its id. */
async function again<T>(thrown: unknown, once: () => Promise<T>): Promise<T> {
  const { code } = thrown as NodeJS.ErrnoException
  if (code !== 'ECONNRESET' && code !== 'EPIPE') throw thrown
  return once()
}

const zip = promisify(gzip)

type Send = (body: string) => Promise<Json | undefined>

function senderTo(address: URL, { token, ca, timeoutMs = 5000 }: DecisionSenderOptions): Send {
  const request = address.protocol === 'https:' ? tlsRequest : plainRequest
  return async (text) => {
    const body = await zip(text)
    const headers = {
      authorization: `Bearer ${token}`,
      'content-type': 'application/json',
      'content-encoding': 'gzip',
      'content-length': body.length,
    }
    const signal = AbortSignal.timeout(timeoutMs)
    return new Promise((resolve, reject) => {
      const trusted = ca === undefined ? {} : { ca }
      const sending = request(address, { method: 'POST', headers, signal, ...trusted }, (answer) => {
        const chunks: Buffer[] = []
        let length = 0
        answer.on('data', (chunk: Buffer) => {
          length += chunk.length
          chunks.push(chunk)
          if (length > maxAnswer) sending.destroy(new Error(`an answer of more than ${maxAnswer} bytes`))
        })
        answer.on('error', reject)
        answer.on('end', () => {
          const value = parseJson(Buffer.concat(chunks).toString('utf8'))
          if (answer.statusCode === 200) resolve(value)
          else reject(refusal(answer.statusCode ?? 0, value))
        })
      })
      sending.on('error', (thrown) => reject(signal.aborted ? new Error(`no answer in ${timeoutMs} ms`) : thrown))
      sending.end(body)
    })
  }
}

function refusal(status: number, answer: Json | undefined): WritError {
  const detail = isObject(answer) && typeof answer['detail'] === 'string' ? `: ${answer['detail']}` : ''
  const code = status === 401 ? 'unauthorized' : status === 403 ? 'forbidden' : 'unavailable'
  return new WritError(code, `the collector answered ${status}${detail}`, {
    cure: 'make a token for it with: writ token NAME --logs',
  })
}

function addressOf(url: string): URL {
  const address = URL.parse(url)
  const inClear = address?.protocol === 'http:' && leadsHere(address)
  if (!address || (address.protocol !== 'https:' && !inClear) || address.username !== '' || address.password !== '') {
    throw new WritError('config_invalid', `${url} is no address that decisions and their token may go to`, {
      cure: 'give an https:// address, or http://127.0.0.1:PORT',
    })
  }
  return new URL('logs', address.href.endsWith('/') ? address : `${address.href}/`)
}

/** The message goes to whoever asked, who need not know where decisions go or why not; the cause is the operator's. */
const notKept = (why: string, cause?: unknown): WritError =>
  new WritError('audit_unavailable', 'the collector did not keep the decision', {
    cure: 'see that it is reachable and that the token is current; nothing is answered until then',
    cause: cause ?? new Error(why),
  })
