/** `npm run tour`: a denied call, why, one Rego line edited, the same call allowed, a byte tampered with, the report. */

import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline/promises'
import { Command } from 'commander'
import pc from 'picocolors'
import { tilePath, tileWidth, widthOf } from '../audit/log/tiles.ts'
import type { ConsoleDecision } from '../console/data.ts'
import { WritError } from '../core/fault.ts'
import { readBundle } from '../engine/index.ts'
import { decisionLine, inOrder } from './bank/print.ts'
import { openBankMesh, type RunningBank } from './bank/running.ts'
import { send, tryPath, visit } from './bank/traffic.ts'
import { columnsOf, wrap } from './bank/wrap.ts'
import { until } from './signals.ts'
import { editedBundle, editedPolicy, line } from './tour/edit.ts'
import { verifyFolder } from './wire/audit.ts'
import { printEvents } from './wire/telemetry.ts'

/** A paragraph, wrapped where there is a terminal. */
const say = (text: string): void => write(wrap(text, columnsOf(process.stdout), 2))
const write = (text: string): void => void process.stdout.write(`${text}\n`)
const show = (decision: ConsoleDecision): void => write(decisionLine(decision, columnsOf(process.stdout)))

export function tourCommand(): Command {
  return new Command('tour')
    .description('walk through a denial, its reason, an edited policy, a tampered log and the report')
    .option('--no-wait', 'do not wait for Enter between the steps')
    .action(async (options: { wait: boolean }) => {
      const stop = until('SIGINT', 'SIGTERM', 'SIGHUP')
      const state = await mkdtemp(join(tmpdir(), 'writ-tour-'))
      try {
        await walk(state, steps(options.wait && process.stdin.isTTY === true, stop.signal), stop.signal)
      } catch (thrown) {
        await rm(state, { recursive: true, force: true })
        if (!stop.aborted) throw thrown
        process.exitCode = 130 // Left early, as a shell counts it.
      }
    })
}

type Next = (title: string) => Promise<void>

/** Numbers the steps, and waits for Enter before each but the first. Rejects once the walk is to end. */
function steps(wait: boolean, end: AbortSignal): Next {
  let number = 0
  return async (title) => {
    if (wait && number > 0) await enter(end)
    end.throwIfAborted()
    write(`\n${pc.bold(`${++number}. ${title}`)}\n`)
  }
}

async function enter(end: AbortSignal): Promise<void> {
  const input = createInterface({ input: process.stdin, output: process.stdout })
  input.on('SIGINT', () => process.kill(process.pid, 'SIGINT')) // A terminal that is read line by line sends a key.
  try {
    await input.question(pc.dim('\n  Enter to go on '), { signal: end })
  } finally {
    input.close()
  }
}

async function walk(state: string, next: Next, end: AbortSignal): Promise<void> {
  const out = join(state, 'report')
  await next('A bank starts: storefront calls orders, orders calls ledger, each behind a sidecar')
  const running = await openBankMesh(join(state, 'bank'), printEvents('warn'))
  let refused: number
  try {
    end.throwIfAborted()
    refused = await change(running, state, next)
    await running.up.writeReport(out)
  } finally {
    await running.close()
  }
  await next('Somebody changes one byte of the log')
  await tamper(state, refused)
  await next('The report')
  await rm(join(state, 'policies'), { recursive: true, force: true })
  write(`  ${pc.cyan(`file://${join(out, 'report.html')}`)}\n`)
  say(`Everything of this tour lies in ${state}; remove it when you like.`)
}

/** A denied call, its reason, and the same call after one edit. Gives the refusal's place in the log. */
async function change({ up, bank, meshFile }: RunningBank, state: string, next: Next): Promise<number> {
  await visit(bank.urls.storefront, 3)
  await up.settled(10_000)
  for (const decision of inOrder((await up.page()).latest.slice(0, 6))) show(decision)

  await next('The storefront tries to cancel an order')
  const cancel = { method: 'GET', path: tryPath('orders', 'DELETE', '/orders/1') }
  const refused = await send(bank.urls.storefront, cancel)
  say(`DELETE /orders/1 at orders: ${painted(refused)}`)
  await up.settled(10_000)
  const denied = (await up.page()).latest[0]
  if (refused !== 403 || denied?.verdict !== 'deny') throw unexpected(`the call was answered ${refused}`)
  write('')
  say('Why? The record says so:')
  write('')
  show(denied)
  write('')
  say(`Record ${denied.id} is entry ${denied.index} of the log, kept before the refusal left.`)

  await next('One line of Rego allows it')
  const folder = await editedPolicy(join(state, 'policies'))
  write(`  ${folder}/authz.rego\n\n  ${pc.green(`+ ${line}`)}\n`)
  const { bytes, compiled } = await editedBundle(folder)
  say(
    compiled
      ? 'Compiled to WebAssembly.'
      : 'No Rego compiler is at hand, so this is the same edit compiled beforehand.',
  )
  const { ref } = await readBundle(bytes, 'bank')
  await up.apply(await readFile(meshFile, 'utf8'), [{ ref, bytes }])
  say(`Revision ${ref.revision} is published, recorded and in force. No process was restarted.`)

  await next('The same call again')
  const passed = await send(bank.urls.storefront, cancel)
  say(`DELETE /orders/1 at orders: ${painted(passed)}`)
  await up.settled(10_000)
  const allowed = (await up.page()).latest[0]
  if (passed !== 200 || allowed?.verdict !== 'allow') throw unexpected(`the call was answered ${passed}`)
  write('')
  show(allowed)
  return denied.index
}

/** One byte of that entry changed and put back, with the log verified each time from its files alone. */
async function tamper(state: string, entry: number): Promise<void> {
  const log = join(state, 'bank/log')
  const key = (await readFile(join(state, 'bank/signer/log.pub'), 'utf8')).trim()
  const verdict = async (): Promise<string | undefined> => {
    const { ok, findings } = await verifyFolder(log, key)
    if (ok) return undefined
    const finding = findings.find(({ level }) => level === 'broken')
    return finding?.index === undefined ? finding?.what : `${finding.what} (entry ${finding.index})`
  }
  const { ok, shards } = await verifyFolder(log, key)
  if (!ok || !shards[0]) throw unexpected('the log did not verify')
  say(`Before: ${pc.green('the log verifies')}`)

  const bundle = Math.floor(entry / tileWidth)
  const file = join(log, '0', tilePath('entries', bundle, widthOf(0, bundle, shards[0].size)))
  const good = await readFile(file)
  const at = good.indexOf('"DELETE"', startOf(good, entry % tileWidth)) + 1
  const bad = Buffer.from(good)
  bad[at] = 'H'.charCodeAt(0)
  await writeFile(file, bad)
  say(
    `Byte ${at} of ${file}, in the record of the refusal, was ${JSON.stringify('D')} and is ${JSON.stringify('H')} now.`,
  )
  const after = await verdict()
  await writeFile(file, good)
  if (after === undefined) throw unexpected('the changed byte was not noticed')
  say(`After:  ${pc.red('the log does not verify')}`)
  write(wrap(after, columnsOf(process.stdout), 10))
  const back = await verdict()
  if (back !== undefined) throw unexpected(`with the byte put back the log did not verify: ${back}`)
  say(`The byte is back: ${pc.green('the log verifies')}`)
}

/** Where an entry of a bundle begins: each is its length in two bytes, then itself (C2SP tlog-tiles). */
function startOf(bundle: Buffer, entry: number): number {
  let at = 0
  for (let i = 0; i < entry; i++) at += 2 + bundle.readUInt16BE(at)
  return at
}

const painted = (status: number): string => (status === 200 ? pc.green : pc.red)(String(status))

const unexpected = (what: string): WritError =>
  new WritError('internal', `the tour did not show what it should: ${what}`)
