/** Puts a finding on a topic: an OCSF finding as a CloudEvent, named by the id of its entry. */

import type { KafkaSender } from '../../node/kafka-sender.ts'
import { type OcsfProduct, ocsfFinding } from '../ocsf.ts'
import type { SendFinding } from './deliver.ts'

/** CloudEvents type of a message: one finding. */
export const findingType = 'dev.writ.finding.v1'

/** `source` is the auditor's SPIFFE id. What is about the same subject stays in order. */
export function publishFinding(sender: KafkaSender, source: string, product: OcsfProduct): SendFinding {
  return (finding) =>
    sender.send({
      key: finding.body.subject,
      value: JSON.stringify(ocsfFinding(finding, product)),
      headers: {
        ce_specversion: '1.0',
        ce_id: finding.id,
        ce_type: findingType,
        ce_source: source,
        ce_time: new Date(finding.foundMs).toISOString(),
        'content-type': 'application/json',
      },
    })
}
