/** The auditor of `npm run bench:audit`, in a process of its own. Says twice a second where it stands and what it costs. */

import { join } from 'node:path'
import { openAuditor } from '../../audit/node/auditor.ts'
import { auditorGroup, runKafkaIngest } from '../../audit/node/kafka.ts'
import { openFileSigner } from '../../audit/node/signer.ts'
import { openStore } from '../../audit/node/store.ts'
import { verifyHead } from '../../ca/node/heads.ts'
import { openClock, random, sha256 } from '../../cli/wire/machine.ts'
import { authorityIn, trustDomain } from '../certificates.ts'

const [, , folder, broker, topic, url] = process.argv as string[]
const logDir = join(folder!, 'log')
const roots = (await authorityIn(join(folder!, 'ca'))).bundle().roots
const store = await openStore({ kind: 'postgres', url: url! }, logDir)
const signer = await openFileSigner({ dir: join(folder!, 'signer'), name: `${trustDomain}/audit`, sha256 })
let ingested = 0
let batches = 0
const auditor = await openAuditor({
  ...{ store, logDir, signer, trustDomain, cluster: 'bench', software: 'writ bench', verifyHead },
  ...{ rootsOf: () => roots, now: openClock(), random, sha256 },
  onEvent: (event) => {
    if (event.kind === 'ingested') {
      ingested += event.tally.records
      batches++
    }
    if (event.kind === 'anomaly') console.log(`anomaly ${event.anomaly.anomaly}: ${event.anomaly.detail}`)
    if (event.kind === 'behind') console.log(`behind: ${event.error.message}`)
  },
})
auditor.start()
const ingest = await runKafkaIngest({
  ...{ brokers: [broker!], topic: topic!, groupId: auditorGroup(topic!), ingest: auditor.ingest },
  offsetOf: (partition) => auditor.nextOffset(partition),
  onEvent: ({ level, detail, name }) => {
    if (level !== 'info') console.log(`${name}: ${detail}`)
  },
})
process.on('disconnect', () => process.exit(1))
const say = (): void => {
  const { user, system } = process.cpuUsage()
  const { rss, heapUsed } = process.memoryUsage()
  process.send?.({ ingested, batches, cpuMs: (user + system) / 1000, rss, heapUsed })
}
setInterval(say, 500)
process.on('message', async () => {
  await ingest.close()
  await auditor.close()
  say()
  await store.close()
  process.exit(0)
})
