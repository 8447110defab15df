/** Judges every conformance case and writes docs/CONFORMANCE.md; exits with 1 where fewer pass than stand there. */

import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { opaVersion } from '../../../engine/node/compiler.ts'
import { conformanceHost } from './host.ts'
import { judgeAll, readCases } from './judge.ts'
import { prepareCases, programIn } from './prepare.ts'
import { countsOf, pageOf, readPage } from './table.ts'

const page = join(import.meta.dirname, '../../../docs/CONFORMANCE.md')

const folder = await prepareCases(1, (line) => void process.stderr.write(`${line}\n`))
const judged = judgeAll(readCases(folder), folder, conformanceHost(programIn(folder)))
const counts = countsOf(judged)
const text = pageOf(judged, opaVersion)
process.stdout.write(text.slice(text.indexOf('## Not counted')))

const before = readPage(readFileSync(page, { encoding: 'utf8', flag: 'a+' })).get('**all**')?.passed ?? 0
if (counts.passed < before) {
  process.stderr.write(`${counts.passed} cases pass, ${before} did: ${page} is left as it is\n`)
  process.exitCode = 1
} else writeFileSync(page, text)
