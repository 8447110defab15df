/** `writ kafka prepare`: the topic that records travel on, created or checked. */

import { Command } from 'commander'
import { prepareKafka } from '../audit/node/kafka.ts'
import { number } from './options.ts'

export function kafkaCommand(): Command {
  const kafka = new Command('kafka').description('prepare the Kafka topic that records travel on')
  kafka
    .command('prepare')
    .description('create the topic, or check the one that is there; safe to run again')
    .requiredOption('--brokers <list>', 'host:port, separated by commas')
    .option('--topic <name>', 'topic of records', 'writ.records.v1')
    .option('--partitions <n>', 'each is one independent log', number, 1)
    .option('--replication <n>', 'copies of each partition; 3 in production', number, 3)
    .action(async (options: { brokers: string; topic: string; partitions: number; replication: number }) => {
      const { topic, partitions, replication } = options
      await prepareKafka({ brokers: options.brokers.split(','), topic, partitions, replication })
      process.stdout.write(`${topic}: ready, ${partitions} partition${partitions === 1 ? '' : 's'}\n`)
    })
  return kafka
}
