/** What is kept of a decision once its policy's own rules of the log were asked. */

import type { PolicyUse } from '../../core/policy.ts'
import type { LogRules, RecordSink } from '../../core/ports.ts'
import type { DecisionBody } from '../../core/record.ts'
import { moveDisclosures } from './record.ts'

/** A decision is left out only where somebody counts it; whoever cannot keeps what the masks leave. */
export function underRules(
  body: DecisionBody,
  use: PolicyUse | undefined,
  atNs: bigint,
  { logRules, sink }: { readonly logRules?: LogRules | undefined; readonly sink: Pick<RecordSink, 'dropped'> },
): DecisionBody | 'dropped' {
  if (!logRules || !use) return body
  const { body: left, drop } = logRules(body, use, atNs)
  if (drop && sink.dropped?.(body.verdict) === true) return 'dropped'
  moveDisclosures(body, left)
  return left
}
