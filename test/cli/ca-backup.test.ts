import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { generateX25519Identity, identityToRecipient } from 'age-encryption'
import { expect, test } from 'vitest'
import { openAuthority } from '../../ca/node/authority.ts'
import { verifySignature } from '../../ca/node/crypto.ts'
import { verifySvid } from '../../ca/svid.ts'
import { bank, newSvid, noonMs, random, tempFolder } from '../ca/world.ts'
import { writ } from './writ.ts'

test('a backup opens for those it is for, restores the same authority, and its bundle is newer than any before', async () => {
  const dir = tempFolder()
  const open = (state: string) =>
    openAuthority({ dir: join(state, 'ca'), trustDomain: bank, nowMs: () => noonMs, random })
  const [first, second] = [join(dir, 'first'), join(dir, 'second')]
  const before = await open(first)
  await before.prepare()
  const former = newSvid(before)
  await before.rotateIssuer(false)
  const svid = newSvid(before)
  const [ann, eve] = [await generateX25519Identity(), await generateX25519Identity()]
  for (const [name, identity] of [
    ['ann', ann],
    ['eve', eve],
  ] as const) {
    writeFileSync(join(dir, name), `# ${name}\n${identity}\n`)
  }
  const file = join(dir, 'ca.age')

  const to = await identityToRecipient(ann)
  const made = await writ('ca', 'backup', '--state', first, '--out', file, '--to', to, '--json')
  expect(made).toMatchObject({ code: 0, err: '' })
  expect(JSON.parse(made.out)).toEqual({ trust_domain: bank, sequence: 2, authorities: 2, to: [to] })
  expect(readFileSync(file, 'utf8')).toMatch(/^-----BEGIN AGE ENCRYPTED FILE-----/)

  const by = (who: string, state: string, ...more: string[]) =>
    writ('ca', 'restore', '--from', file, '--identity', join(dir, who), '--state', state, ...more)
  expect((await by('eve', second)).err).toContain('error forbidden: the backup cannot be opened')
  expect(await by('ann', second)).toMatchObject({
    code: 0,
    err: '',
    out: `${bank}, bundle 1002, 2 of its authorities\n`,
  })
  expect((await by('ann', second)).err).toContain('error in_use: there is an authority already')
  expect(await by('ann', second, '--replace')).toMatchObject({ code: 0 })

  const after = await open(second)
  expect(after.bundle()).toEqual({ ...before.bundle(), sequence: 1002 })
  expect(verifySvid(newSvid(after).chain, before.bundle(), noonMs, verifySignature).ok).toBe(true)
  expect(newSvid(after).chain[1]).toEqual(svid.chain[1])
  await after.undoIssuer()
  expect(newSvid(after).chain[1]).toEqual(former.chain[1])
})
