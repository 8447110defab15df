import { expect, test } from 'vitest'
import { utf8 } from '../../../core/bytes.ts'
import type { Json } from '../../../core/json.ts'
import { filesOf, Signer } from '../verify/log.ts'
import { id } from '../verify/producer.ts'
import { checkOf, declaredFile, digest, remade, reportOf, showing, toMs, World, witnessed } from './world.ts'

/** What checks find besides, where the declared file asks for more than their defaults. */

const asking = (parameters: Json): Json => ({ ...declaredFile, parameters })
const breaking = (report: Awaited<ReturnType<typeof reportOf>>['report'], check: string) =>
  checkOf(report, check)
    .sample.filter(({ breaks }) => breaks)
    .map(({ index }) => index)

test('M07 finds a revision without a signature that was checked, where all are to have one', async () => {
  const signed = (world: World, detail: string, by = world.control) =>
    world.put(by, { kind: 'admin', action: 'policy_signed', actor: 'control', detail })
  const all = asking({ M07: { signed: 100 } })
  const first = new World().end().findIndex((leaf) => new TextDecoder().decode(leaf).includes('"bundles"'))

  const bare = await reportOf(new World().end(), {}, all)
  expect(checkOf(bare.report, 'M07')).toMatchObject({
    verdict: 'fail',
    finding: '1 revision without a signature that was checked, of 1 in use',
    threshold: '100 %, and 100 % of the revisions signed',
  })
  expect(breaking(bare.report, 'M07')).toEqual([first])

  const good = new World()
  signed(good, `orders r1 ${digest}: signed by the key release`)
  const { report } = await reportOf(good.end(), {}, all)
  expect(checkOf(report, 'M07')).toMatchObject({
    verdict: 'pass',
    finding:
      'All 31 decisions name a policy, and all 1 revisions are on record, 1 of them with a signature that was checked.',
  })

  // Of another revision, or in the words of somebody who checks no signatures.
  for (const [detail, by] of [
    [`orders r1 ${'cd'.repeat(32)}: signed by the key release`, 'control'],
    [`orders r1 ${digest}: signed by the key release`, 'orders'],
    [`orders r1 ${digest}: refused`, 'control'],
  ] as const) {
    const world = new World()
    signed(world, detail, world[by])
    expect(checkOf((await reportOf(world.end(), {}, all)).report, 'M07').verdict, detail).toBe('fail')
  }
})

test('M20 finds a token that is not bound to the certificate of its caller, where all are to be', async () => {
  const bound = (token: string) => (body: { [member: string]: Json | undefined }) => {
    showing(token)(body)
    const { writ } = body['input'] as { writ: { token: { [member: string]: Json } } }
    writ.token['bound'] = true
  }
  const world = new World()
  world.decide({}, bound('2'.repeat(64)))
  const leaves = world.end()
  const first = leaves.findIndex((leaf) => new TextDecoder().decode(leaf).includes('1'.repeat(64)))
  const half = await reportOf(leaves, {}, asking({ M20: { bound: 50 } }))
  expect(checkOf(half.report, 'M20')).toMatchObject({
    verdict: 'pass',
    finding: '2 uses of 2 tokens, each by the holder that showed it first; 1 bound to the caller’s certificate.',
  })
  const all = await reportOf(leaves, {}, asking({ M20: { bound: 100 } }))
  expect(checkOf(all.report, 'M20')).toMatchObject({
    verdict: 'fail',
    finding: '1 use not bound to the caller’s certificate',
    subjects: [{ name: `${id('web')} -> ${id('orders')}`, count: 1 }],
  })
  expect(breaking(all.report, 'M20')).toEqual([first])
})

test('M12 finds a time in which no authority stamped the log, though it was stamped at the end', async () => {
  const signer = new Signer()
  const files = await filesOf(new World().end(), signer)
  const policy = await witnessed(files, { atMs: toMs - 60_000 })
  const hour = 3_600_000
  const said = async (...minutes: readonly number[]) => {
    const stamped = new Map(files)
    for (const [i, before] of minutes.entries()) {
      const path = `timestamps/${String(i + 1).padStart(6, '0')}`
      stamped.set(`${path}.note`, files.get('checkpoint')!)
      stamped.set(`${path}.tsr`, utf8(String(toMs - before * 60_000)))
    }
    const stamps = {
      timestampFault: () => undefined,
      stampMs: (token: Uint8Array) => Number(new TextDecoder().decode(token)),
    }
    const { report } = await remade(
      stamped,
      signer,
      policy,
      { fromMs: toMs - 6 * hour },
      declaredFile,
      undefined,
      stamps,
    )
    const { verdict, finding } = checkOf(report, 'M12')
    return `${verdict}: ${finding}`
  }
  expect(await said(400, 300, 180, 61, 1)).toMatch(/^pass: /)
  expect(await said(300, 178, 61, 1)).toBe('fail: for 122 minutes no authority stamped the log')
  expect(await said(481, 240, 120, 1)).toMatch(/^pass: /) // What of it lay before the time is of another report.
  expect(await said(482, 238, 120, 1)).toBe('fail: for 122 minutes no authority stamped the log')
  expect(await said(300, 200)).toMatch(/^fail: for 200 minutes/) // Up to the end.
  expect(await said(300, 180, 70, -60)).toMatch(/^pass: /)
  expect(await said(60)).toMatch(/^pass: /) // From the first on.
})
