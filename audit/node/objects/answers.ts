/** What an S3-compatible store says in XML: listings and refusals. Any bytes give an answer; nothing is trusted. */

import { readWhole } from '../bounded.ts'

export interface Listed {
  readonly keys: readonly string[]
  /** Names up to the delimiter, with it (CommonPrefixes). */
  readonly folders: readonly string[]
  /** Where the next page begins; undefined on the last. */
  readonly next: string | undefined
}

/** ListObjectsV2. Keys with characters that we never write are left out. */
export function parseListing(xml: string): Listed {
  const keys = textsOf(xml, /<Key>([^<]{1,2048})<\/Key>/g)
  const folders = textsOf(xml, /<CommonPrefixes>\s*<Prefix>([^<]{1,2048})<\/Prefix>\s*<\/CommonPrefixes>/g)
  const [, next] = /<NextContinuationToken>([^<]{1,4096})<\/NextContinuationToken>/.exec(xml) ?? []
  const more = /<IsTruncated>true<\/IsTruncated>/.test(xml)
  return { keys, folders, next: more && next !== undefined ? unescaped(next) : undefined }
}

const ours = /^[A-Za-z0-9._/-]+$/
const textsOf = (xml: string, pattern: RegExp): readonly string[] =>
  [...xml.matchAll(pattern)].flatMap(([, text]) => (ours.test(text!) ? [text!] : []))

const entities: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" }
const unescaped = (text: string): string =>
  text.replaceAll(/&(?:#(\d{1,6})|(amp|lt|gt|quot|apos));/g, (_, code: string | undefined, name: string | undefined) =>
    code === undefined ? entities[name!]! : String.fromCodePoint(Math.min(Number(code), 0x10ffff)),
  )

/** A refusal in words: its status, and code and message where it has them. */
export async function errorOf(answer: Response): Promise<string> {
  const bytes = await readWhole(answer, 65_536).catch(() => 'damaged' as const)
  const xml = typeof bytes === 'string' ? '' : new TextDecoder().decode(bytes)
  const of = (name: string): string => new RegExp(`<${name}>([^<]{1,300})</${name}>`).exec(xml)?.[1] ?? ''
  return [`HTTP status ${answer.status}`, of('Code'), unescaped(of('Message'))]
    .filter((part) => part !== '')
    .join(', ')
    .replaceAll(/[\0-\x1f\x7f]/g, ' ')
}
