/** Transcripts of a page: its ```console blocks, and what its commands print when they are run. */

export interface Step {
  readonly command: string
  readonly shown: string
}

/** Commands of a page in order, each with what is shown below it. */
export function stepsOf(page: string): readonly Step[] {
  return [...page.matchAll(/^```console\n(.*?)^```$/gms)].flatMap(([, block = '']) =>
    block
      .split(/^\$ /m)
      .slice(1)
      .map((text) => ({ command: text.slice(0, text.indexOf('\n')), shown: text.slice(text.indexOf('\n') + 1) })),
  )
}

/** Commands of a page's blocks that show no answer, without what is said of them after a `#`. */
export const blocksOf = (page: string): readonly string[] =>
  [...page.matchAll(/^```\w*\n(.*?)^```$/gms)]
    .filter(([block]) => block.startsWith('```\n'))
    .flatMap(([, block = '']) => block.trim().split('\n'))
    .map((line) => line.replace(/ +# .*$/, ''))

/** Files that a page gives: a block of YAML, Rego or JSON whose first line names it in a comment. */
export function filesOf(page: string): readonly { readonly name: string; readonly text: string }[] {
  return [...page.matchAll(/^```(?:yaml|rego|json)\n# ([\w./-]+\.\w+)\n(.*?)^```$/gms)].map(
    ([, name = '', text = '']) => ({
      name,
      // The line stays: what is told of rows is told of the file as it is shown.
      text: `# ${name}\n${text}`,
    }),
  )
}

/** Words as a shell splits them; quotes hold words together. */
export const wordsOf = (command: string): readonly string[] =>
  [...command.matchAll(/'([^']*)'|"([^"]*)"|(\S+)/g)].map(([, one, two, plain]) => one ?? two ?? plain ?? '')

/**
 * Without what differs from one run to the next. Everything else has to be the same: words, counts, verdicts, lines.
 */
const rules: readonly (readonly [RegExp, string])[] = [
  [/\b[0-9a-f]{24}-\d+\b/g, 'ID'], // Decisions.
  [/\btest_[0-9a-f]{8}_\d+\b/g, 'TEST'], // Tests that are called after them.
  [/\b[0-9a-f]{12,}\b/g, 'HEX'], // Revisions, hashes, serials.
  [/\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?: UTC|Z)?/g, 'TIME'],
  [/\b\d[\d,.]*(?: ?(?:to|and) ?\d[\d,.]*)? ?(?:ns|µs|ms|s)\b/g, 'DURATION'],
  [/\b[\d,]+ (decisions )?a second/g, 'RATE'],
  [/\b[\d,]+ decisions each/g, 'COUNT decisions each'], // As many as fit into the time of a run.
  [/one run of [\d,]+: (?:\d+ % of that|[\d.]+ times as long)/g, 'one run of COUNT'],
  [/ +/g, ' '], // Widths of columns.
  [/ $/gm, ''],
]

export const normalised = (text: string): string =>
  rules.reduce((result, [pattern, word]) => result.replace(pattern, word), text).trim()
