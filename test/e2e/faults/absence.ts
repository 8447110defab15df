/**
 * A long absence of Kafka: a mesh of real processes under a steady load, whose broker is stopped for as long as its spool
 * is sized for by the formula of docs/LOG.md, and then until the spool is full. Then it returns, all drains, and a
 * caller's journal is held against the log. Segments are small, so that minutes have as many as hours have.
 */

import { readdirSync, statSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { bytesPerRequest } from '../../../audit/node/sizing.ts'
import { costOf } from '../../../bench/measure.ts'
import { type Mesh, openMesh } from '../mesh.ts'
import { inLog, renewing, verified, watchCheckpoints } from './faults.ts'
import { type Answer, startLoad } from './load.ts'
import { type Judgement, judge } from './oracle.ts'
import { spoolOf } from './victims.ts'
import { watchMemory } from './watch.ts'

export interface AbsenceOptions {
  /** Requests per second. */
  readonly rate: number
  /** Time with Kafka before, and without it, in seconds. It is away longer where the spool is to become full. */
  readonly before: number
  readonly away: number
  /** Whether it stays away until the spool is full, and a quarter of a minute more. */
  readonly full: boolean
  readonly segmentBytes: number
  readonly say: (line: string) => void
}

export interface Phase {
  readonly name: 'before' | 'away' | 'full' | 'catching up' | 'after'
  readonly seconds: number
  readonly answered: number
  /** Of 200, 403 and the others; 0 where no answer came. */
  readonly statuses: Readonly<Record<number, number>>
  /** Time to the head of an answer, in milliseconds. */
  readonly p50: number
  readonly p99: number
  readonly most: number
  /** CPU of the proxy for a thousand answers, in milliseconds: what the machine's other work does not change much. */
  readonly proxyCpuMs: number
  /** At its end. */
  readonly spoolBytes: number
  readonly segments: number
  /** Most resident megabytes of proxy and auditor. */
  readonly proxyMb: number
  readonly auditorMb: number
}

export interface AbsenceResult {
  readonly judgement: Judgement
  readonly spoolMaxBytes: number
  readonly phases: readonly Phase[]
  /** Bytes that one request took of the spool while Kafka was away. */
  readonly bytesPerRequest: number
  /** From when Kafka was back until the spool held little again, in seconds. */
  readonly catchUpSeconds: number
  /** What the proxy said of its spool, in order. */
  readonly notices: readonly string[]
  readonly verify: string
}

const producer = 'spiffe://e2e.example/web'

export async function runAbsence(options: AbsenceOptions): Promise<AbsenceResult> {
  const { rate, away, full, say } = options
  const spoolMaxBytes = Math.max(1024 ** 2, rate * away * bytesPerRequest)
  const own = await mkdtemp(join(tmpdir(), 'writ-absence-'))
  const audit = [`segmentBytes: ${options.segmentBytes}`, `spoolMaxBytes: ${spoolMaxBytes}`, `expectedRate: ${rate}`]
  const mesh = await openMesh(1, 'bounded', { ttl: '2h', signer: true, audit })
  const seen = watchCheckpoints(mesh.logDir)
  const memory = watchMemory(new Map([mesh.proxy, mesh.auditor].map((part) => [part.name, () => part.pid()])))
  const renewal = renewing(mesh)
  const load = startLoad({
    ...{ port: mesh.port, tls: mesh.client, rate, denyEvery: 10, timeoutMs: 15_000 },
    journal: join(own, 'answers.jsonl'),
  })
  const phases: Phase[] = []
  const phase = async (name: Phase['name'], work: () => Promise<unknown>): Promise<Phase> => {
    const fromMs = Date.now()
    const second = secondsSince(memory.fromMs)
    const cpu = (): number => costOf(mesh.proxy.pid()!).cpuMs
    const before = cpu()
    say(`${name}: ${load.sent} requests so far`)
    await work()
    const mbOf = (part: string): number =>
      Math.max(
        0,
        ...memory.seen
          .get(part)!
          .filter((one) => one.second >= second)
          .map(({ mb }) => mb),
      )
    const { bytes, segments } = spoolIn(mesh)
    const answers = load.answers.filter(({ sentMs }) => sentMs >= fromMs)
    const proxyCpuMs = Math.round(((cpu() - before) * 1000) / Math.max(1, answers.length))
    const done: Phase = {
      proxyCpuMs,
      ...{ name, seconds: secondsSince(fromMs), ...summaryOf(answers), spoolBytes: bytes, segments },
      ...{ proxyMb: mbOf('proxy'), auditorMb: mbOf('auditor') },
    }
    phases.push(done)
    return done
  }
  try {
    const before = await phase('before', () => pause(options.before * 1000))
    await mesh.kafka.kill()
    const alone = await phase('away', () => pause(away * 1000 * 0.95))
    if (full) {
      await phase('full', async () => {
        for (const from = load.answers.length; !load.answers.slice(from).some(({ status }) => status === 503); )
          await pause(500)
        say('full: requests are refused')
        await pause(15_000)
      })
    }
    let catchUpSeconds = 0
    await phase('catching up', async () => {
      await mesh.kafka.restart()
      const backMs = Date.now()
      const little = Math.min(before.spoolBytes + 4 * options.segmentBytes, spoolMaxBytes / 4)
      for (const dueMs = Date.now() + 3_600_000; spoolIn(mesh).bytes > little; await pause(500)) {
        if (Date.now() > dueMs) throw new Error(`the spool still holds ${spoolIn(mesh).bytes} bytes after an hour`)
      }
      catchUpSeconds = secondsSince(backMs)
    })
    await phase('after', () => pause(options.before * 1000))
    await load.stop()
    await inLog(mesh, load.answers.findLast(({ status }) => status === 200)?.decision ?? '')
    await mesh.proxy.stop()
    const { code, text } = await wholeLog(mesh)
    await seen.stop()
    const evidence = { durability: 'bounded', syncEveryMs: 50, answers: load.answers, kills: [] } as const
    const judgement = await judge({
      ...evidence,
      ...{ logDir: mesh.logDir, producer, seen: seen.checkpoints, verification: text },
    })
    const perRequest = (alone.spoolBytes - before.spoolBytes) / alone.answered
    const notices = noticesIn(mesh.proxy.logs())
    const wrong = [...judgement.wrong, ...wrongOf(phases, perRequest, notices, spoolMaxBytes)]
    if (code !== 0) wrong.push(`verify ended with ${code}`)
    return {
      judgement: { ...judgement, wrong },
      ...{ spoolMaxBytes, phases, catchUpSeconds, notices, verify: text },
      bytesPerRequest: Math.round(perRequest),
    }
  } catch (thrown) {
    say(`proxy:\n${mesh.proxy.logs().slice(-3000)}\nauditor:\n${mesh.auditor.logs().slice(-3000)}`)
    throw thrown
  } finally {
    renewal.stop()
    await seen.stop()
    memory.stop()
    await mesh.close()
    await rm(own, { recursive: true, force: true })
  }
}

const secondsSince = (ms: number): number => Math.round((Date.now() - ms) / 1000)

/** Until verification finds nothing any more, and for ten minutes at most: what it finds then is judged. */
async function wholeLog(mesh: Mesh): ReturnType<typeof verified> {
  for (const dueMs = Date.now() + 600_000; ; await pause(2000)) {
    const found = await verified(mesh)
    if (!/^(broken|warning)/m.test(found.text) || Date.now() > dueMs) return found
  }
}

/** What the size of the spool, its warnings and the answers have to be, whatever the machine is busy with. */
function wrongOf(phases: readonly Phase[], perRequest: number, notices: readonly string[], maxBytes: number): string[] {
  const wrong: string[] = []
  const at = (name: string): number => notices.findIndex((line) => line.includes(name))
  if (perRequest > bytesPerRequest)
    wrong.push(`a request took ${Math.round(perRequest)} bytes: the formula says ${bytesPerRequest}`)
  if (at('spool_small') < 0) wrong.push('nothing was said at the start of a spool that holds less than four hours')
  const most = Math.max(...phases.map(({ spoolBytes }) => spoolBytes))
  if (most >= maxBytes * 0.75 && at('spool_filling') < 0) wrong.push('nothing was said before the spool was full')
  if (at('spool_unavailable') >= 0 && at('spool_unavailable') < at('spool_filling'))
    wrong.push('it was full before it was said to be filling')
  for (const { name, statuses } of phases) {
    const others = Object.keys(statuses).filter((status) => !['200', '403', '503'].includes(status))
    if (others.length > 0) wrong.push(`${name}: answers of status ${others.join(', ')}`)
    const mayRefuse = name === 'full' || name === 'catching up'
    if (!mayRefuse && statuses[503]) wrong.push(`${name}: ${statuses[503]} were refused, though there was room`)
  }
  return wrong
}

function summaryOf(answers: readonly Answer[]): Pick<Phase, 'answered' | 'statuses' | 'p50' | 'p99' | 'most'> {
  const waits = answers.map(({ sentMs, gotMs }) => gotMs - sentMs).sort((a, b) => a - b)
  const statuses: Record<number, number> = {}
  for (const { status } of answers) statuses[status] = (statuses[status] ?? 0) + 1
  const share = (of: number): number => waits[Math.min(waits.length - 1, Math.floor(waits.length * of))] ?? 0
  return { answered: answers.length, statuses, p50: share(0.5), p99: share(0.99), most: waits.at(-1) ?? 0 }
}

function spoolIn(mesh: Mesh): { readonly bytes: number; readonly segments: number } {
  const names = readdirSync(spoolOf(mesh)).filter((name) => name.endsWith('.seg'))
  const sizes = names.map((name) => statSync(join(spoolOf(mesh), name), { throwIfNoEntry: false })?.size ?? 0)
  return { bytes: sizes.reduce((sum, size) => sum + size, 0), segments: names.length }
}

const noticesIn = (logs: string): readonly string[] =>
  logs.split('\n').filter((line) => /spool_(small|filling|unavailable|available)|stream_(failed|recovered)/.test(line))
