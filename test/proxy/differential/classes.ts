/** In which way readers differ about a message, in words that stand for a class of messages. */

import { normalisePath } from '../../../proxy/flow/normalise.ts'
import { readRequest } from '../../../proxy/http1/request.ts'
import { headEnd } from '../../../proxy/http1/scan.ts'
import { limitDefaults } from '../../../proxy/limits.ts'
import { type ReaderName, type Reading, readerNames } from './readers.ts'

export type Readings = Readonly<Record<ReaderName, Reading>>
const others = readerNames.filter((name) => name !== 'ours')

export interface Difference {
  /** `danger`: two of them act on something different. `stricter`, `looser`: one acts where another refuses. */
  readonly kind: 'danger' | 'stricter' | 'looser'
  readonly text: string
}

/** Where ours and another differ; nothing where they agree, or where ours knows no service of the host. */
export function differences(bytes: Buffer, readings: Readings): readonly Difference[] {
  if (readings.ours.nowhere) return []
  const ours = readings.ours.messages.map(canonical)
  const found: Difference[] = []
  const taken: ReaderName[] = []
  const refused: ReaderName[] = []
  for (const name of others) {
    const theirs = readings[name].messages.map(canonical)
    const common = Math.min(ours.length, theirs.length)
    for (let i = 0; i < common; i++) {
      if (ours[i] !== theirs[i]) {
        found.push({ kind: 'danger', text: `${name} reads ${theirs[i]} where ours reads ${ours[i]}` })
        return found
      }
    }
    if (theirs.length > ours.length) taken.push(name)
    if (theirs.length < ours.length) refused.push(name)
  }
  if (taken.length > 0)
    found.push({ kind: 'stricter', text: `${whyOurs(bytes, ours.length, readings.ours.end)} | ${taken.join(', ')}` })
  if (refused.length > 0) {
    const how = refused.map((name) => `${name} ${readings[name].end}`).join(', ')
    found.push({ kind: 'looser', text: `${whyTheirs(bytes, readings.ours)} | ${how}` })
  }
  return found
}

/** Without what no server tells apart: our form of a path, and the case of a host. */
function canonical(message: string): string {
  const [method, url, host, body] = JSON.parse(message) as [string, string, string, string]
  const target = url.replace(/^https?:\/\/[^/?#]*/i, '')
  const [path = '', ...query] = (target.startsWith('/') || target === '*' ? target : `/${target}`).split('?')
  const normal = normalisePath(path)
  const read = 'path' in normal ? normal.path : path
  return JSON.stringify([method, [read, ...query].join('?'), host.toLowerCase(), body])
}

/** Our own word for why the message after those that were taken was refused. */
function whyOurs(bytes: Buffer, taken: number, ourEnd: string): string {
  if (taken > 0) return `what follows a message: ${ourEnd}`
  const end = headEnd(bytes, 0, bytes.length, limitDefaults.headBytes)
  if (end === -1) return 'a head that is not whole'
  if (end < 0) return 'a control character, bare CR or bare LF in the head'
  const request = readRequest(bytes.toString('latin1', 0, end), 'http', limitDefaults)
  return 'code' in request ? request.detail : `a good head: ${ourEnd}`
}

/** What of a message another is known to refuse, or to be done with it. */
function whyTheirs(bytes: Buffer, ours: Reading): string {
  const text = bytes.toString('latin1')
  const head = text.slice(0, text.indexOf('\r\n\r\n'))
  if (!/^(GET|POST|PUT|HEAD|OPTIONS|DELETE|PATCH) /.test(head)) return 'a method that it does not know'
  if (/^upgrade: *websocket/im.test(head)) return 'an upgrade'
  if (/^content-length:[^\r]*\t\r?$/im.test(head)) return 'a tab behind a length'
  if (/\r\n0\r\n(?:content-length|host)/i.test(text)) return 'a trailer that would frame or route'
  if (/[0-9a-f] *;(?:\r| )/i.test(text)) return 'an empty chunk extension, or a blank in one'
  if (/ HTTP\/1\.0|^connection:.*close/im.test(head)) return 'bytes behind a last message'
  if (ours.end === '400') return 'what follows a message: its answer is lost'
  return 'else'
}
