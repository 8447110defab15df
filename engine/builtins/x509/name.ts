/** Distinguished names (RFC 5280 section 4.1.2.4) and the strings in them. */

import { BuiltinError } from '../builtin.ts'
import { DerReader, type Oid, oidText, tags } from './der.ts'

export interface Attribute {
  readonly type: Oid
  readonly value: string
}

/** Attributes in the order they stand in, whatever set they belong to. */
export function readName(der: Uint8Array): readonly Attribute[] {
  const attributes: Attribute[] = []
  const sets = new DerReader(der, 'name').sequence()
  while (!sets.empty) {
    const set = sets.within(tags.set)
    while (!set.empty) {
      const attribute = set.sequence()
      const type = attribute.oid()
      const { tag, content } = attribute.any()
      attributes.push({ type, value: readString(tag, content) })
    }
  }
  return attributes
}

/** Values of one type, such as `2.5.4.10`. */
export const valuesOf = (name: readonly Attribute[], type: string): readonly string[] =>
  name.filter((attribute) => oidText(attribute.type) === type).map(({ value }) => value)

const printable = /^[A-Za-z0-9 '()+,\-./:=?*&]*$/ // The last two stand in certificates that are about, though not in X.680.
const utf8Text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

function readString(tag: number, content: Uint8Array): string {
  switch (tag) {
    case tags.utf8String:
      try {
        return utf8Text.decode(content)
      } catch {
        throw new BuiltinError('x509: invalid UTF-8 string')
      }
    case tags.printableString:
      return matching(printable, content)
    case tags.numericString:
      return matching(/^[0-9 ]*$/, content)
    case tags.ia5String:
      return ia5(content)
    case tags.t61String:
      return latin1(content) // Which nearly is what T.61 says, and what everyone reads.
    case tags.bmpString:
      return bmp(content)
    default:
      throw new BuiltinError(`x509: a name holds a value of the type ${tag}`)
  }
}

/** ASCII, as IA5String has it. */
export const ia5 = (content: Uint8Array): string => matching(/^[\0-\x7f]*$/, content)

export const latin1 = (content: Uint8Array): string => Array.from(content, (byte) => String.fromCharCode(byte)).join('')

function matching(shape: RegExp, content: Uint8Array): string {
  const text = latin1(content)
  if (!shape.test(text)) throw new BuiltinError('x509: a string holds a character that its type does not have')
  return text
}

/** UCS-2, whose surrogates and noncharacters are refused. */
function bmp(content: Uint8Array): string {
  if (content.length % 2 !== 0) throw new BuiltinError('x509: invalid BMPString')
  let text = ''
  for (let at = 0; at < content.length; at += 2) {
    const unit = (content[at]! << 8) | content[at + 1]!
    if (unit >= 0xfffe || (unit >= 0xfdd0 && unit <= 0xfdef) || (unit >= 0xd800 && unit <= 0xdfff)) {
      throw new BuiltinError('x509: invalid BMPString')
    }
    text += String.fromCharCode(unit)
  }
  return text.endsWith('\0') ? text.slice(0, -1) : text
}
