/** `writ kafka prepare`: the topic that records travel on and who may use it, made, set right, or checked. */

import { isAbsolute, resolve } from 'node:path'
import { Command, InvalidArgumentError } from 'commander'
import { auditorGroup, type Prepared, prepareKafka } from '../audit/node/kafka.ts'
import { durationMs } from '../control/mesh/words.ts'
import { WritError } from '../core/fault.ts'
import type { KafkaPlace } from '../core/snapshot.ts'
import { number } from './options.ts'
import { compileMeshOnly, readMesh } from './wire/config.ts'
import { kafkaAccess } from './wire/kafka-access.ts'

interface Options {
  readonly file?: string
  readonly brokers?: string
  readonly topic?: string
  readonly partitions: number
  readonly replication: number
  readonly retention: number
  readonly proxies: readonly string[]
  readonly auditors: readonly string[]
  readonly username?: string
  readonly passwordFile?: string
  readonly check?: boolean
  readonly json?: boolean
}

export function kafkaCommand(): Command {
  const kafka = new Command('kafka').description(
    'prepare the Kafka topics that records travel on and findings are told on',
  )
  kafka
    .command('prepare')
    .description('make the topic and its ACLs, or set right what is there; safe to run again')
    .option('-f, --file <mesh.yaml>', 'the mesh file; names brokers, topic, tls and sasl')
    .option('--brokers <list>', 'host:port, separated by commas; without a mesh file')
    .option('--topic <name>', 'topic of records; without a mesh file (default: "writ.records.v1")')
    .option('--partitions <n>', 'each is one independent log', number, 1)
    .option('--replication <n>', 'copies of each partition; 3 in production', number, 3)
    .option('--retention <duration>', 'how long Kafka keeps a record at least', duration, 7 * 24 * 3_600_000)
    .option('--proxies <principal>', 'may write: User:NAME of proxies and control; more than once', principals, [])
    .option('--auditor <principal>', 'may read: User:NAME of the auditor; more than once', principals, [])
    .option('--username <name>', 'log in by this name, with the mechanism of the mesh file')
    .option('--password-file <file>', 'and the password in this file')
    .option('--check', 'change nothing; exit 1 and name each difference')
    .option('--json', 'print the result as JSON')
    .action(async ({ auditor, ...options }: Omit<Options, 'auditors'> & { readonly auditor: readonly string[] }) =>
      prepare({ ...options, auditors: auditor }),
    )
  return kafka
}

async function prepare(options: Options): Promise<void> {
  const { partitions, replication, retention, proxies, auditors, check = false } = options
  const { stream, findings } = await placesOf(options)
  const place = administrator(stream, options)
  const common = {
    brokers: place.brokers,
    credentials: await kafkaAccess(place),
    ...{ replication, retentionMs: retention, checkOnly: check },
  }
  const prepared = await prepareKafka({ ...common, topic: place.topic, partitions, proxies, auditors })
  // The auditor writes findings, in one partition, so that they stay in the order they were found in.
  const ofFindings =
    findings && (await prepareKafka({ ...common, topic: findings.topic, partitions: 1, proxies: auditors }))
  const all = { ...prepared, ...(ofFindings && { findings: ofFindings }) }
  process.stdout.write(
    options.json
      ? `${JSON.stringify(all, null, 2)}\n`
      : `${textOf(prepared, options)}${ofFindings ? findingsText(ofFindings, options) : ''}`,
  )
  const differences = [...prepared.differences, ...(ofFindings?.differences ?? [])]
  if (differences.length === 0) return
  if (check) process.exitCode = 1
  else {
    throw new WritError('config_invalid', differences.join('; '), {
      cure: 'Give the options that fit the topic, or use another topic: an epoch stays on the partition it began on.',
    })
  }
}

interface Places {
  readonly stream: KafkaPlace
  readonly findings?: KafkaPlace
}

async function placesOf({ file, brokers, topic }: Options): Promise<Places> {
  if (file === undefined) {
    if (brokers !== undefined) {
      return { stream: { kind: 'kafka', brokers: brokers.split(','), topic: topic ?? 'writ.records.v1' } }
    }
    throw new WritError('usage', 'neither a mesh file nor brokers are given', { cure: 'add -f mesh.yaml or --brokers' })
  }
  if (brokers !== undefined || topic !== undefined) {
    throw new WritError('usage', '--brokers and --topic stand in the mesh file already', { cure: 'leave them out' })
  }
  const { snapshot, settings } = compileMeshOnly(await readMesh(file), file)
  const { stream } = snapshot
  const { topic: findings } = settings.findings
  if (stream.kind === 'kafka') return { stream, ...(findings && { findings }) }
  throw new WritError('config_invalid', `${file} has an embedded stream, which needs no topic`, {
    cure: 'set spec.audit.stream.kafka in the Mesh document',
  })
}

/** Who prepares a topic may do more than those who use it, and so has another name. */
function administrator(place: KafkaPlace, { username, passwordFile }: Options): KafkaPlace {
  if (username === undefined && passwordFile === undefined) return place
  const { sasl } = place
  if (!sasl || username === undefined || passwordFile === undefined) {
    throw new WritError('usage', '--username and --password-file go together, with a mesh file that has sasl', {
      cure: 'give both, and -f',
    })
  }
  const path = isAbsolute(passwordFile) ? passwordFile : resolve(passwordFile)
  return { ...place, sasl: { mechanism: sasl.mechanism, username, passwordFile: path } }
}

function textOf({ topic, changes, differences, authorizer, acls }: Prepared, options: Options): string {
  const lines = changes.map((change) => `${change}\n`)
  if (!authorizer && acls.length > 0) {
    lines.push('the brokers have no authorizer: everybody may read and write. With one, these would be needed:\n')
    lines.push(...acls.map((acl) => `  ${acl}\n`))
  }
  if (authorizer && acls.length === 0) {
    lines.push(
      'the brokers ask who may do what: name the users by --proxies and --auditor\n',
      `  proxies need Write and Describe on topic ${topic}\n`,
      `  the auditor needs Read and Describe on topic ${topic}, and Read on group ${auditorGroup(topic)}\n`,
    )
  }
  if (options.check) lines.push(...differences.map((difference) => `${topic}: ${difference}\n`))
  if (differences.length === 0) {
    lines.push(`${topic}: ready, ${options.partitions} partition${options.partitions === 1 ? '' : 's'}\n`)
  }
  return lines.join('')
}

function findingsText({ topic, changes, differences, authorizer, acls }: Prepared, options: Options): string {
  return [
    ...changes.map((change) => `${change}\n`),
    ...(authorizer && acls.length === 0 ? [`  the auditor needs Write and Describe on topic ${topic}\n`] : []),
    ...(options.check ? differences.map((difference) => `${topic}: ${difference}\n`) : []),
    ...(differences.length === 0 ? [`${topic}: ready, for findings\n`] : []),
  ].join('')
}

function duration(text: string): number {
  const ms = /^(?:[0-9]+(?:d|h|m|s|ms))+$/.test(text) ? msOf(text) : Number.NaN
  if (!(ms >= 60_000)) throw new InvalidArgumentError('takes a time of at least 1m, as in 36h or 7d')
  return ms
}

/** As in the mesh file, and days, which retention is thought of in. */
function msOf(text: string): number {
  const days = /^([0-9]+)d/.exec(text)
  const rest = days ? text.slice(days[0].length) : text
  return Number(days?.[1] ?? 0) * 24 * 3_600_000 + (rest === '' ? 0 : durationMs(rest))
}

function principals(text: string, before: readonly string[]): readonly string[] {
  if (!/^User:\S.*$/.test(text)) throw new InvalidArgumentError('takes a principal as Kafka writes it: User:NAME')
  return [...before, text]
}
