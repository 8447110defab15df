/** `npm run tour`: a denied call, why, one Rego line edited, the same call allowed, a byte tampered with, the report. */

import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline/promises'
import { Command } from 'commander'
import pc from 'picocolors'
import { readBundle } from '../engine/index.ts'
import { decisionLine } from './bank/print.ts'
import { openBankMesh } from './bank/running.ts'
import { send, tryPath, visit } from './bank/traffic.ts'
import { editedBundle, editedPolicy, line } from './tour/edit.ts'
import { verifyFolder } from './wire/audit.ts'
import { printEvents } from './wire/telemetry.ts'

const say = (text: string): void => void process.stdout.write(`${text}\n`)

export function tourCommand(): Command {
  return new Command('tour')
    .description('walk through a denial, its reason, an edited policy, a tampered log and the report')
    .option('--no-wait', 'do not wait for Enter between the steps')
    .action(async (options: { wait: boolean }) => {
      const state = await mkdtemp(join(tmpdir(), 'writ-tour-'))
      const step = steps(options.wait && process.stdin.isTTY === true)
      try {
        await walk(state, step.next)
      } finally {
        step.close()
      }
    })
}

type Next = (title: string) => Promise<void>

/** Numbers the steps, and waits for Enter before each but the first. */
function steps(wait: boolean): { next: Next; close(): void } {
  const input = wait ? createInterface({ input: process.stdin, output: process.stdout }) : undefined
  let number = 0
  return {
    async next(title) {
      if (number > 0 && input) await input.question(pc.dim('\n  Enter to go on '))
      say(`\n${pc.bold(`${++number}. ${title}`)}\n`)
    },
    close: () => input?.close(),
  }
}

async function walk(state: string, next: Next): Promise<void> {
  const html = join(state, 'report.html')
  await next('A bank starts: storefront calls orders, orders calls ledger, each behind a sidecar')
  const running = await openBankMesh(join(state, 'bank'), printEvents('warn'))
  const { up, bank } = running
  try {
    await visit(bank.urls.storefront, 3)
    await up.settled(10_000)
    for (const decision of (await up.page()).latest.slice(0, 6).toReversed()) say(decisionLine(decision))

    await next('The storefront tries to cancel an order')
    const cancel = { method: 'GET', path: tryPath('orders', 'DELETE', '/orders/1') }
    say(`  DELETE /orders/1 at orders: ${pc.red(String(await send(bank.urls.storefront, cancel)))}`)
    await up.settled(10_000)
    const denied = (await up.page()).latest[0]
    if (denied) {
      say(`\n  Why? The record says so:\n\n${decisionLine(denied)}`)
      say(`\n  Record ${denied.id} is entry ${denied.index} of the log, kept before the refusal left.`)
    }

    await next('One line of Rego allows it')
    const folder = await editedPolicy(join(state, 'policies'))
    say(`  ${folder}/authz.rego\n\n  ${pc.green(`+ ${line}`)}\n`)
    const { bytes, compiled } = await editedBundle(folder)
    say(
      compiled
        ? '  Compiled to WebAssembly.'
        : '  No Rego compiler is at hand, so this is the same edit compiled beforehand.',
    )
    const { ref } = await readBundle(bytes, 'bank')
    await up.apply(await readFile(running.meshFile, 'utf8'), [{ ref, bytes }])
    say(`  Revision ${ref.revision} is published, recorded and in force. No process was restarted.`)

    await next('The same call again')
    say(`  DELETE /orders/1 at orders: ${pc.green(String(await send(bank.urls.storefront, cancel)))}`)
    await up.settled(10_000)
    const allowed = (await up.page()).latest[0]
    if (allowed) say(`\n${decisionLine(allowed)}`)
    await up.writeReport(html, join(state, 'report.json'))
  } finally {
    await running.close()
  }

  await next('Somebody changes one byte of the log')
  const log = join(state, 'bank/log')
  const key = (await readFile(join(state, 'bank/signer/log.pub'), 'utf8')).trim()
  const before = await verifyFolder(log, key)
  say(`  Before: ${before.ok ? pc.green('the log verifies') : pc.red('the log does not verify')}`)
  const file = await anEntryFile(join(log, '0/tile/entries'))
  const good = await readFile(file)
  const at = good.indexOf('"DELETE"')
  const bad = Buffer.from(good)
  bad[at + 1] = 'H'.charCodeAt(0)
  await writeFile(file, bad)
  say(`  In ${file} the byte at ${at + 1} is no longer ${JSON.stringify('D')}.`)
  const after = await verifyFolder(log, key)
  const finding = after.findings.find(({ level }) => level === 'broken')
  say(`  After:  ${after.ok ? pc.red('nothing was noticed') : pc.red('the log does not verify')}`)
  if (finding) say(`          ${finding.what}${finding.index === undefined ? '' : ` (entry ${finding.index})`}`)
  await writeFile(file, good)
  say(
    `  The byte is back: ${(await verifyFolder(log, key)).ok ? pc.green('the log verifies') : pc.red('it still does not')}`,
  )
  if (!before.ok || after.ok || !finding) throw new Error('the tour did not show what it should')

  await next('The report')
  say(`  ${pc.cyan(`file://${html}`)}\n\n  Everything of this tour lies in ${state}; remove it when you like.`)
  await rm(join(state, 'policies'), { recursive: true, force: true })
}

/** The file of the entries that hold the cancelled order: the last one, whole or partial. */
async function anEntryFile(dir: string): Promise<string> {
  const names = (await readdir(dir, { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort()
  for (const name of names.toReversed()) if ((await readFile(name)).includes('"DELETE"')) return name
  throw new Error(`no entry below ${dir} holds the cancelled order`)
}
