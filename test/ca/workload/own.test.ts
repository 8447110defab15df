import { afterAll, beforeAll, expect, onTestFinished, vi } from 'vitest'
import { localIdentitySource } from '../../../ca/node/source.ts'
import { ownIdentities } from '../../../ca/node/workload/own.ts'
import { startChild } from '../../parts/child.ts'
import { needs, pathOf } from '../../parts/needs.ts'
import { domain, newAuthority, orders, random } from '../world.ts'
import { ask, buildWorkload, removeWorkload, serveWorkload } from './kit.ts'

/** A sidecar that serves its own identity to the workload beside it. */

const test = needs('go')
let program: string
beforeAll(async () => {
  program = await buildWorkload(pathOf('go'))
})
afterAll(() => removeWorkload(program))

test('a workload watches the renewals of its sidecar, gets tokens in its name, and bundles as they come', async () => {
  const bank = await newAuthority(undefined, Date.now)
  const source = await localIdentitySource(bank, orders, { nowMs: Date.now, random, ttlMs: 4000 })
  onTestFinished(() => source.close())
  const identities = ownIdentities(source, (audience) => bank.mintJwt({ id: orders, audience }))
  const { url } = await serveWorkload(identities)
  const watching = startChild(program, ['watch', url, '3'])
  expect(await watching.ended).toBe(0)
  const serials = watching.logs().match(/orders [0-9a-f]{32}/g)
  expect(new Set(serials).size).toBe(3)
  expect((await ask(program, 'jwt', url, 'ledger'))[0]).toBe(`local ${orders} ledger`)
  source.setBundles([(await newAuthority(domain('other.example'), Date.now)).bundle()])
  await vi.waitFor(async () =>
    expect(await ask(program, 'federation', url)).toEqual(['bundles bank.example:1 other.example:1']),
  )
})
