/**
 * CPU time of each x509-limbo case, from PEM to the answer: `WRIT_VECTORS=… node bench/limbo.ts`. A peer shows one chain, in
 * order; a case is answered for every order of its heap, and the dearest chain of it is what counts. Cold is the first
 * time in a process of its own, compiling included; warm is the least of ten, since others use the machine.
 */

import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { loadavg } from 'node:os'
import { join } from 'node:path'
import { usages } from '../ca/extensions.ts'
import { verifySignature } from '../ca/node/crypto.ts'
import { checkPath } from '../ca/path.ts'
import { certificatesOf } from '../ca/pem.ts'
import { readRoots } from '../ca/svid.ts'
import { type Certificate, parseCertificate } from '../ca/x509.ts'

interface Case {
  readonly id: string
  readonly validation_kind: 'CLIENT' | 'SERVER'
  readonly trusted_certs: readonly string[]
  readonly untrusted_intermediates: readonly string[]
  readonly peer_certificate: string
  readonly validation_time: string | null
}

const file = join(process.env['WRIT_VECTORS'] ?? '../shared/vectors', 'limbo-core.json')
const cases = (JSON.parse(readFileSync(file, 'utf8')) as { readonly testcases: readonly Case[] }).testcases

/** Every order of up to three of them. */
function orders<T>(heap: readonly T[], length: number): T[][] {
  if (length === 0) return [[]]
  return [[], ...heap.flatMap((first, i) => orders(heap.toSpliced(i, 1), length - 1).map((rest) => [first, ...rest]))]
}

/** Roots are read once for as long as a bundle is in use, and are no part of an answer. */
const rootsOf = (one: Case): readonly Certificate[] =>
  readRoots(one.trusted_certs.flatMap((pem) => certificatesOf(pem)))

const ders = (pem: string): readonly Uint8Array[] => certificatesOf(pem)

function answer(one: Case, chain: readonly Uint8Array[], roots: readonly Certificate[]): void {
  const read = chain.flatMap((der) => {
    const parsed = parseCertificate(der)
    return 'certificate' in parsed ? [parsed.certificate] : []
  })
  if (read.length === chain.length) {
    checkPath(read as [Certificate, ...Certificate[]], roots, {
      nowMs: one.validation_time ? Date.parse(one.validation_time) : Date.now(),
      usages: [one.validation_kind === 'CLIENT' ? usages.clientAuth : usages.serverAuth],
      verify: verifySignature,
    })
  }
}

/** Milliseconds of CPU. */
function cpuOf(work: () => void): number {
  const before = process.cpuUsage()
  work()
  const { user, system } = process.cpuUsage(before)
  return (user + system) / 1000
}

const chainsOf = (one: Case): readonly (readonly Uint8Array[])[] =>
  orders(one.untrusted_intermediates.flatMap(ders).slice(0, 6), 3).map((above) => [
    ...ders(one.peer_certificate),
    ...above,
  ])

/** Of the case's dearest chain. */
function warm(one: Case): number {
  const roots = rootsOf(one)
  const times = chainsOf(one).map((chain) =>
    Math.min(...Array.from({ length: 10 }, () => cpuOf(() => answer(one, chain, roots)))),
  )
  return Math.max(...times)
}

const only = process.argv[2]
if (only !== undefined) {
  const one = cases.find(({ id }) => id === only)!
  const [roots, chains] = [rootsOf(one), chainsOf(one)]
  const longest = chains.reduce((a, b) => (b.length > a.length ? b : a))
  process.stdout.write(`${cpuOf(() => answer(one, longest, roots))}\n`)
} else {
  for (const one of cases) warm(one) // So that none pays for what another has had compiled.
  const all = cases.map((one) => ({ id: one.id, ms: warm(one) })).sort((a, b) => b.ms - a.ms)
  const pathological = all.filter(({ id }) => id.startsWith('pathological::'))
  const shown = [...new Set([...pathological, ...all.slice(0, 5)])].sort((a, b) => b.ms - a.ms)
  process.stdout.write(
    `${cases.length} cases, load ${loadavg()[0]!.toFixed(1)}\n| case | warm, ms | cold, ms |\n|---|---|---|\n`,
  )
  for (const { id, ms } of shown) {
    const cold = Number(execFileSync(process.execPath, [import.meta.filename, id], { encoding: 'utf8' }))
    process.stdout.write(`| \`${id}\` | ${ms.toFixed(2)} | ${cold.toFixed(1)} |\n`)
  }
}
