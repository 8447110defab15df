/** Text on a terminal of some width. */

/** Columns of a terminal; a file or a pipe has no end to its lines. */
export const columnsOf = (stream: { readonly columns?: number | undefined }): number =>
  stream.columns ? Math.max(stream.columns, 40) : Number.POSITIVE_INFINITY

/** Breaks between words; every line begins with that many spaces. A word that is longer than a line stays whole. */
export function wrap(text: string, width: number, indent: number): string {
  const lines: string[] = []
  let line = ''
  for (const word of text.split(' ')) {
    if (line !== '' && indent + line.length + 1 + word.length > width) {
      lines.push(line)
      line = word
    } else line = line === '' ? word : `${line} ${word}`
  }
  return [...lines, line].map((each) => ' '.repeat(indent) + each).join('\n')
}
