/** `writ audit export` writes answers of any length, `writ audit tail` shows decisions as they come in. */

import { open, rename, rm } from 'node:fs/promises'
import { Command, Option } from 'commander'
import type { DecisionRow } from '../audit/query/answer.ts'
import { readQuestion } from '../audit/query/ask.ts'
import { formatTable, plain } from '../audit/query/format.ts'
import { WritError } from '../core/fault.ts'
import { isObject, parseJson } from '../core/json.ts'
import { chosen, withChoice } from './audit-choice.ts'
import { number } from './options.ts'
import { type AuditDoor, openAuditDoor, pathWith } from './wire/audit-door.ts'
import { byteCounter } from './wire/progress.ts'

interface ExportOptions {
  readonly state: string
  readonly database?: string
  readonly format: string
  readonly out?: string
  readonly limit?: number
  readonly shadow?: boolean
  readonly [name: string]: unknown
}

const formats = ['csv', 'json', 'parquet', 'ocsf', 'opa'] as const

export const exportCommand = (): Command =>
  withChoice(new Command('export').description('write all decisions that fit, newest first, however many'))
    .addOption(new Option('--format <format>', 'csv, json, parquet, ocsf or opa').choices(formats).default('csv'))
    .option('--out <file>', 'file to write (default: standard output)')
    .option('--limit <n>', 'rows at most', number)
    .option('--shadow', 'instead, what policies on trial would have decided')
    .option('--state <dir>', "the process's state folder", '.writ')
    .option('--database <url>', 'ask this PostgreSQL instead')
    .addHelpText(
      'after',
      `
json, ocsf and opa have one object a line. ocsf is OCSF 1.8.0, and with --kind all takes every kind of record. opa is
the shape of OPA's decision log. The file is there under its name only when all of it was written.`,
    )
    .action(async (options: ExportOptions) => {
      const pairs = chosen(options)
      if (options.shadow) pairs.push(['shadow', 'only'])
      if (options.limit !== undefined) pairs.push(['limit', String(options.limit)])
      readQuestion(pairs, Date.now(), Number.MAX_SAFE_INTEGER) // Wrong questions are refused before anybody is asked.
      if (options.format === 'parquet' && options.out === undefined && process.stdout.isTTY) {
        throw new WritError('usage', 'Parquet is nothing for a terminal', { cure: 'give a file with --out' })
      }
      const door = await openAuditDoor(options)
      try {
        const chunks = door.stream(pathWith('/v1/audit/export', [...pairs, ['format', options.format]]))
        await (options.out === undefined ? toStdout(chunks) : toFile(chunks, options.out))
      } finally {
        await door.close()
      }
    })

async function toFile(chunks: AsyncIterable<Uint8Array>, out: string): Promise<void> {
  const partial = `${out}.partial`
  const file = await open(partial, 'w', 0o600)
  try {
    let bytes = 0
    for await (const chunk of byteCounter(chunks, `to ${out}`)) {
      await file.writeFile(chunk)
      bytes += chunk.length
    }
    await file.sync()
    await file.close()
    await rename(partial, out)
    process.stderr.write(`${bytes.toLocaleString('en-US')} bytes in ${out}\n`)
  } catch (thrown) {
    await file.close().catch(() => undefined)
    await rm(partial, { force: true })
    throw thrown
  }
}

async function toStdout(chunks: AsyncIterable<Uint8Array>): Promise<void> {
  for await (const { buffer, byteOffset, length } of chunks) {
    if (!process.stdout.write(Buffer.from(buffer, byteOffset, length)))
      await new Promise<void>((resolve) => process.stdout.once('drain', resolve))
  }
}

interface TailOptions {
  readonly state: string
  readonly database?: string
  readonly json?: boolean
  readonly cursor?: string
  readonly rows?: number
  readonly [name: string]: unknown
}

export const tailCommand = (): Command =>
  withChoice(new Command('tail').description('show decisions as they come in, oldest first, until it is stopped'))
    .option('--cursor <cursor>', 'go on where a tail before ended (default: what is new from now on)')
    .option('--rows <n>', 'end after so many', number)
    .option('--json', 'print a JSON object a line, with the cursor to go on from')
    .option('--state <dir>', "the process's state folder", '.writ')
    .option('--database <url>', 'ask this PostgreSQL instead')
    .action(async (options: TailOptions) => {
      const pairs = chosen(options)
      readQuestion(pairs, Date.now())
      await follow(pairs, options)
    })

/** Longest pause before it is tried again, in milliseconds. */
const maxPauseMs = 10_000

/** Comes again where it was when the other side went away. */
async function follow(pairs: readonly [string, string][], options: TailOptions): Promise<void> {
  let cursor = options.cursor
  let left = options.rows ?? Number.POSITIVE_INFINITY
  for (let pauseMs = 250; left > 0; pauseMs = Math.min(pauseMs * 2, maxPauseMs)) {
    let door: AuditDoor | undefined
    try {
      door = await openAuditDoor(options)
      const asked = cursor === undefined ? pairs : [...pairs, ['cursor', cursor] as const]
      for await (const line of linesOf(door.stream(pathWith('/v1/audit/tail', asked)))) {
        pauseMs = 250
        const item = parseJson(line)
        if (!isObject(item) || typeof item['next'] !== 'string') continue
        cursor = item['next']
        left -= show(item as unknown as Item, options, left)
        if (left <= 0) return
      }
    } catch (thrown) {
      if (!(thrown instanceof WritError) || thrown.code !== 'unavailable' || cursor === undefined) throw thrown
      process.stderr.write(`${thrown.message}; trying again\n`)
    } finally {
      await door?.close()
    }
    await new Promise((resolve) => setTimeout(resolve, pauseMs))
  }
}

interface Item {
  readonly rows?: readonly DecisionRow[]
  readonly behind?: number
  readonly next: string
}

let headed = false

function show({ rows = [], behind, next }: Item, { json }: TailOptions, most: number): number {
  if (behind !== undefined) {
    process.stderr.write(`fell behind: ${behind.toLocaleString('en-US')} records were passed over\n`)
  }
  const shown = rows.slice(0, most)
  if (shown.length === 0) return 0
  if (json) process.stdout.write(`${JSON.stringify({ rows: shown, next })}\n`)
  else {
    const table = formatTable(shown, plain, process.stdout.columns)
    process.stdout.write(headed ? table.slice(table.indexOf('\n') + 1) : table)
    headed = true
  }
  return shown.length
}

/** A line that is longer is no answer of ours. */
const maxLine = 64 * 1024 ** 2

async function* linesOf(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder()
  let text = ''
  for await (const chunk of chunks) {
    text += decoder.decode(chunk, { stream: true })
    if (text.length > maxLine) throw new WritError('unavailable', 'an answer without an end of line')
    const lines = text.split('\n')
    text = lines.pop() ?? ''
    yield* lines.filter((line) => line !== '')
  }
}
