/** Apache Kafka as one KRaft broker, from its own jars: starts in seconds, can be killed, keeps its data. */

import { cp, mkdtemp, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Child, run, startChild } from './child.ts'
import { cached, findProgram } from './find.ts'
import { type KafkaDoors, openDoors } from './kafka-doors.ts'
import { type Part, type Running, running, type Say } from './part.ts'
import { freePort, portAnswers } from './ports.ts'

const version = '4.3.1'

export const kafka: Part = {
  install: 'Java 17 or newer and Maven',
  prepare: async (say) => {
    await java()
    return jars(say)
  },
}

export interface KafkaOptions {
  /** Largest heap, in MiB. Default 256. */
  readonly heapMb?: number
  /** Further lines of server.properties; they win over ours. */
  readonly properties?: Readonly<Record<string, string>>
  /** Also listens for clients that prove who they are, and lets each do only what an ACL says. */
  readonly secure?: boolean
  /** Port of the controller of the cluster that this broker joins, as its second. Default: a cluster of its own. */
  readonly joins?: number
}

export interface RunningKafka extends Running {
  /** `127.0.0.1:port`; a superuser needs no name here. */
  readonly broker: string
  readonly port: number
  readonly controllerPort: number
  /** Where `secure` was asked for. */
  readonly doors: KafkaDoors | undefined
}

export async function startKafka(options: KafkaOptions = {}): Promise<RunningKafka> {
  const home = await jars()
  const program = await java()
  const folder = await mkdtemp(join(tmpdir(), 'writ-kafka-'))
  const port = await freePort()
  const controllerPort = options.joins ?? (await freePort())
  const doors = options.secure ? await openDoors(folder, port, controllerPort) : undefined
  const settings = join(folder, 'server.properties')
  const more = { ...(options.joins && joining(port)), ...doors?.properties, ...options.properties }
  await writeFile(settings, serverProperties(folder, port, controllerPort, more))
  const base = [
    `-Xmx${options.heapMb ?? 256}m`,
    '-XX:+UseSerialGC',
    '-XX:TieredStopAtLevel=1', // Up sooner; a test's broker does not live long enough for the second compiler.
    '-Djava.net.preferIPv4Stack=true',
    `-Dlog4j2.configurationFile=${join(home, 'log4j2.properties')}`,
    '-cp',
    join(home, 'jars', '*'),
  ]
  const format = ['format', '-t', clusterId, '-c', settings, ...(doors?.format ?? [])]
  await run(program, [...base, 'kafka.tools.StorageTool', ...format])
  const start = async (): Promise<Child> => {
    const child = startChild(program, [...base, 'kafka.Kafka', settings], { cwd: folder })
    await child.printed(/Kafka Server started/, 240_000)
    await portAnswers(port, 10_000, child.ended)
    return child
  }
  return { ...(await running(folder, start)), broker: `127.0.0.1:${port}`, port, controllerPort, doors }
}

const joining = (port: number): Readonly<Record<string, string>> => ({
  'process.roles': 'broker',
  'node.id': '2',
  listeners: `PLAINTEXT://127.0.0.1:${port}`,
})

/** Any base64url UUID does: clusters of tests never meet. */
const clusterId = 'd3JpdC10ZXN0LWNsdXN0ZQ'

async function java(): Promise<string> {
  const found = await findProgram('java', process.env['JAVA_HOME'] ? [join(process.env['JAVA_HOME'], 'bin')] : [])
  if (!found) throw new Error('no java on the PATH')
  return found
}

const jars = (say: Say = () => undefined): Promise<string> =>
  cached(`kafka-${version}`, async (draft) => {
    const mvn = await findProgram('mvn')
    if (!mvn) throw new Error('no mvn on the PATH to fetch its jars with')
    say(`fetching Apache Kafka ${version} with Maven (45 MB)`)
    await cp(join(import.meta.dirname, 'kafka'), draft, { recursive: true })
    await run(mvn, [
      ...['-q', '-B', '-f', join(draft, 'pom.xml')],
      ...['dependency:copy-dependencies', '-DincludeScope=runtime', `-DoutputDirectory=${join(draft, 'jars')}`],
    ])
  })

function serverProperties(
  folder: string,
  port: number,
  controllerPort: number,
  more: Readonly<Record<string, string>> = {},
): string {
  const properties: Record<string, string> = {
    'process.roles': 'broker,controller',
    'node.id': '1',
    'controller.quorum.voters': `1@127.0.0.1:${controllerPort}`,
    'controller.listener.names': 'CONTROLLER',
    listeners: `PLAINTEXT://127.0.0.1:${port},CONTROLLER://127.0.0.1:${controllerPort}`,
    'advertised.listeners': `PLAINTEXT://127.0.0.1:${port}`,
    'log.dirs': join(folder, 'data'),
    'num.partitions': '1',
    'offsets.topic.replication.factor': '1',
    'offsets.topic.num.partitions': '4',
    'transaction.state.log.replication.factor': '1',
    'transaction.state.log.min.isr': '1',
    'transaction.state.log.num.partitions': '4',
    'share.coordinator.state.topic.replication.factor': '1',
    'share.coordinator.state.topic.min.isr': '1',
    // A killed broker is let in again only when its old session is over: 9 s by default.
    'broker.session.timeout.ms': '3000',
    'broker.heartbeat.interval.ms': '500',
    'group.initial.rebalance.delay.ms': '0',
    'log.cleaner.dedupe.buffer.size': '8388608', // The default of 128 MiB would be half of the heap.
    ...more,
  }
  return Object.entries(properties)
    .map(([name, value]) => `${name}=${value}\n`)
    .join('')
}
