import { expect, test } from 'vitest'
import { tilePath } from '../../../audit/log/tiles.ts'
import { verifyLog } from '../../../audit/verify/verify.ts'
import { concat, fromUtf8, toBase64, utf8 } from '../../../core/bytes.ts'
import { filesOf, Mesh, partsOf, rootOfLeaves, Signer, told, verifyLeaves } from './log.ts'
import { id, Producer, testRoot } from './producer.ts'

test('a whole log verifies, and says what it holds and on whose word', async () => {
  const mesh = new Mesh().calls(700).head()
  const result = await verifyLeaves(mesh.leaves)
  expect(told(result).filter((line) => !line.includes('serial_unknown'))).toEqual([])
  expect(result.ok).toBe(true)
  expect(result.shards[0]).toMatchObject({ size: mesh.leaves.length, origin: 'bank.example/audit/0' })
  expect(result.kinds).toMatchObject({ decision: 700, start: 3, trust: 1 })
  expect(result.epochs.find(({ producer }) => producer === id('orders'))).toMatchObject({
    decisions: { allow: 467, deny: 233, fault: 0 },
    missing: 0,
    unattested: 0,
  })
  expect(result.trust).toMatchObject({ from: 'log', roots: [{ trustDomain: 'bank.example' }] })
})

test('an empty shard is whole; a log without a checkpoint is not', async () => {
  const signer = new Signer()
  expect((await verifyLeaves([])).ok).toBe(true)
  expect(told(await verifyLog(partsOf([new Map()], signer)))).toEqual(['broken checkpoint_missing 0/-'])
  expect(told(await verifyLog(partsOf([], signer)))).toEqual(['broken checkpoint_missing 0/-'])
})

// The tree

async function tampered(change: (files: Map<string, Uint8Array>, mesh: Mesh) => void): Promise<readonly string[]> {
  const mesh = new Mesh().calls(600).head()
  const signer = new Signer()
  const files = await filesOf(mesh.leaves, signer)
  change(files, mesh)
  const result = await verifyLog(partsOf([files], signer))
  expect(result.ok).toBe(false)
  return told(result).filter((line) => !line.startsWith('note'))
}

const entries = (index: number, width?: number) => tilePath('entries', index, width)

/** The bytes of a bundle and where entry `at` begins in it, its length not counted. */
function entryAt(bundle: Uint8Array, at: number): { readonly from: number; readonly to: number } {
  let from = 0
  for (let i = 0; ; i++) {
    const length = bundle[from]! * 256 + bundle[from + 1]!
    if (i === at) return { from: from + 2, to: from + 2 + length }
    from += 2 + length
  }
}

test('one changed letter in a leaf is found, and the leaf is named', async () => {
  const found = await tampered((files) => {
    const bundle = files.get(entries(1))!
    const { from, to } = entryAt(bundle, 44)
    const text = fromUtf8(bundle.subarray(from, to))
    bundle.set(utf8(text.replace('spiffe://bank.example/web', 'spiffe://bank.example/bew')), from)
  })
  expect(found).toEqual(['broken leaf_mismatch 0/300'])
})

test('one changed byte in a tile is found, and laid to the tile', async () => {
  const found = await tampered((files) => {
    files.get(tilePath(0, 1))![44 * 32 + 7]! ^= 1
  })
  expect(found).toEqual(['broken tile_mismatch 0/256', 'broken tile_mismatch 0/300'])
})

test('one changed byte in a tile of the level above is found', async () => {
  const found = await tampered((files, mesh) => {
    files.get(tilePath(1, 0, Math.floor(mesh.leaves.length / 256)))![33]! ^= 1
  })
  expect(found).toEqual(['broken root_mismatch 0/-', 'broken tile_mismatch 0/256'])
})

test('a changed byte in the last, partial tile is found by the root', async () => {
  const found = await tampered((files, mesh) => {
    files.get(tilePath(0, 2, mesh.leaves.length - 512))![5 * 32]! ^= 1
  })
  expect(found).toEqual(['broken root_mismatch 0/-', 'broken tile_mismatch 0/517'])
})

test('a leaf cut out of its bundle is named, though all after it moved up', async () => {
  const found = await tampered((files) => {
    const bundle = files.get(entries(0))!
    const { from, to } = entryAt(bundle, 20)
    files.set(entries(0), concat(bundle.slice(0, from - 2), bundle.slice(to)))
  })
  expect(found[0]).toBe('broken leaf_missing 0/20')
  expect(found.filter((line) => line.includes('leaf_'))).toHaveLength(1)
})

test('the last leaves of a bundle cut off cleanly are named', async () => {
  const found = await tampered((files) => {
    const bundle = files.get(entries(1))!
    files.set(entries(1), bundle.slice(0, entryAt(bundle, 254).from - 2))
  })
  expect(found.slice(0, 2)).toEqual(['broken leaf_missing 0/510', 'broken leaf_missing 0/511'])
})

test('two leaves swapped are both named', async () => {
  const signer = new Signer()
  const mesh = new Mesh().calls(30).head()
  const files = await filesOf(mesh.leaves, signer)
  const swapped = [...mesh.leaves]
  swapped[10] = mesh.leaves[12]!
  swapped[12] = mesh.leaves[10]!
  const path = entries(0, mesh.leaves.length)
  files.set(path, (await filesOf(swapped, signer)).get(path)!)
  const result = await verifyLog(partsOf([files], signer))
  expect(told(result).filter((line) => line.includes('leaf_'))).toEqual([
    'broken leaf_mismatch 0/10',
    'broken leaf_mismatch 0/12',
  ])
  expect(result.findings[0]!.what).toBe('leaf 10 is the one of index 12')
})

test('a truncated tile and a truncated bundle are named', async () => {
  expect(
    await tampered((files) => {
      files.set(tilePath(0, 0), files.get(tilePath(0, 0))!.slice(0, 8191))
    }),
  ).toContain('broken tile_invalid 0/0')
  expect(
    await tampered((files) => {
      files.set(entries(1), files.get(entries(1))!.slice(0, -1))
    }),
  ).toContain('broken entries_missing 0/256')
})

test('a checkpoint by another key is refused, and so is one by the right key over another root', async () => {
  const mesh = new Mesh().calls(10).head()
  const signer = new Signer()
  const files = await filesOf(mesh.leaves, new Signer())
  expect(told(await verifyLog(partsOf([files], signer)))).toEqual(['broken checkpoint_invalid 0/-'])

  const other = rootOfLeaves([...mesh.leaves].reverse())
  const lying = await filesOf(mesh.leaves, signer)
  lying.set('checkpoint', utf8(await signer.checkpoint(0, mesh.leaves.length, other)))
  expect(told(await verifyLog(partsOf([lying], signer)))).toContain('broken root_mismatch 0/-')
})

test('the checkpoint of another shard is not this one', async () => {
  const mesh = new Mesh().calls(10).head()
  const signer = new Signer()
  const files = await filesOf(mesh.leaves, signer, 1)
  expect(told(await verifyLog(partsOf([files], signer)))).toEqual(['broken checkpoint_invalid 0/-'])
})

test('a log extends the checkpoints that were kept of it; one rolled back or rewritten does not', async () => {
  const mesh = new Mesh().calls(300).head()
  const signer = new Signer()
  const at = async (size: number, leaves = mesh.leaves) =>
    signer.checkpoint(0, size, rootOfLeaves(leaves.slice(0, size)))
  const verify = async (kept: readonly string[]) =>
    verifyLog({ ...partsOf([await filesOf(mesh.leaves, signer)], signer), kept: () => kept })

  const good = await verify([await at(0), await at(7), await at(256), await at(mesh.leaves.length)])
  expect([good.ok, good.shards[0]!.kept]).toEqual([true, 4])

  const rewritten = [...mesh.leaves]
  rewritten[3] = utf8('what was there before')
  expect(told(await verify([await at(7, rewritten)]))).toContain('broken checkpoint_forked 0/-')
  const longer = [...mesh.leaves, utf8('one more')]
  expect(told(await verify([await at(longer.length, longer)]))).toContain('broken checkpoint_forked 0/-')
})

// The records

test('a dropped record that the log admits is a warning with counts, one it does not admit breaks it', async () => {
  const mesh = new Mesh().calls(20).head()
  const index = mesh.indexOf(8)
  const before = mesh.leaves.slice(0, index)
  const after = mesh.leaves.slice(index + 1)

  const silent = await verifyLeaves([...before, ...after])
  expect(told(silent)[0]).toBe(`broken hole 0/${index} -8`)

  const admitted = await verifyLeaves([...before, mesh.gap('opened', 8, 8), ...after])
  expect(admitted.ok).toBe(true)
  expect(told(admitted)).toContain(`warning gap_open 0/${index} -8`)
  const gap = admitted.findings.find(({ code }) => code === 'gap_open')!
  expect(gap.what).toContain('1 record (8) missing')
  expect(gap.what).toContain('they held 1 allow, 0 deny, 0 fault')
  expect(admitted.epochs.find(({ producer }) => producer === id('orders'))!.missing).toBe(1)
})

test('a record that arrives late closes its gap; a gap closed by nothing is a hole', async () => {
  const mesh = new Mesh().calls(20).head()
  const [late] = mesh.leaves.splice(mesh.indexOf(8), 1)
  const opened = mesh.gap('opened', 8, 8)
  const whole = await verifyLeaves([...mesh.leaves, opened, late!, mesh.gap('closed', 8, 8)])
  expect(told(whole).filter((line) => !line.startsWith('note'))).toEqual([])
})

test('another record in the place of one that was late does not fit the one after it', async () => {
  const mesh = new Mesh().calls(20).head()
  const index = mesh.indexOf(8)
  const [late] = mesh.leaves.splice(index, 1)
  const other = utf8(fromUtf8(late!).replace('"path":"/orders/6"', '"path":"/never"'))
  expect(other).not.toEqual(late)
  const found = told(await verifyLeaves([...mesh.leaves, mesh.gap('opened', 8, 8), other, mesh.gap('closed', 8, 8)]))
  expect(found.filter((line) => line.startsWith('broken'))).toEqual([
    `broken chain_broken 0/${mesh.leaves.length + 1} -9`,
  ])
})

test('a gap closed without its record is a hole', async () => {
  const mesh = new Mesh().calls(20).head()
  mesh.leaves.splice(mesh.indexOf(8), 1)
  const result = await verifyLeaves([...mesh.leaves, mesh.gap('opened', 8, 8), mesh.gap('closed', 8, 8)])
  expect(told(result)[0]).toMatch(/^broken hole .* -8$/)
})

test('records after the last head are unattested; with a head over them they are not', async () => {
  const mesh = new Mesh().calls(12)
  const open = await verifyLeaves(mesh.leaves)
  expect(open.ok).toBe(true)
  expect(told(open)[0]).toBe(`warning unattested 0/${mesh.indexOf(13)} -13`)
  expect(open.findings[0]!.what).toContain('2 records (13 to 14)')
  expect(told(await verifyLeaves(mesh.head().leaves))[0]).toMatch(/^note/)
})

test('a producer that returns vouches for its tail by quoting it; one that returns without does not', async () => {
  const mesh = new Mesh().calls(12)
  const tail = [mesh.orders.restart(), mesh.orders.head()]
  expect(told(await verifyLeaves([...mesh.leaves, ...tail])).filter((line) => !line.startsWith('note'))).toEqual([])

  const silent = new Mesh().calls(12)
  const result = await verifyLeaves([...silent.leaves, silent.orders.restart(false), silent.orders.head()])
  expect(told(result)[0]).toMatch(/^warning unattested .* -13$/)
})

test('a run too short for a head vouches for the tail before it once a proven start quotes it, and not before', async () => {
  const mesh = new Mesh().calls(12)
  const short = [mesh.orders.restart(), mesh.orders.restart()]
  const unproven = told(await verifyLeaves([...mesh.leaves, ...short]))
  expect(unproven.filter((line) => line.includes('unattested'))).toHaveLength(3)
  const proven = await verifyLeaves([...mesh.leaves, ...short, mesh.orders.head()])
  expect(told(proven).filter((line) => !line.startsWith('note'))).toEqual([])
})

test('a run that did not end, before a start that quotes none, is a lost spool once it is silent for two minutes', async () => {
  const lost = async (silentMs: number, quote: boolean, final = false) => {
    const mesh = new Mesh().calls(12)
    const last = `${mesh.orders.epoch}-${mesh.orders.seq - (final ? 0 : 1)}`
    const ending = final ? [mesh.orders.head(true)] : []
    const leaves = [...mesh.leaves, ...ending, mesh.orders.restart(quote)]
    mesh.orders.nowMs += silentMs
    const { findings } = await verifyLeaves([...leaves, mesh.orders.head()])
    return { last, found: findings.filter(({ code }) => code === 'spool_lost') }
  }
  const { last, found } = await lost(121_000, false)
  expect(found).toEqual([expect.objectContaining({ level: 'warning', id: last })])
  expect(found[0]!.what).toMatch(/the last signed head at \d+\. .* quotes none before/)
  expect((await lost(119_000, false)).found).toEqual([])
  expect((await lost(121_000, true)).found).toEqual([])
  expect((await lost(121_000, false, true)).found).toEqual([])
})

test('a second worker that runs beside the first, and quotes none, is no lost spool', async () => {
  const mesh = new Mesh().calls(12)
  const other = new Producer('orders', mesh.orders.nowMs)
  const leaves = [...mesh.leaves, other.start()]
  mesh.orders.nowMs += 121_000
  other.nowMs += 121_000
  const { findings } = await verifyLeaves([...leaves, mesh.orders.head(), other.head()])
  expect(findings.filter(({ code }) => code === 'spool_lost')).toEqual([])
})

test('a quote of another end than the log has is named', async () => {
  const mesh = new Mesh().calls(12)
  const forged = new Producer('orders') // Another key, but the numbers of the true one.
  Object.assign(forged, { epoch: mesh.orders.epoch, seq: mesh.orders.seq, prev: mesh.orders.prev })
  const extra = forged.decision({ verdict: 'allow', path: '/never' })
  const result = await verifyLeaves([...mesh.leaves, extra, mesh.orders.restart(), mesh.orders.head()])
  expect(told(result)[0]).toMatch(/^broken start_misquoted .* -0$/)
})

test('a quote with the right number and another hash is named; one that no head covers vouches for nothing', async () => {
  const mesh = new Mesh().calls(12)
  const before = [...mesh.leaves]
  const { prev } = mesh.orders
  mesh.orders.prev = 'ab'.repeat(32)
  const result = await verifyLeaves([...before, mesh.orders.restart(), mesh.orders.head()])
  expect(told(result)[0]).toMatch(/^broken start_misquoted .* -0$/)

  const other = new Mesh().calls(12)
  expect(prev).not.toBe(other.orders.prev)
  const unsigned = told(await verifyLeaves([...other.leaves, other.orders.restart()]))
  expect(unsigned.filter((line) => line.includes('unattested'))).toHaveLength(2)
})

test('a forged record at the end of an epoch is unattested, and breaks the log once the epoch is over', async () => {
  const mesh = new Mesh().calls(10)
  const forged = new Producer('orders')
  Object.assign(forged, { epoch: mesh.orders.epoch, seq: mesh.orders.seq, prev: mesh.orders.prev })
  const extra = forged.decision({ path: '/never' })
  const live = await verifyLeaves([...mesh.leaves, extra])
  expect(told(live)[0]).toBe(`warning unattested 0/${mesh.leaves.length} -13`)

  const later = new Producer('billing', mesh.orders.nowMs + 2 * 3_600_000)
  const dead = await verifyLeaves([...mesh.leaves, extra, later.start(), later.decision(), later.head()])
  expect(told(dead)[0]).toBe(`broken unattested 0/${mesh.leaves.length} -13`)

  const final = [...mesh.leaves, mesh.orders.head(true)]
  Object.assign(forged, { seq: mesh.orders.seq, prev: mesh.orders.prev })
  const ended = await verifyLeaves([...final, forged.decision({ path: '/never' })])
  expect(told(ended)[0]).toBe(`broken after_final 0/${final.length} -14`)
  expect((await verifyLeaves(final)).ok).toBe(true)
})

test('a head by another key than the one announced is named', async () => {
  const mesh = new Mesh().calls(7)
  const forged = new Producer('orders')
  Object.assign(forged, { epoch: mesh.orders.epoch, seq: mesh.orders.seq, prev: mesh.orders.prev })
  const result = await verifyLeaves([...mesh.leaves, forged.head(false, mesh.orders.counts)])
  expect(told(result)[0]).toBe(`broken head_invalid 0/${mesh.leaves.length} -9`)
  expect(result.findings[0]!.what).toContain('other than the one announced')
})

test('a head with one letter of its signature changed is named', async () => {
  const mesh = new Mesh().calls(4)
  const head = fromUtf8(mesh.orders.head()).replace(
    /("sig":")(.)/,
    (_, name, letter) => name + (letter === 'A' ? 'B' : 'A'),
  )
  const result = await verifyLeaves([...mesh.leaves, utf8(head)])
  expect(told(result)[0]).toBe(`broken head_invalid 0/${mesh.leaves.length} -5`)
})

test('a head that counts other than the log holds is named', async () => {
  const mesh = new Mesh().calls(4)
  const result = await verifyLeaves([...mesh.leaves, mesh.orders.head(false, { allow: 4, deny: 0, fault: 0 })])
  expect(told(result)[0]).toBe(`broken head_counts 0/${mesh.leaves.length} -5`)
  expect(result.findings[0]!.what).toBe(
    'head counts 4 allow, 0 deny, 0 fault where the log holds 3 allow, 1 deny, 0 fault',
  )
})

test('a record rewritten before it was logged breaks the chain of its producer', async () => {
  const mesh = new Mesh().calls(9).head()
  const index = mesh.indexOf(3)
  const leaves = [...mesh.leaves]
  leaves[index] = utf8(
    fromUtf8(leaves[index]!)
      .replace('"verdict":"deny"', '"verdict":"allow"')
      .replace('not on the list', 'looks fine to me'),
  )
  const found = told(await verifyLeaves(leaves))
  expect(found).toContain(`broken chain_broken 0/${index + 1} -4`)
  expect(found.filter((line) => line.includes('head_counts')).length).toBeGreaterThan(0)
})

test('a number that comes twice is named', async () => {
  const mesh = new Mesh().calls(9).head()
  const again = mesh.leaves[mesh.indexOf(3)]!
  expect(told(await verifyLeaves([...mesh.leaves, again]))[0]).toBe(`broken number_repeated 0/${mesh.leaves.length} -3`)
})

test('only the auditor writes gaps and anomalies, only the control plane announces roots', async () => {
  const mesh = new Mesh().calls(4)
  const gap = mesh.orders.write({ kind: 'gap', action: 'opened', of: mesh.orders.name as never, first: 1, last: 2 })
  const trust = mesh.orders.write({
    kind: 'trust',
    trust_domain: 'bank.example' as never,
    sequence: 2,
    roots: [toBase64(utf8('mine'))],
  })
  const found = told(await verifyLeaves([...mesh.leaves, gap, trust, mesh.orders.head()]))
  expect(found.slice(0, 2)).toEqual([
    `broken forbidden_kind 0/${mesh.leaves.length} -5`,
    `broken forbidden_kind 0/${mesh.leaves.length + 1} -6`,
  ])
})

test('only the collector decides in the name of another workload', async () => {
  const mesh = new Mesh()
  const collector = new Producer('writ/collector')
  mesh.leaves.push(collector.start(), collector.decision({ workload: id('edge') }), collector.head())
  expect((await verifyLeaves(mesh.leaves)).ok).toBe(true)
  mesh.leaves.push(mesh.orders.decision({ workload: id('edge') }), mesh.orders.head())
  expect(told(await verifyLeaves(mesh.leaves))[0]).toBe(`broken forbidden_workload 0/${mesh.leaves.length - 2} -1`)
})

test('nobody hides a decision as a trial: one that changed nothing names an earlier one that did', async () => {
  const trial = (of: string) => ({ name: 'x', mode: 'shadow', of, enforced_verdict: 'allow' }) as const
  const found = async (change: (mesh: Mesh) => Parameters<Producer['decision']>[0]) => {
    const mesh = new Mesh().calls(3)
    mesh.leaves.push(mesh.orders.decision(change(mesh)), mesh.orders.head())
    return told(await verifyLeaves(mesh.leaves)).filter((line) => line.includes('trial_wrong'))
  }
  const at = (mesh: Mesh, back: number) => trial(`${mesh.orders.epoch}-${mesh.orders.seq - back}`)
  expect(await found((mesh) => ({ enforced: false, trial: at(mesh, 1) }))).toEqual([])
  expect(await found((mesh) => ({ enforced: false, trial: at(mesh, 0) }))).toHaveLength(1)
  expect(await found(() => ({ enforced: false, trial: trial('nobody') }))).toHaveLength(1)
  expect(await found(() => ({ enforced: false }))).toHaveLength(1)
  // An edge function's comes under another epoch where its collector was started again in between.
  expect(await found(() => ({ enforced: false, trial: trial(`${'ab'.repeat(12)}-9`) }))).toEqual([])
})

test('what the auditor kept as evidence is told: noise as a warning, a second truth as broken', async () => {
  const mesh = new Mesh().calls(4).head()
  const anomaly = (kind: 'malformed' | 'equivocation') =>
    mesh.auditor.write({
      kind: 'anomaly',
      anomaly: kind,
      partition: 0,
      offset: '17',
      sha256: 'ab'.repeat(32),
      bytes: '',
      detail: 'not JSON',
    })
  const noise = await verifyLeaves([...mesh.leaves, anomaly('malformed')])
  expect(told(noise)[0]).toBe(`warning anomaly 0/${mesh.leaves.length} -1`)
  mesh.auditor.restart()
  expect(told(await verifyLeaves([...mesh.leaves, anomaly('equivocation')]))[0]).toMatch(/^broken anomaly/)
})

test('roots that are pinned outweigh those in the log', async () => {
  const mesh = new Mesh().calls(5)
  const pin = (root: Uint8Array) => [{ trustDomain: 'bank.example', sequence: 0, fromMs: 0, roots: [root], id: '' }]
  const right = await verifyLeaves(mesh.leaves, { pinned: pin(testRoot) })
  expect([right.ok, right.trust.from]).toEqual([true, 'pinned'])
  const wrong = await verifyLeaves(mesh.leaves, { pinned: pin(utf8('another root')) })
  expect(told(wrong)[0]).toMatch(/^broken head_invalid 0\/2/)
})

test('a root announced by a stranger to the former root is not believed', async () => {
  const mesh = new Mesh().calls(5)
  const impostor = new Producer('writ/control')
  mesh.leaves.push(
    impostor.start(),
    impostor.write({
      kind: 'trust',
      trust_domain: 'bank.example' as never,
      sequence: 9,
      roots: [toBase64(utf8('evil'))],
    }),
  )
  const result = await verifyLeaves(mesh.leaves)
  expect(result.trust.roots[0]!.sha256).toHaveLength(1)
  expect(told(result)).toContain(`warning trust_unproven 0/${mesh.leaves.length - 1} -1`)
})

test('records in one shard are judged by roots announced in another', async () => {
  const mesh = new Mesh()
  const billing = new Producer('billing')
  const signer = new Signer()
  const first = await filesOf([billing.start(), billing.decision(), billing.head()], signer, 0)
  const second = await filesOf(mesh.leaves, signer, 1)
  expect((await verifyLog(partsOf([first, second], signer))).ok).toBe(true)
})

test('a certificate in traffic that nobody issued is noted', async () => {
  const mesh = new Mesh().calls(1).head()
  const result = await verifyLeaves(mesh.leaves)
  expect(result.serials).toEqual({ seen: 1, issued: 0, unknown: ['0a1b'], whole: true })
  expect(told(result)).toEqual([`note serial_unknown 0/${mesh.indexOf(1)}`])
})

test('decisions of OPAs are the collector’s to keep: under another name they break the log', async () => {
  const mesh = new Mesh().calls(2)
  const event = { decision_id: 'a', timestamp: '2026-11-23T10:00:00Z', result: true }
  const body = { kind: 'opa_decision', workload: id('opa/orders'), event } as const
  mesh.leaves.push(mesh.control.write(body), mesh.control.head())
  const whole = await verifyLeaves(mesh.leaves)
  expect([whole.ok, whole.kinds.opa_decision, whole.kinds.decision]).toEqual([true, 1, 2])
  mesh.leaves.push(mesh.orders.write({ ...body, workload: id('orders') }), mesh.orders.head())
  expect(told(await verifyLeaves(mesh.leaves))[0]).toMatch(/^broken forbidden_kind 0\//)
})

test('decisions without a record are a warning that says how many; a head that counts others of them is broken', async () => {
  const suppressed = (mesh: Mesh, allow: number) =>
    mesh.orders.write({
      kind: 'suppressed',
      counts: { allow, deny: 1, fault: 0 },
      from: '2026-11-23T12:00:00.000000000Z',
      until: '2026-11-23T12:00:09.000000000Z',
      why: 'the spool is full',
    })
  const told3 = new Mesh()
  told3.leaves.push(suppressed(told3, 2), told3.orders.head(true, { ...told3.orders.counts, suppressed: 3 }))
  const whole = await verifyLeaves(told3.leaves)
  expect(whole.ok).toBe(true)
  expect(whole.findings).toContainEqual(
    expect.objectContaining({ level: 'warning', code: 'suppressed', what: expect.stringContaining('2 allow, 1 deny') }),
  )
  expect(whole.epochs.find(({ producer }) => producer.endsWith('/orders'))?.decisions.suppressed).toBe(3)

  for (const count of [undefined, 2]) {
    const lying = new Mesh()
    const counts = { ...lying.orders.counts, ...(count !== undefined && { suppressed: count }) }
    lying.leaves.push(suppressed(lying, 2), lying.orders.head(true, counts))
    const broken = await verifyLeaves(lying.leaves)
    expect(broken.findings).toContainEqual(expect.objectContaining({ level: 'broken', code: 'head_counts' }))
  }
})

test('decisions that a drop rule left out are noted, and no loss; a head that counts others of them is broken', async () => {
  const dropped = (mesh: Mesh) =>
    mesh.orders.write({
      kind: 'dropped',
      counts: { allow: 2, deny: 1, fault: 0 },
      from: '2026-11-23T12:00:00.000000000Z',
      until: '2026-11-23T12:00:01.000000000Z',
    })
  const told = new Mesh()
  told.leaves.push(dropped(told), told.orders.head(true, { ...told.orders.counts, dropped: 3 }))
  const whole = await verifyLeaves(told.leaves)
  expect(whole.ok).toBe(true)
  expect(whole.findings).toContainEqual(
    expect.objectContaining({ level: 'note', code: 'dropped', what: expect.stringContaining('3 decisions') }),
  )
  expect(whole.epochs.find(({ producer }) => producer.endsWith('/orders'))?.decisions.dropped).toBe(3)
  for (const count of [undefined, 2]) {
    const lying = new Mesh()
    const counts = { ...lying.orders.counts, ...(count !== undefined && { dropped: count }) }
    lying.leaves.push(dropped(lying), lying.orders.head(true, counts))
    const { findings } = await verifyLeaves(lying.leaves)
    expect(findings).toContainEqual(expect.objectContaining({ level: 'broken', code: 'head_counts' }))
  }
})

test('a call that one side alone recorded is told, and only the auditor may say so', async () => {
  const unmatched = (mesh: Mesh) =>
    ({
      kind: 'unmatched',
      missing: 'callee',
      silent: mesh.orders.name,
      of: `${mesh.orders.epoch}-3`,
      request_id: 'r-1',
      by: mesh.control.name,
      at: '2026-11-23T12:00:00.000000000Z',
    }) as const
  const mesh = new Mesh()
  mesh.leaves.push(mesh.auditor.write(unmatched(mesh)))
  const found = await verifyLeaves(mesh.leaves)
  expect(found.findings).toContainEqual(expect.objectContaining({ level: 'warning', code: 'one_sided_call' }))
  const forged = new Mesh()
  forged.leaves.push(forged.orders.write(unmatched(forged)), forged.orders.head())
  expect((await verifyLeaves(forged.leaves)).findings).toContainEqual(
    expect.objectContaining({ level: 'broken', code: 'forbidden_kind' }),
  )
})
