/** The clients that the contract is held against. */

import { kafkaStream, runKafkaIngest } from '../../../audit/node/kafka.ts'
import type { StreamAdapter } from './contract.ts'

export const kafkajs: StreamAdapter = { name: 'kafkajs', open: kafkaStream, read: runKafkaIngest }
