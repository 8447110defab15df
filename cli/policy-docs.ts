/** `writ policy docs`: a page of a policy's or a library's own annotations. */

import { Command } from 'commander'
import { type Annotated, readAnnotations } from '../engine/node/annotations.ts'
import { openOpa } from '../engine/node/opa.ts'

export const docsCommand = (): Command =>
  new Command('docs')
    .argument('[dir]', 'a folder of Rego', 'policies')
    .description('print a page, in Markdown, of what the METADATA annotations in a folder say')
    .addHelpText('after', '\nIt shows title, description and custom.example of each package and rule that has them.')
    .action(async (dir: string) => {
      const opa = await openOpa({ env: process.env, say: (line) => void process.stderr.write(`${line}\n`) })
      process.stdout.write(pageOf(await readAnnotations(dir, opa)))
    })

/** Wide enough for text, and narrow enough for a terminal. */
const columns = 120

export function pageOf(all: readonly Annotated[]): string {
  const intro = all.find(({ kind }) => kind === 'subpackages')
  const lines = [`# ${intro?.title || 'Policies'}`, '', ...paragraphs(intro?.description ?? '')]
  for (const one of all) {
    if (one.kind === 'package') lines.push(`## ${one.path}`, '', ...paragraphs(`${one.title}. ${one.description}`))
    if (one.kind === 'rule') lines.push(...ruleLines(one), '')
  }
  return `${lines.join('\n').trimEnd()}\n`
}

const paragraphs = (text: string): readonly string[] =>
  text.split(/\n{2,}/).flatMap((paragraph) => [...wrap(paragraph, ''), ''])

/** `http.matches(pattern, given)`, by the name that an import gives it. */
function ruleLines({ path, parameters, description, example }: Annotated): readonly string[] {
  const name = `${path.split('.').slice(-2).join('.')}${parameters}`
  const lines = wrap(`- \`${name}\`: ${description}`, '  ')
  return example === '' ? lines : [...lines, '', '  ```rego', `  ${example}`, '  ```']
}

function wrap(text: string, indent: string): readonly string[] {
  const lines: string[] = []
  let line = ''
  for (const word of text.split(/\s+/)) {
    if (line !== '' && `${line} ${word}`.length > columns) {
      lines.push(line)
      line = `${indent}${word}`
    } else line = line === '' ? word : `${line} ${word}`
  }
  return [...lines, line]
}
