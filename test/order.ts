/** Slow files first, so that no worker is left with one of them when the others are done. */

import { BaseSequencer, type TestSpecification } from 'vitest/node'

/** Those of about half a minute or more on two cores, the slowest first. The rest follow by their last time or size. */
const slow: readonly string[] = [
  'e2e/faults.test.ts',
  'e2e/replicas.test.ts',
  'engine/conformance/conformance.test.ts',
  'e2e/kill.test.ts',
  'e2e/kafka/kafka.test.ts',
  'audit/node/backup.test.ts',
  'audit/node/newlog.test.ts',
  'cli/trials.test.ts',
  'cli/policy-data.test.ts',
  'cli/quarantine.test.ts',
]

const rank = ({ moduleId, project }: TestSpecification): number => {
  const at = slow.findIndex((path) => moduleId.endsWith(`/test/${path}`))
  // Those that share a worker stand together at the end: it is only shared with the next in line.
  return (project.config.isolate ? 0 : slow.length + 1) + (at < 0 ? slow.length : at)
}

export class SlowFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    return (await super.sort(files)).toSorted((one, other) => rank(one) - rank(other))
  }
}
