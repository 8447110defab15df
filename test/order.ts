/** Slow files first, so that no worker is left with one of them when the others are done. */

import { BaseSequencer, type TestSpecification } from 'vitest/node'

/** Those of about half a minute or more on two cores, the slowest first. The rest follow by their last time or size. */
const slow: readonly string[] = [
  'e2e/replicas.test.ts',
  'engine/conformance/conformance.test.ts',
  'e2e/kill.test.ts',
  'audit/node/backup.test.ts',
  'e2e/kafka/kafka.test.ts',
  'audit/node/kafka.test.ts',
  'cli/opa-logs.test.ts',
  'cli/trials.test.ts',
  'cli/commands.test.ts',
  'cli/bank.test.ts',
  'cli/quarantine.test.ts',
  'cli/outside.test.ts',
  'cli/findings.test.ts',
]

const rank = ({ moduleId, project }: TestSpecification): number => {
  if (!project.config.isolate) return slow.length + 1 // Together at the end: a worker is only shared with the next in line.
  const at = slow.findIndex((path) => moduleId.endsWith(`/test/${path}`))
  return at < 0 ? slow.length : at
}

export class SlowFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    return (await super.sort(files)).toSorted((one, other) => rank(one) - rank(other))
  }
}
