/** What a conformance run found, as the page docs/CONFORMANCE.md, and the numbers read back from that page. */

import type { Judged } from './judge.ts'

export interface Counts {
  readonly passed: number
  readonly failed: number
  readonly excepted: number
}

export const countsOf = (judged: readonly Judged[]): Counts => ({
  passed: judged.filter(({ outcome }) => outcome === 'passed').length,
  failed: judged.filter(({ outcome }) => outcome === 'failed').length,
  excepted: judged.filter(({ outcome }) => outcome === 'excepted').length,
})

export function pageOf(judged: readonly Judged[], opaVersion: string): string {
  const { passed, failed, excepted } = countsOf(judged)
  const folders = [...new Set(judged.map(({ one }) => one.folder))].sort()
  const rows = folders.map((folder) => rowOf(folder, countsOf(judged.filter(({ one }) => one.folder === folder))))
  return `# Conformance

OPA's own test cases (version ${opaVersion}, \`v1/test/cases/testdata/v1\`), each compiled by OPA to WebAssembly and asked
through \`engine/\`, with exact values. \`npm run conformance\` measures it and writes this page; it fails where fewer
pass than are written here.

Of ${passed + failed} cases **${passed}** pass and ${failed} fail; ${excepted} are not counted, for the reasons below.
OPA's own Wasm host passes all that it counts.

Of ${judged.filter(({ narrowed }) => narrowed).length} cases the plan reads less than the whole input (\`engine/reads.ts\`): each is asked again with what it reads
alone, and passes only where the answer is the same.

The host of the run looks up its own addresses, parses Rego for \`rego.parse_module\` and has no network. A policy that
calls one of \`http.send\`, \`net.lookup_ip_addr\` and \`rego.parse_module\` is refused at load by a host that cannot
answer it.

## Not counted

| case | reason |
| --- | --- |
${listOf(judged, 'excepted')}
## Failing

${failed === 0 ? 'None.\n' : `| case | what is wrong |\n| --- | --- |\n${listOf(judged, 'failed')}`}
## By directory

| directory | passed | failed | not counted |
| --- | ---: | ---: | ---: |
${rows.join('\n')}
${rowOf('**all**', { passed, failed, excepted })}
`
}

const rowOf = (name: string, { passed, failed, excepted }: Counts): string =>
  `| ${name} | ${passed} | ${failed} | ${excepted} |`

const listOf = (judged: readonly Judged[], outcome: Judged['outcome']): string =>
  judged
    .filter((one) => one.outcome === outcome)
    .map(({ one, reason }) => `| ${cell(one.note)} | ${cell(reason)} |\n`)
    .join('')

const cell = (text: string): string => text.slice(0, 200).replaceAll('|', '\\|').replace(/\s+/g, ' ')

/** The rows of the last table by directory, `**all**` among them. */
export function readPage(page: string): ReadonlyMap<string, Counts> {
  const rows = page.matchAll(/^\| (\S+) \| ([0-9]+) \| ([0-9]+) \| ([0-9]+) \|$/gm)
  return new Map(
    [...rows].map(([, name = '', passed, failed, excepted]) => [
      name,
      { passed: Number(passed), failed: Number(failed), excepted: Number(excepted) },
    ]),
  )
}
