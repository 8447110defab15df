/** The topic that records travel on and who may use it: made, set right, or only compared with what it should be. */

import kafkajs, {
  type AclEntry,
  type AclOperationTypes,
  type AclPermissionTypes,
  type AclResourceTypes,
  type Admin,
} from 'kafkajs'
import { type KafkaOptions, newKafka, protocolErrorOf, unavailable, within } from './kafka-client.ts'

// Node finds the enums of kafkajs only in its default export.
const Operation = kafkajs.AclOperationTypes

export interface KafkaPrepareOptions extends Omit<KafkaOptions, 'clientId'> {
  readonly partitions: number
  /** Copies of each partition; with three or more, two must have a record before it is acknowledged. */
  readonly replication: number
  /** How long Kafka keeps a record at least, in milliseconds. Default 7 days. */
  readonly retentionMs?: number
  /** Kafka's names of those who write (`User:name`): every proxy, and control. */
  readonly proxies?: readonly string[]
  /** Kafka's names of those who read. */
  readonly auditors?: readonly string[]
  /** Looks and changes nothing. */
  readonly checkOnly?: boolean
}

export interface Prepared {
  readonly topic: string
  readonly created: boolean
  /** False where the brokers have no authorizer: everybody may do everything, and no ACL can be kept. */
  readonly authorizer: boolean
  /** What was made or set. */
  readonly changes: readonly string[]
  /** What is not as it should be, and was not changed. */
  readonly differences: readonly string[]
  /** ACLs that the named users need, in words. */
  readonly acls: readonly string[]
}

/** Name of the auditors' consumer group: who reads which partition. */
export const auditorGroup = (topic: string): string => `${topic}.auditor`

interface Setting {
  readonly name: string
  readonly value: string
  readonly holds: (found: string) => boolean
}

const day = 24 * 3_600_000
/** Twice what one message of ours holds at most; Kafka's own default is 1048588. */
const maxMessageBytes = 1024 ** 2

function settingsOf({ replication, retentionMs = 7 * day }: KafkaPrepareOptions): readonly Setting[] {
  const atLeast = (name: string, value: number): Setting => ({
    name,
    value: String(value),
    holds: (found) => Number(found) >= value,
  })
  const exactly = (name: string, value: string): Setting => ({ name, value, holds: (found) => found === value })
  const retention = atLeast('retention.ms', retentionMs)
  return [
    exactly('cleanup.policy', 'delete'),
    { ...retention, holds: (found) => found === '-1' || retention.holds(found) },
    atLeast('min.insync.replicas', replication >= 3 ? 2 : 1),
    atLeast('max.message.bytes', maxMessageBytes),
    exactly('unclean.leader.election.enable', 'false'), // A leader that was behind would drop what was acknowledged.
  ]
}

/** Safe to run again. Partitions are only ever added: an epoch stays where it began, and new ones spread over all. */
export async function prepareKafka(options: KafkaPrepareOptions): Promise<Prepared> {
  const { topic } = options
  const admin = (await newKafka({ ...options, clientId: 'writ-prepare' })).admin()
  try {
    await within(30_000, admin.connect())
    const created = await within(30_000, makeTopic(admin, options))
    const exists = created || (await admin.listTopics()).includes(topic)
    const raised = exists ? await raise(admin, options) : []
    const shape = exists ? await shapeDifferences(admin, options) : [`the topic ${topic} does not exist`]
    const settings = exists ? await settle(admin, options) : { changes: [], differences: [] }
    const access = await allow(admin, options)
    return {
      topic,
      created,
      authorizer: access.authorizer,
      changes: [...(created ? [`topic ${topic} made`] : []), ...raised, ...settings.changes, ...access.changes],
      differences: [...shape, ...settings.differences, ...access.differences],
      acls: aclsOf(options).map(aclText),
    }
  } catch (thrown) {
    throw unavailable(options, thrown)
  } finally {
    await admin.disconnect().catch(() => {})
  }
}

async function makeTopic(admin: Admin, options: KafkaPrepareOptions): Promise<boolean> {
  if (options.checkOnly) return false
  const { topic, partitions, replication } = options
  const made = await admin.createTopics({
    waitForLeaders: false, // kafkajs would fail where a broker has not heard of the topic yet.
    timeout: 15_000,
    topics: [
      {
        topic,
        numPartitions: partitions,
        replicationFactor: replication,
        configEntries: settingsOf(options).map(({ name, value }) => ({ name, value })),
      },
    ],
  })
  if (made) await led(admin, options)
  return made
}

/** Resolves once each partition has a leader, as far as the broker that is asked knows. */
async function led(admin: Admin, { topic, partitions }: KafkaPrepareOptions): Promise<void> {
  for (let tries = 0; tries < 100; tries++) {
    try {
      const { topics } = await admin.fetchTopicMetadata({ topics: [topic] })
      const { partitions: found } = topics[0]!
      if (found.length >= partitions && found.every(({ leader }) => leader >= 0)) return
    } catch (thrown) {
      const early = ['UNKNOWN_TOPIC_OR_PARTITION', 'LEADER_NOT_AVAILABLE']
      if (!early.includes(protocolErrorOf(thrown) ?? '')) throw thrown
    }
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  throw new Error('the partitions were made, and not each has a leader yet')
}

async function raise(admin: Admin, options: KafkaPrepareOptions): Promise<readonly string[]> {
  const { topic, partitions, checkOnly } = options
  const before = await partitionsOf(admin, topic)
  if (checkOnly || before >= partitions) return []
  await within(30_000, admin.createPartitions({ topicPartitions: [{ topic, count: partitions }], timeout: 15_000 }))
  await led(admin, options)
  const added = partitions - before === 1 ? `partition ${before} is` : `partitions ${before} to ${partitions - 1} are`
  return [
    `partitions raised from ${before} to ${partitions}: running epochs stay where they began, new ones spread over all`,
    `${added} logs of their own: name their origins to every witness`,
  ]
}

const partitionsOf = async (admin: Admin, topic: string): Promise<number> =>
  (await admin.fetchTopicMetadata({ topics: [topic] })).topics[0]!.partitions.length

async function shapeDifferences(admin: Admin, options: KafkaPrepareOptions): Promise<string[]> {
  const { topics } = await admin.fetchTopicMetadata({ topics: [options.topic] })
  const found = topics[0]!.partitions
  const copies = Math.min(...found.map(({ replicas }) => replicas.length))
  const differences: string[] = []
  if (found.length !== options.partitions) {
    differences.push(
      `the topic ${options.topic} has ${found.length} partitions, and ${options.partitions} are configured`,
    )
  }
  if (copies < options.replication) {
    differences.push(`${copies} copies of a partition, and ${options.replication} are configured`)
  }
  return differences
}

interface Settled {
  readonly changes: readonly string[]
  readonly differences: readonly string[]
}

async function settle(admin: Admin, options: KafkaPrepareOptions): Promise<Settled> {
  const { topic, checkOnly } = options
  const { resources } = await admin.describeConfigs({
    includeSynonyms: false,
    resources: [{ type: kafkajs.ConfigResourceTypes.TOPIC, name: topic }],
  })
  const found = resources[0]!.configEntries
  const valueNow = (name: string): string => found.find(({ configName }) => configName === name)?.configValue ?? 'unset'
  const wrong = settingsOf(options).filter(({ name, holds }) => !holds(valueNow(name)))
  if (wrong.length === 0) return { changes: [], differences: [] }
  if (checkOnly) {
    return {
      changes: [],
      differences: wrong.map(({ name, value }) => `${name} is ${valueNow(name)}, and should be ${value}`),
    }
  }
  // This request replaces everything that was set on the topic, so what others set goes along.
  const own = found
    .filter(({ configSource, configName }) => {
      return configSource === kafkajs.ConfigSource.TOPIC_CONFIG && !wrong.some(({ name }) => name === configName)
    })
    .map(({ configName, configValue }) => ({ name: configName, value: configValue }))
  await admin.alterConfigs({
    validateOnly: false,
    resources: [
      {
        type: kafkajs.ConfigResourceTypes.TOPIC,
        name: topic,
        configEntries: [...own, ...wrong.map(({ name, value }) => ({ name, value }))],
      },
    ],
  })
  return { changes: wrong.map(({ name, value }) => `${name} set from ${valueNow(name)} to ${value}`), differences: [] }
}

function aclsOf({ topic, proxies = [], auditors = [] }: KafkaPrepareOptions): readonly AclEntry[] {
  const on = (
    resourceType: AclResourceTypes,
    resourceName: string,
    principal: string,
    operation: AclOperationTypes,
  ) => ({
    resourceType,
    resourceName,
    resourcePatternType: kafkajs.ResourcePatternTypes.LITERAL,
    principal,
    host: '*',
    operation,
    permissionType: kafkajs.AclPermissionTypes.ALLOW,
  })
  const { TOPIC, GROUP } = kafkajs.AclResourceTypes
  return [
    ...proxies.flatMap((name) => [on(TOPIC, topic, name, Operation.WRITE), on(TOPIC, topic, name, Operation.DESCRIBE)]),
    ...auditors.flatMap((name) => [
      on(TOPIC, topic, name, Operation.READ),
      on(TOPIC, topic, name, Operation.DESCRIBE),
      on(GROUP, auditorGroup(topic), name, Operation.READ),
    ]),
  ]
}

const wordOf: { readonly [operation: number]: string } = {
  [Operation.WRITE]: 'Write',
  [Operation.READ]: 'Read',
  [Operation.DESCRIBE]: 'Describe',
}

function aclText({ principal, operation, resourceType, resourceName }: AclEntry): string {
  const resource = resourceType === kafkajs.AclResourceTypes.GROUP ? 'group' : 'topic'
  return `${principal} may ${wordOf[operation]} on ${resource} ${resourceName}`
}

async function allow(admin: Admin, options: KafkaPrepareOptions): Promise<Settled & { readonly authorizer: boolean }> {
  const { topic, checkOnly } = options
  const wanted = aclsOf(options)
  let found: readonly AclEntry[]
  try {
    const topicAcls = await matching(admin, kafkajs.AclResourceTypes.TOPIC, topic)
    found = [...topicAcls, ...(await matching(admin, kafkajs.AclResourceTypes.GROUP, auditorGroup(topic)))]
  } catch (thrown) {
    if (protocolErrorOf(thrown) === 'SECURITY_DISABLED') return { authorizer: false, changes: [], differences: [] }
    throw thrown
  }
  const denied = wanted.filter((acl) => found.some((other) => says(other, acl, kafkajs.AclPermissionTypes.DENY)))
  const missing = wanted.filter((acl) => !found.some((other) => says(other, acl, kafkajs.AclPermissionTypes.ALLOW)))
  const differences = denied.map((acl) => `an ACL denies that ${aclText(acl)}`)
  if (missing.length === 0) return { authorizer: true, changes: [], differences }
  if (checkOnly) {
    const absent = missing.map((acl) => `no ACL says that ${aclText(acl)}`)
    return { authorizer: true, changes: [], differences: [...absent, ...differences] }
  }
  await admin.createAcls({ acl: [...missing] })
  return { authorizer: true, changes: missing.map((acl) => `ACL: ${aclText(acl)}`), differences }
}

/** Every ACL that holds for this resource, by its name, by a prefix of it, or for all. */
async function matching(admin: Admin, resourceType: AclResourceTypes, resourceName: string): Promise<AclEntry[]> {
  const { resources } = await admin.describeAcls({
    resourceType,
    resourceName,
    resourcePatternType: kafkajs.ResourcePatternTypes.MATCH,
    operation: Operation.ANY,
    permissionType: kafkajs.AclPermissionTypes.ANY,
  })
  return resources.flatMap(({ acls, ...resource }) =>
    acls.map((acl) => ({ ...acl, ...resource, resourceType, resourceName })),
  )
}

/** Only ACLs for every host count as allowed, and any that denies counts. */
function says(found: AclEntry, wanted: AclEntry, permission: AclPermissionTypes): boolean {
  if (found.permissionType !== permission || found.resourceType !== wanted.resourceType) return false
  if (permission === kafkajs.AclPermissionTypes.ALLOW && found.host !== '*') return false
  const forIt = found.principal === wanted.principal || found.principal === 'User:*'
  if (!forIt) return false
  if (found.operation === wanted.operation || found.operation === Operation.ALL) return true
  // Whoever may read or write may describe; who may not, may still be allowed to describe.
  const implies = found.operation === Operation.READ || found.operation === Operation.WRITE
  return permission === kafkajs.AclPermissionTypes.ALLOW && wanted.operation === Operation.DESCRIBE && implies
}
