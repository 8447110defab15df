/** Test results as JUnit's XML, which CI systems read. */

import { isObject, type Json } from '../../core/json.ts'

export interface Suite {
  readonly name: string
  /** What `opa test --format json` printed, parsed; undefined where it printed no results. */
  readonly results: Json | undefined
  /** What it said where there are no results: the policy or a test does not compile. */
  readonly complaint: string
}

interface Case {
  readonly suite: string
  readonly name: string
  readonly file: string
  readonly line: number
  readonly seconds: number
  readonly end: 'passed' | 'failed' | 'skipped' | 'error'
  readonly text: string
}

export function junitXml(suites: readonly Suite[]): string {
  const lines = ['<?xml version="1.0" encoding="UTF-8"?>']
  const all = suites.map((suite) => ({ suite, cases: casesOf(suite) }))
  lines.push(`<testsuites${countsOf(all.flatMap(({ cases }) => cases))}>`)
  for (const { suite, cases } of all) {
    lines.push(`  <testsuite name="${escaped(suite.name)}"${countsOf(cases)}>`)
    for (const one of cases) lines.push(caseXml(one))
    lines.push('  </testsuite>')
  }
  lines.push('</testsuites>')
  return `${lines.join('\n')}\n`
}

function countsOf(cases: readonly Case[]): string {
  const count = (end: Case['end']): number => cases.filter((one) => one.end === end).length
  const seconds = cases.reduce((sum, one) => sum + one.seconds, 0)
  const counts = { tests: cases.length, failures: count('failed'), errors: count('error'), skipped: count('skipped') }
  return `${Object.entries(counts)
    .map(([name, value]) => ` ${name}="${value}"`)
    .join('')} time="${seconds.toFixed(6)}"`
}

function caseXml({ suite, name, file, line, seconds, end, text }: Case): string {
  const where = file === '' ? '' : ` file="${escaped(file)}" line="${line}"`
  const open = `    <testcase classname="${escaped(suite)}" name="${escaped(name)}"${where} time="${seconds.toFixed(6)}"`
  if (end === 'passed') return `${open}/>`
  if (end === 'skipped') return `${open}><skipped/></testcase>`
  const element = end === 'failed' ? 'failure' : 'error'
  return `${open}><${element} message="${escaped(text)}"/></testcase>`
}

function casesOf({ name, results, complaint }: Suite): readonly Case[] {
  // Tests run beside one another and end in any order; a report has them in that of the files.
  if (Array.isArray(results)) return (results as readonly Json[]).flatMap(casesOfResult).toSorted(byPlace)
  const text = complaint.trim() || 'no results'
  return [{ suite: name, name: 'compile', file: '', line: 0, seconds: 0, end: 'error', text }]
}

const byPlace = (a: Case, b: Case): number => (a.file < b.file ? -1 : a.file > b.file ? 1 : a.line - b.line)

function casesOfResult(result: Json): readonly Case[] {
  if (!isObject(result)) return []
  const { package: suite, name, location, duration, error, sub_results: parts } = result
  const { file, row } = isObject(location) ? location : {}
  const base = {
    suite: typeof suite === 'string' ? suite : '',
    file: typeof file === 'string' ? file : '',
    line: typeof row === 'number' ? row : 0,
    seconds: typeof duration === 'number' ? duration / 1e9 : 0,
  }
  const called = typeof name === 'string' ? name : '?'
  const leaves = leavesOf(parts, called, 0)
  if (leaves.length === 0) return [{ ...base, name: called, ...endOf(result, called, error) }]
  return leaves.map(([path, leaf]) => ({
    ...base,
    name: path,
    seconds: base.seconds / leaves.length,
    ...endOf(leaf, path, error),
  }))
}

const maxDepth = 16

/** The cases of a test that has several, by their path. */
function leavesOf(parts: Json | undefined, path: string, depth: number): readonly (readonly [string, Json])[] {
  if (!isObject(parts) || depth > maxDepth) return []
  return Object.entries(parts).flatMap(([name, part]) => {
    const inner = leavesOf(isObject(part) ? part['sub_results'] : undefined, `${path}/${name}`, depth + 1)
    return inner.length > 0 || part === undefined ? inner : [[`${path}/${name}`, part] as const]
  })
}

function endOf(result: Json, path: string, error: Json | undefined): Pick<Case, 'end' | 'text'> {
  const { fail, skip } = isObject(result) ? result : {}
  if (error !== undefined && error !== null) return { end: 'error', text: JSON.stringify(error) }
  if (skip === true) return { end: 'skipped', text: '' }
  return fail === true ? { end: 'failed', text: `${path} is not true` } : { end: 'passed', text: '' }
}

/** XML 1.0 section 2.2 has no way to write other characters, not even as a reference. */
const unwritable = /[^\t\n\r\u{20}-\u{d7ff}\u{e000}-\u{fffd}\u{10000}-\u{10ffff}]/gu

const references: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&apos;',
  '\t': '&#9;',
  '\n': '&#10;',
  '\r': '&#13;',
}

const escaped = (text: string): string =>
  text.replace(unwritable, '\ufffd').replace(/[&<>"'\t\n\r]/g, (char) => references[char]!)
