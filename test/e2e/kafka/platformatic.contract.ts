import { afterAll, beforeAll } from 'vitest'
import { type RunningKafka, startKafka } from '../../parts/kafka.ts'
import { needs } from '../../parts/needs.ts'
import { idleMs, streamContract } from './contract.ts'
import { platformatic } from './platformatic.ts'

const test = needs('kafka')

let broker: RunningKafka
beforeAll(async () => {
  broker = await startKafka({ properties: { 'connections.max.idle.ms': String(idleMs) } })
})
afterAll(() => broker?.remove())

streamContract(test, { adapter: platformatic, broker: () => broker, kills: 3 })
