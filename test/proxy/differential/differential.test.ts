import { writeFileSync } from 'node:fs'
import { expect } from 'vitest'
import { needs } from '../../parts/needs.ts'
import { runDifferential } from './fuzz.ts'
import { startReaders } from './readers.ts'

const test = needs('nginx', 'envoy')
const count = Number(process.env['DIFFERENTIAL'] ?? 300)
const seed = Number(process.env['SEED'] ?? 1)
const out = process.env['OUT']

/** `npm run fuzz:differential` sends many more, and with OUT=file writes each class of difference: docs/PARSER.md. */
test('no message is read differently by us than by llhttp, nginx and Envoy', { timeout: 3 * 3_600_000 }, async () => {
  const readers = await startReaders()
  const { sent, alike, classes } = await runDifferential(readers, count, seed)
  if (out) writeFileSync(out, `${JSON.stringify({ sent, alike, classes }, null, 1)}\n`)
  expect(classes.filter(({ kind }) => kind === 'danger')).toEqual([])
  expect(alike).toBeGreaterThan(sent / 10)
})
