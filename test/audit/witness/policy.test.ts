import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { cosign, formatCosignerKey, withLines } from '../../../audit/log/cosignature.ts'
import { formatVerifierKey, noteKey, signNote } from '../../../audit/log/note.ts'
import {
  formatQuorum,
  type LogPolicy,
  meetsQuorum,
  parsePolicy,
  quorumOf,
  witnessKeys,
} from '../../../audit/log/policy.ts'
import { newEd25519Pem, readEd25519Pem } from '../../../audit/node/ed25519.ts'
import { concat, toBase64, toHex, utf8 } from '../../../core/bytes.ts'
import { needs, pathOf } from '../../parts/needs.ts'
import { sha256 } from '../log/naive.ts'
import { ask, buildWitnessing, removeWitnessing, testWitness } from './go.ts'

/** Policies: whose cosignatures make a checkpoint good, as the standard's file says it, and as Go reads the same file. */

const log = readEd25519Pem(newEd25519Pem())!
const logKey = noteKey(sha256, 'bank.example/audit', log.publicKey)!
const witnesses = Array.from({ length: 6 }, (_, i) => testWitness(`witness.example/w${i}`))
const [a, b, c, d, e, f] = witnesses.map(({ key }) => key) as [
  (typeof witnesses)[0]['key'],
  ...(typeof witnesses)[0]['key'][],
]
const lineOf = (name: string, i: number): string => `witness ${name} ${formatCosignerKey(witnesses[i]!.key)}`

const read = (text: string): LogPolicy => {
  const policy = parsePolicy(sha256, utf8(text))
  if ('wrong' in policy) throw new Error(policy.wrong)
  return policy
}
const wrong = (...lines: string[]): string => {
  const policy = parsePolicy(sha256, utf8(`${lines.join('\n')}\n`))
  return 'wrong' in policy ? policy.wrong : 'nothing'
}

/** The example of the standard: two of three, and one of three others. */
const example = `
# Comments are passed over,   and so is \t white space.
log ${formatVerifierKey(logKey)} https://bank.example/
${lineOf('X1', 0)}
 ${lineOf('X2', 1)} https://x2.example/
${lineOf('X3', 2)}
group X-witnesses 2 X1 X2 X3

${lineOf('Y1', 3)}
${lineOf('Y2', 4)}
${lineOf('Y3', 5)}
group Y-witnesses any Y1 Y2 Y3
group X-and-Y all X-witnesses Y-witnesses
quorum\tX-and-Y`

test('two levels of groups are met by two of the one and one of the other, and by no less', () => {
  const policy = read(example)
  expect(policy.logs).toEqual([logKey])
  expect(witnessKeys(policy)).toEqual([a, b, c, d, e, f])
  expect(policy.witnesses[1]!.url).toBe('https://x2.example/')
  expect(meetsQuorum(policy, [a, c!, f!])).toBe(true)
  expect(meetsQuorum(policy, [a, b!])).toBe(false)
  expect(meetsQuorum(policy, [a, d!, e!, f!])).toBe(false)
  expect(meetsQuorum(policy, [])).toBe(false)
})

test('a quorum may be one witness, or none, which everything meets', () => {
  const one = read(`${lineOf('w', 0)}\nquorum w\n`)
  expect([meetsQuorum(one, [a]), meetsQuorum(one, [b!])]).toEqual([true, false])
  expect(meetsQuorum(read('quorum none'), [])).toBe(true)
})

test('each line that says nothing sensible is named', () => {
  const w = lineOf('w', 0)
  expect(wrong(w)).toBe('there is no quorum line')
  expect(wrong(w, 'quorum w', 'quorum w')).toBe('line 3: a second quorum')
  expect(wrong('quorum w', w)).toBe('line 1: w is not defined above')
  expect(wrong(w, lineOf('w', 1))).toBe('line 2: w is defined already')
  expect(wrong(lineOf('none', 0))).toBe('line 1: none is not a name')
  expect(wrong(w, lineOf('v', 0))).toBe('line 2: a second witness with the same public key')
  expect(wrong(`log ${formatVerifierKey(logKey)}`, `log ${formatVerifierKey(logKey)}`)).toContain('a second log')
  expect(wrong(w, 'group g 2 w')).toContain('line 2: 2 is not any, all or a number from 1 to 1')
  expect(wrong(w, 'group g 0 w')).toContain('0 is not any')
  expect(wrong(w, 'group g 01 w')).toContain('01 is not any')
  expect(wrong(w, 'group g any')).toContain('group <name>')
  expect(wrong(w, 'group g any none')).toBe('line 2: none is not defined above')
  expect(wrong(w, 'group g any w w')).toBe('line 2: w is a member of a group already')
  expect(wrong(w, 'group g any w', 'group h any w')).toBe('line 3: w is a member of a group already')
  expect(wrong(`witness w ${formatVerifierKey(logKey)}`)).toBe('line 1: a key of type 1 is not that of a witness')
  expect(wrong(`log ${formatCosignerKey(a)}`)).toBe('line 1: a key of type 4 is not that of a log')
  expect(wrong('quorum none\r')).toBe('a control character')
  expect(wrong('vote w')).toBe('line 1: vote is not log, witness, group or quorum')
})

test('a witness with an ML-DSA key is read and never counts; a name may be any octets', () => {
  const material = new Uint8Array(1312).fill(7)
  const id = sha256(concat(utf8('pq.example\n'), Uint8Array.of(6), material)).slice(0, 4)
  const pq = `witness pq pq.example+${toHex(id)}+${toBase64(concat(Uint8Array.of(6), material))}`
  const policy = read(`${pq}\n${lineOf('Zeugin-Ä', 0)}\ngroup g all pq Zeugin-Ä\nquorum g`)
  expect(policy.witnesses.map(({ key }) => key)).toEqual([undefined, a])
  expect(meetsQuorum(policy, [a])).toBe(false)
  expect(meetsQuorum(read(`${pq}\n${lineOf('Zeugin-Ä', 0)}\nquorum Zeugin-Ä`), [a])).toBe(true)
})

test('no bytes make it throw', () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => void parsePolicy(sha256, bytes)))
  const words = ['log', 'witness', 'group', 'quorum', 'any', 'all', '1', 'w', 'none', formatCosignerKey(a), '\n', '#']
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...words), { maxLength: 30 }), (list) => {
      parsePolicy(sha256, utf8(list.join(' ')))
    }),
  )
})

test('a plain quorum is written and read back, and means the same', () => {
  const places = witnesses.slice(0, 3).map(({ key }, i) => ({ key, url: `https://w${i}.example/` }))
  const back = read(formatQuorum(logKey, places, 2))
  expect(back).toEqual(quorumOf(logKey, places, 2))
  expect([meetsQuorum(back, [a, c!]), meetsQuorum(back, [c!])]).toEqual([true, false])
})

const goTest = needs('go')
let program: string
let dir: string
beforeAll(async () => {
  program = await buildWitnessing(pathOf('go'))
  dir = await mkdtemp(join(tmpdir(), 'writ-policy-'))
}, 300_000)
afterAll(async () => {
  await removeWitnessing(program)
  await rm(dir, { recursive: true, force: true })
})

goTest('transparency-dev/formats agrees on every set of cosigners', async () => {
  const url = (line: string): string => `${line} https://w.example/${line.slice(8, 10)}`
  const text = example
    .split('\n')
    .map((line) => (/^ ?witness (?!.*https)/.test(line) ? url(line.trim()) : line.trim().replace('\t', ' ')))
    .join('\n')
  await writeFile(join(dir, 'policy'), text)
  const policy = read(text)
  const note = await signNote(`bank.example/audit/0\n12\n${toBase64(sha256(new Uint8Array(1)))}\n`, logKey, log.sign)
  for (let set = 0; set < 64; set++) {
    const chosen = witnesses.filter((_, i) => (set >> i) & 1)
    const lines = await Promise.all(chosen.map(({ key, sign }) => cosign(`${note.split('\n\n')[0]!}\n`, key, 9, sign)))
    const ours = meetsQuorum(
      policy,
      chosen.map(({ key }) => key),
    )
    expect(await ask(program, ['policy', join(dir, 'policy')], withLines(note, lines))).toBe(`${ours}\n`)
  }
})
