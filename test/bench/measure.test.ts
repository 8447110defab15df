import { spawn } from 'node:child_process'
import { expect, test } from 'vitest'
import { readH2Result } from '../../bench/h2load.ts'
import { readResult } from '../../bench/load.ts'
import { costOf, parseStat, treeOf } from '../../bench/measure.ts'

test('a process counts with its children and not with its neighbours', () => {
  const stat = (parent: number) => ({ parent, ticks: 1, pages: 1 })
  const stats = new Map([
    [10, stat(1)],
    [11, stat(10)],
    [12, stat(11)],
    [20, stat(1)],
  ])
  expect(treeOf(10, stats)).toEqual([10, 11, 12])
  expect(treeOf(99, stats)).toEqual([])
})

test('a name with brackets and spaces does not shift the fields', () => {
  const rest = 'S 7 1 1 0 -1 4194560 100 0 0 0 30 12 5 3 20 0 1 0 1000 5000000 77 18446744073709551615'
  expect(parseStat(`42 (a) b (c) ${rest}`)).toEqual({ parent: 7, ticks: 50, pages: 77 })
})

test('a process that computes costs CPU time, one that sleeps does not', async () => {
  const busy = spawn(process.execPath, [
    '-e',
    'for (const end = Date.now() + 300; Date.now() < end; );console.log();setInterval(() => {}, 1e6)',
  ])
  const idle = spawn('sleep', ['60'])
  try {
    await new Promise((resolve) => busy.stdout.once('data', resolve))
    expect(costOf(busy.pid!).cpuMs).toBeGreaterThan(costOf(idle.pid!).cpuMs)
    expect(costOf(busy.pid!).rssBytes).toBeGreaterThan(10 * 1024 ** 2)
  } finally {
    busy.kill('SIGKILL')
    idle.kill('SIGKILL')
  }
})

test('the result is the last word of the load generator, and its absence is an error', () => {
  const line = '{"requests":10,"durationUs":5,"errors":0,"p50Us":1,"p99Us":2,"p999Us":3}'
  expect(readResult(`Running 1s test\n\nRESULT ${line}\n`)).toEqual(JSON.parse(line))
  expect(() => readResult('unable to connect')).toThrow('unable to connect')
})

test("h2load's percentiles are those of its log, and answers of 400 and more are errors", () => {
  const said = 'requests: 1000 total, 1002 started, 1000 done, 1000 succeeded, 2 failed, 2 errored, 0 timeout\n'
  const log = Array.from({ length: 1000 }, (_, i) => `${i}\t${i < 3 ? 503 : 200}\t${1000 - i}`).join('\n')
  expect(readH2Result(said, `${log}\n`, 2)).toEqual({
    ...{ requests: 1000, durationUs: 2e6, errors: 3, p50Us: 501, p99Us: 991, p999Us: 1000 },
  })
  expect(() => readH2Result('could not connect', '', 2)).toThrow('could not connect')
})
