import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test as plain } from 'vitest'
import { measure, quantile } from '../../../cli/policy/measure.ts'
import { benchCommand } from '../../../cli/policy-bench.ts'
import { needs } from '../../parts/needs.ts'
import { printed, temporary } from '../recorded.ts'

const test = needs('opa')

async function request(text: string): Promise<string> {
  const file = join(await temporary(), 'request.yaml')
  await writeFile(file, text)
  return file
}

const asked = 'caller: storefront\ntarget: orders\ntrustDomain: bank.example\nmethod: DELETE\npath: /orders/17\n'
const quick = ['--runs', '3', '--run-ms', '5']

test('one request is timed in runs, with its verdict; --opa adds its bench', async () => {
  const { out } = await printed(benchCommand(), '-f', await request(asked), ...quick, '--opa')
  expect(out).toMatch(/^bank revision [0-9a-f]{16}, writ\/authz\/result: deny policy_denied\n/)
  expect(out).toMatch(/runs {6}3 of [\d,]+ decisions each/)
  expect(out).toMatch(/opa {7}[\d.]+ µs by opa bench, one run of [\d,]+/)
  const { out: json } = await printed(benchCommand(), 'policies/bank', '-f', await request(asked), ...quick, '--json')
  expect(JSON.parse(json)).toMatchObject({ policy: 'bank', verdict: 'deny policy_denied', runs: { length: 3 } })
})

test('a request that no policy is asked about cannot be timed', async () => {
  const file = await request(asked.replace('path: /orders/17', 'path: /%zz'))
  await expect(printed(benchCommand(), '-f', file, ...quick)).rejects.toMatchObject({ code: 'usage' })
})

plain('the median is of the runs, the 99th percentile of single decisions', () => {
  let clock = 0
  let asks = 0
  const slow = (i: number): void => {
    asks++
    clock += i % 50 === 0 ? 10 : 1 // One in fifty takes ten milliseconds.
  }
  const found = measure(slow, { runs: 3, runMs: 118, singles: 100, now: () => clock })
  expect(found.each).toBe(100)
  expect(asks).toBe(600)
  expect(found.medianUs).toBe(1180)
  expect(found.p99Us).toBe(10_000)
  expect([quantile([1, 2, 3], 0.5), quantile([1, 2, 3, 4], 0.5), quantile([1], 0.99)]).toEqual([2, 2, 1])
})
