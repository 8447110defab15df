// Turns vitest's JSON report into the last line of a CI run, and into its exit code.
// Usage: node count.mjs REPORT STATUS, where STATUS is the exit code of the test command.

import { readFileSync } from 'node:fs'

const [file, status] = process.argv.slice(2)

/** Passed, failed and skipped tests; a file that could not be run at all counts as one failed test. */
function count(report) {
  const tests = report.testResults.flatMap((result) => result.assertionResults)
  const unrun = report.testResults.filter(
    (result) => result.status === 'failed' && !result.assertionResults.some((test) => test.status === 'failed'),
  )
  const of = (...states) => tests.filter((test) => states.includes(test.status)).length
  return { passed: of('passed'), failed: of('failed') + unrun.length, skipped: of('skipped', 'pending', 'todo', 'disabled') }
}

let counted = { passed: 0, failed: 0, skipped: 0 }
try {
  counted = count(JSON.parse(readFileSync(file, 'utf8')))
} catch (error) {
  console.log(`no report of the tests: ${error.message}`)
}
const { passed, skipped } = counted
let { failed } = counted
if (failed === 0 && (status !== '0' || passed === 0)) {
  console.log(passed === 0 ? 'no test ran' : `the test command ended with ${status} although no test failed: see above`)
  failed = 1
}
console.log(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`)
process.exit(failed > 0 ? 1 : 0)
