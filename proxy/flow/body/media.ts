/** A media type with its parameters (RFC 9110 section 8.3), read strictly: what two readers could take apart differently is none. */

export interface MediaType {
  /** Lower case: `application/json`. */
  readonly type: string
  /** By lower-case name. */
  readonly parameters: ReadonlyMap<string, string>
}

const essence = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+\/[!#$%&'*+.^_`|~0-9A-Za-z-]+)[ \t]*/
const parameter = /;[ \t]*(?:([!#$%&'*+.^_`|~0-9A-Za-z-]+)=(?:([!#$%&'*+.^_`|~0-9A-Za-z-]+)|"([^"\\]*)")[ \t]*)?/y

export function readMediaType(text: string): MediaType | undefined {
  const found = essence.exec(text)
  if (!found) return undefined
  const parameters = readParameters(text, found[0].length)
  return parameters && { type: found[1]!.toLowerCase(), parameters }
}

/** `; name=value` up to the end of the text; undefined where one comes twice, or holds an escape. */
export function readParameters(text: string, from: number): Map<string, string> | undefined {
  const parameters = new Map<string, string>()
  for (let at = from; at < text.length; at = parameter.lastIndex) {
    parameter.lastIndex = at
    const found = parameter.exec(text)
    if (!found) return undefined
    if (found[1] === undefined) continue // A semicolon with nothing behind it.
    const name = found[1].toLowerCase()
    if (parameters.has(name)) return undefined
    parameters.set(name, found[2] ?? found[3]!)
  }
  return parameters
}

/** Whether it says nothing of another charset. */
export const isUtf8 = ({ parameters }: MediaType): boolean =>
  ['utf-8', 'utf8', 'us-ascii'].includes(parameters.get('charset')?.toLowerCase() ?? 'utf-8')
