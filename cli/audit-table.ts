/** Rows of decisions on a terminal. */

import pc from 'picocolors'
import type { Answer } from '../audit/query/answer.ts'
import { formatTable, type Paint, plain } from '../audit/query/format.ts'

export function printTable({ rows, next, looked }: Answer): void {
  const far = looked === undefined ? '' : ` among the ${looked.toLocaleString('en-US')} records looked through`
  if (rows.length === 0) process.stdout.write(`no decision fits${far}\n`)
  else
    process.stdout.write(
      formatTable(rows, process.stdout.isTTY && pc.isColorSupported ? paint : plain, process.stdout.columns),
    )
  if (next !== null) process.stderr.write(`more${rows.length > 0 && far ? `,${far}` : ''}: --cursor ${next}\n`)
}

const paint: Paint = (verdict, text) =>
  verdict === 'allow' ? pc.green(text) : verdict === 'deny' ? pc.red(text) : pc.yellow(text)
