import { cp, mkdir, readFile, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { expect, onTestFinished, test as plain, vi } from 'vitest'
import { printFault } from '../../cli/fault.ts'
import { program } from '../../cli/main.ts'
import { policyCommand } from '../../cli/policy.ts'
import { calls, decideBy, openBank, Traffic } from '../audit/replay/traffic.ts'
import { startMs } from '../audit/verify/producer.ts'
import { bankIn, keepLog, temporary } from '../cli/recorded.ts'
import { needs } from '../parts/needs.ts'
import { filesOf, normalised, stepsOf, wordsOf } from './transcripts.ts'

const test = needs('opa')

/** docs/POLICIES.md shows what the commands print today. */

const page = await readFile('docs/POLICIES.md', 'utf8')

/** A folder with the bank's policies, the page's files, a candidate in `next/`, and the log of some traffic in `.writ`. */
async function scratch(): Promise<{ readonly folder: string; readonly id: string }> {
  const folder = await temporary()
  await cp('policies/bank', join(folder, 'policies/bank'), { recursive: true })
  await bankIn(join(folder, 'next'), (edges) => edges.filter(({ path }) => path[0] !== 'transfers'))
  for (const { name, text } of filesOf(page)) {
    await mkdir(dirname(join(folder, name)), { recursive: true })
    await writeFile(join(folder, name), text)
  }
  const traffic = await new Traffic().judge(calls, decideBy(await openBank()))
  const refused = 6
  const outcome = { seq: refused, code: 'refused', status: 403, request_bytes: 0, response_bytes: 0 } as const
  const ended = { kind: 'outcomes', outcomes: [{ ...outcome, duration_us: 1100, upstream: '' }] } as const
  traffic.leaves.push(traffic.producer.write(ended))
  await keepLog(join(folder, '.writ'), traffic)
  await keepLog(join(folder, 'tried'), await shadowed())
  return { folder, id: `${traffic.producer.epoch}-${refused}` }
}

/** Three requests that a shadow would have refused. */
async function shadowed(): Promise<Traffic> {
  const traffic = new Traffic()
  for (const n of [1, 2, 3]) {
    const of = `${traffic.producer.epoch}-${n}`
    const trial = { name: 'orders', mode: 'shadow', of, enforced_verdict: 'allow' } as const
    const path = `/orders/${n}`
    const said = { enforced: false, trial, verdict: 'deny', code: 'policy_denied', path } as const
    traffic.leaves.push(traffic.producer.decision(said))
  }
  return traffic
}

/** All that `writ` prints, run in this process: the modules of a command are read once. */
async function ran(words: readonly string[]): Promise<string> {
  let text = ''
  const heard = (part: unknown): boolean => {
    text += String(part)
    return true
  }
  const spies = [process.stdout, process.stderr].map((stream) => vi.spyOn(stream, 'write').mockImplementation(heard))
  try {
    await (await program(words[0])).parseAsync(['node', 'writ', ...words]).catch(printFault)
    return text
  } finally {
    for (const spy of spies) spy.mockRestore()
    process.exitCode = 0
  }
}

test('each command of the page prints what is shown below it', async () => {
  const { folder, id } = await scratch()
  const before = process.cwd()
  onTestFinished(() => {
    process.chdir(before)
    vi.useRealTimers()
  })
  process.chdir(folder)
  // An hour after the traffic: `--since 7d` must find it whenever this runs.
  vi.useFakeTimers({ now: startMs + 3_600_000, toFake: ['Date'] })
  const wrong: { readonly command: string; readonly shown: string; readonly printed: string }[] = []
  const steps = stepsOf(page)
  for (const { command, shown } of steps) {
    const [program, ...words] = wordsOf(command)
    expect(program, `a block of another kind than console is for what is not replayed: ${command}`).toBe('writ')
    const printed = await ran(words.map((word) => (word === 'ID' ? id : word)))
    if (normalised(printed) !== normalised(shown)) wrong.push({ command, shown, printed })
  }
  expect(wrong.map(({ command, printed }) => `$ ${command}\n${normalised(printed)}`)).toEqual(
    wrong.map(({ command, shown }) => `$ ${command}\n${normalised(shown)}`),
  )
  expect(steps.length).toBeGreaterThan(8)
}, 240_000)

plain('every command that the page names is there', () => {
  const named = new Set([...page.matchAll(/`writ policy (\w+)/g)].map((match) => match[1]!))
  const there = policyCommand().commands.map((command) => command.name())
  expect([...named].filter((name) => !there.includes(name))).toEqual([])
  expect(named.size).toBeGreaterThan(6)
})

plain('a wrong word, count or verdict is seen; another id, time or width is not', () => {
  const shown = 'flips  6 decisions would change  0123456789abcdef01234567-22  2026-11-23 19:22, 0.05 s: 592 a second'
  const again = 'flips    6 decisions would change fedcba9876543210fedcba98-7 2026-12-24 01:02, 1.25 s: 7,100 a second'
  expect(normalised(again)).toBe(normalised(shown))
  for (const other of [again.replace('6', '7'), again.replace('would', 'may'), again.replace('flips', 'flip')]) {
    expect(normalised(other)).not.toBe(normalised(shown))
  }
  expect(normalised('PASS: 15/15')).not.toBe(normalised('PASS: 14/15'))
  expect(normalised('deny policy_denied')).not.toBe(normalised('allow allowed'))
})

plain('a page is read into its commands and files, whatever else is on it', () => {
  const text =
    'a\n```console\n$ writ a b\nout 1\n\n$ writ c\n```\n```yaml\n# x.yaml\nk: v\n```\n```yaml\nnot: a file\n```\n'
  expect(stepsOf(text)).toEqual([
    { command: 'writ a b', shown: 'out 1\n\n' },
    { command: 'writ c', shown: '' },
  ])
  expect(filesOf(text)).toEqual([{ name: 'x.yaml', text: '# x.yaml\nk: v\n' }])
  expect(wordsOf(`writ a 'b c' "d e" f`)).toEqual(['writ', 'a', 'b c', 'd e', 'f'])
})
