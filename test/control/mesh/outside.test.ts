import { expect, test } from 'vitest'
import { formatCosignerKey } from '../../../audit/log/cosignature.ts'
import { testWitness } from '../../audit/witness/go.ts'
import { compiled, own, problemsOf } from '../world.ts'

/** Who outside vouches for the log, as the Mesh document says it. */

const key = (name: string): string => formatCosignerKey(testWitness(name).key)
const [one, two] = [key('w.example/1'), key('w.example/2')]
const mesh = (audit: string): string => own('Mesh', 'mine', `{ trustDomain: shop.example, audit: { ${audit} } }`)
const outsideOf = (audit: string) => {
  const result = compiled(mesh(audit))
  return result.ok ? result.settings.outside : result.problems
}
const told = (audit: string): readonly string[] =>
  problemsOf(mesh(audit)).map(({ field, problem }) => `${field} ${problem}`)
const witness = (url: string, text = one): string => `{ url: "${url}", key: "${text}" }`

test('by default nobody outside is asked', () => {
  expect(outsideOf('durability: strict')).toEqual({ witnesses: [], witnessQuorum: 0, timestamps: undefined })
})

test('all witnesses make the quorum unless it says how many, and a stamp is had each hour', () => {
  const both = `${witness('https://a.example/')}, ${witness('http://127.0.0.1:7446', two)}`
  expect(outsideOf(`witnesses: [${both}], timestamps: { url: "https://tsa.example/x" }`)).toEqual({
    witnesses: [
      { url: 'https://a.example/', key: one },
      { url: 'http://127.0.0.1:7446', key: two },
    ],
    witnessQuorum: 2,
    timestamps: { url: 'https://tsa.example/x', everyMs: 3_600_000 },
  })
  expect(outsideOf(`witnesses: [${both}], witnessPolicy: { quorum: 1 }`)).toMatchObject({ witnessQuorum: 1 })
  expect(outsideOf('timestamps: { url: "http://localhost:1", every: 1m }')).toMatchObject({
    timestamps: { everyMs: 60_000 },
  })
})

test('plain HTTP beyond loopback, a URL with a password, and what is no key are refused', () => {
  for (const url of [
    'http://a.example',
    'ftp://a.example',
    'https://me:pw@a.example',
    'https://a.example/?x=1',
    'a.example',
  ])
    expect(told(`witnesses: [${witness(url)}]`), url).toEqual([
      'spec.audit.witnesses[0].url is neither an https URL nor an http URL on loopback',
    ])
  expect(told(`witnesses: [${witness('https://a.example', 'w.example+00+x')}]`)[0]).toContain('is not a verifier key')
  expect(told('timestamps: { url: "http://a.example" }')).toHaveLength(1)
})

test('a quorum of more than there are, one witness twice, and stamps each second are refused', () => {
  const a = witness('https://a.example')
  expect(told(`witnesses: [${a}], witnessPolicy: { quorum: 2 }`)).toEqual([
    'spec.audit.witnessPolicy.quorum a quorum of 2 of 1 witnesses',
  ])
  expect(told('witnessPolicy: { quorum: 1 }')).toHaveLength(1)
  expect(told(`witnesses: [${a}, ${witness('https://b.example')}], witnessPolicy: { quorum: 1 }`)).toEqual([
    'spec.audit.witnesses[1].key the same public key as a witness above',
  ])
  expect(told('timestamps: { url: "https://a.example", every: 59s }')).toEqual([
    'spec.audit.timestamps.every 59s is not between 1m and 24h',
  ])
})
