/** `writ report explain M02`: what a check measures, from which records and members, by which rule. */

import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Command } from 'commander'
import { factTexts } from '../audit/report/gather/facts/names.ts'
import { derivedMembers } from '../audit/report/gather/view.ts'
import { complianceFolder, readCatalogue } from '../audit/report/node/catalogue.ts'
import type { CheckDefinition, Condition, TallyRule } from '../core/compliance.ts'
import { WritError } from '../core/fault.ts'
import type { Json } from '../core/json.ts'

interface CatalogueOptions {
  readonly checks?: string
  readonly frameworks?: string
  readonly json?: boolean
}

export const explainCheckCommand = (): Command =>
  withFolders(new Command('explain'))
    .description('say what a check measures, from which records and members, and by which rule')
    .argument('<check>', 'its id, such as M02')
    .option('--json', 'print the check as JSON')
    .action(async (id: string, options: CatalogueOptions) => {
      const { checks, frameworks } = await readCatalogue(options)
      const check = checks.find((one) => one.id.toLowerCase() === id.toLowerCase())
      if (!check) {
        throw new WritError('usage', `there is no check ${id}`, {
          cure: `there are ${checks.map((one) => one.id).join(', ')}`,
        })
      }
      const parts = frameworks.flatMap(({ id: name, parts }) => {
        const own = parts.filter((part) => name !== 'all' && part.checks.includes(check.id)).map((part) => part.id)
        return own.length > 0 ? [`${name}: ${own.join(', ')}`] : []
      })
      const rule = await ruleOf(check, options.checks)
      process.stdout.write(options.json ? `${JSON.stringify(check, null, 2)}\n` : explained(check, parts, rule))
    })

export const frameworksCommand = (): Command =>
  withFolders(new Command('frameworks'))
    .description('list the frameworks that there are, each with its mapping')
    .action(async (options: CatalogueOptions) => {
      const { frameworks } = await readCatalogue(options)
      const lines = frameworks.map(({ id, title, edition, version, reviewed, parts }) => {
        const mapped = parts.filter(({ checks }) => checks.length > 0).length
        const open = parts.filter(({ confirmed }) => !confirmed).length
        const said = open === 0 ? '' : `, ${open} not confirmed`
        return `${id.padEnd(22)} ${title} ${edition}: ${mapped} parts mapped${said}; mapping ${version} of ${reviewed}`
      })
      process.stdout.write(`${lines.join('\n')}\n`)
    })

export const withFolders = (command: Command): Command =>
  command
    .option('--checks <dir>', 'folder of further checks: YAML, with their Rego beside them')
    .option('--frameworks <dir>', 'folder of further frameworks: YAML')

/** The Rego of a check, where a file is called after it. */
async function ruleOf({ id }: CheckDefinition, own: string | undefined): Promise<string | undefined> {
  for (const dir of [...(own === undefined ? [] : [own]), await complianceFolder('checks')]) {
    const text = await readFile(join(dir, `${id}.rego`), 'utf8').catch(() => undefined)
    if (text !== undefined) return text
  }
  return undefined
}

function explained(check: CheckDefinition, parts: readonly string[], rule: string | undefined): string {
  const lines = [`${check.id}: ${check.title}`, '', check.measures, '']
  const used = new Set<string>()
  for (const [name, { value, unit, source }] of Object.entries(check.parameters)) {
    lines.push(`parameter ${name}: ${value} ${unit} by default (${source})`)
  }
  for (const [name, tally] of Object.entries(check.tallies)) lines.push(...tallyLines(name, tally, used))
  for (const name of check.facts) lines.push(`gathered ${name}: ${factTexts[name]}`)
  if (check.needs.length > 0) lines.push(`needs declared ${check.needs.join(', ')}`)
  if (used.size > 0) lines.push('', 'worked out of a record:')
  for (const name of [...used].sort()) lines.push(`  ${name}: ${derivedMembers[name]}`)
  lines.push('', `judged by ${check.rule}`)
  if (parts.length > 0) lines.push('', 'speaks for parts of:', ...parts.map((part) => `  ${part}`))
  if (check.notCovered.length > 0) lines.push('', 'does not cover:', ...check.notCovered.map((one) => `  ${one}`))
  if (rule !== undefined) lines.push('', rule.trimEnd())
  return `${lines.join('\n')}\n`
}

function tallyLines(name: string, { kind, where, any, by }: TallyRule, used: Set<string>): readonly string[] {
  const said = (conditions: Readonly<Record<string, Condition>>): string =>
    Object.entries(conditions)
      .map(([path, condition]) => {
        if (path.startsWith('@')) used.add(path)
        return `${path} ${conditionText(condition)}`
      })
      .join(' and ')
  if (by?.startsWith('@')) used.add(by)
  const all = where === undefined ? '' : ` whose ${said(where)}`
  const of = by === undefined ? '' : `, by ${by}`
  const one = any === undefined ? [] : any.map((conditions) => `  one way: ${said(conditions)}`)
  return [`counts ${name}: records of kind ${kind}${all}${of}`, ...one]
}

function conditionText(condition: Condition): string {
  if (typeof condition !== 'object') return `is ${JSON.stringify(condition)}`
  const [[word, value]] = Object.entries(condition) as [[string, Json]]
  switch (word) {
    case 'in':
      return `is one of ${JSON.stringify(value)}`
    case 'not':
      return `is not ${JSON.stringify(value)}`
    case 'exists':
      return value === true ? 'is there' : 'is missing'
    case 'startsWith':
      return `begins with ${value}`
    default:
      return `is ${word} ${value}`
  }
}
