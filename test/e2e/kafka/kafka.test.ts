import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, vi } from 'vitest'
import { turnedFinding } from '../../../audit/findings/bodies.ts'
import { type KafkaCredentials, kafkaStream, runKafkaIngest } from '../../../audit/node/kafka.ts'
import { compileMeshOnly } from '../../../cli/wire/config.ts'
import { openFindings } from '../../../cli/wire/findings.ts'
import { endsOf } from '../../../cli/wire/ingest.ts'
import { kafkaAccess } from '../../../cli/wire/kafka-access.ts'
import { openStream } from '../../../cli/wire/stream.ts'
import type { CheckResult } from '../../../core/compliance.ts'
import { decisionId } from '../../../core/record.ts'
import type { KafkaPlace } from '../../../core/snapshot.ts'
import type { TrustDomain } from '../../../core/spiffe.ts'
import { makeProducer, makeWorld, message, openTestStore } from '../../audit/node/auditor-fixture.ts'
import { writ } from '../../cli/writ.ts'
import { type RunningKafka, startKafka } from '../../parts/kafka.ts'
import type { KafkaDoors } from '../../parts/kafka-doors.ts'
import { needs } from '../../parts/needs.ts'
import { kafkajs } from './adapters.ts'
import { idleMs, streamContract } from './contract.ts'
import { asAdmin, contentOf, eventually, namesIn, namesOf, newTopic, newWriter } from './kit.ts'

/** One broker for all of it: it asks at two of its listeners who its clients are, and hangs up on those that idle. */

const test = needs('kafka', 'openssl')

let broker: RunningKafka
let doors: KafkaDoors
let folder: string
beforeAll(async () => {
  broker = await startKafka({ secure: true, properties: { 'connections.max.idle.ms': String(idleMs) } })
  doors = broker.doors!
  folder = await mkdtemp(join(tmpdir(), 'writ-kafka-test-'))
  for (const [name, password] of Object.entries(doors.users)) await writeFile(join(folder, name), `${password}\n`)
})
afterAll(async () => {
  await broker?.remove()
  if (folder) await rm(folder, { recursive: true, force: true })
})
afterEach(() => {
  vi.unstubAllEnvs()
})

/** The mesh file says `kafka: {...}`; `more` is flow YAML. */
const meshText = (brokers: string, topic: string, more: string): string => `
apiVersion: writ.dev/v1
kind: Mesh
metadata: { name: m }
spec:
  trustDomain: bank.example
  audit:
    stream: { kafka: { brokers: ["${brokers}"], topic: ${topic}, ${more} } }
    store: { postgres: { urlEnv: WRIT_DATABASE_URL } }
`
const placeOf = (...of: Parameters<typeof meshText>): KafkaPlace =>
  compileMeshOnly(meshText(...of), 'mesh.yaml').snapshot.stream as KafkaPlace

const scram = 'sasl: { mechanism: SCRAM-SHA-512, usernameEnv: WRIT_KAFKA_USER, passwordEnv: WRIT_KAFKA_PASSWORD }'
const loggedInAs = (user: keyof KafkaDoors['users']): void => {
  vi.stubEnv('WRIT_KAFKA_USER', user)
  vi.stubEnv('WRIT_KAFKA_PASSWORD', doors.users[user])
}

describe('brokers that ask who their clients are', () => {
  let topic: string
  let meshFile: string
  const tls = () => `tls: { caFile: ${doors.caFile} }`
  const prepare = (...more: readonly string[]) =>
    writ(
      ...['kafka', 'prepare', '-f', meshFile, '--username', 'admin', '--password-file', join(folder, 'admin')],
      ...['--replication', '1', '--proxies', 'User:proxy', '--proxies', 'User:proxy-by-certificate'],
      ...['--auditor', 'User:auditor', ...more],
    )

  const send = async (place: KafkaPlace): Promise<string[]> => {
    const stream = await openStream(place, 'proxy', () => undefined)
    const batch = newWriter('orders', 0).next(1)
    await stream.publish(batch).finally(() => stream.close())
    return namesOf(batch)
  }

  beforeAll(async () => {
    topic = 'guarded'
    meshFile = join(folder, 'mesh.yaml')
    await writeFile(meshFile, meshText(doors.sasl, topic, `${tls()}, ${scram}`))
  })

  test('writ kafka prepare --check names all that is missing and makes nothing', async () => {
    const { code, out, err } = await prepare('--check')
    expect({ code, err }).toEqual({ code: 1, err: '' })
    expect(out.split('\n')).toEqual([
      'guarded: the topic guarded does not exist',
      ...['proxy', 'proxy-by-certificate'].flatMap((name) => [
        `guarded: no ACL says that User:${name} may Write on topic guarded`,
        `guarded: no ACL says that User:${name} may Describe on topic guarded`,
      ]),
      'guarded: no ACL says that User:auditor may Read on topic guarded',
      'guarded: no ACL says that User:auditor may Describe on topic guarded',
      'guarded: no ACL says that User:auditor may Read on group guarded.auditor',
      '',
    ])
    expect(await asAdmin(broker.broker, (admin) => admin.listTopics())).not.toContain(topic)
  })

  test('writ kafka prepare makes topic and ACLs, and a second time changes nothing', async () => {
    const first = await prepare()
    expect(first).toMatchObject({ code: 0, err: '' })
    expect(first.out).toMatch(/^topic guarded made\nACL: User:proxy may Write on topic guarded\n/)
    expect(await prepare()).toEqual({ code: 0, err: '', out: 'guarded: ready, 1 partition\n' })
    const checked = await prepare('--check', '--json')
    expect(checked).toMatchObject({ code: 0, err: '' })
    expect(JSON.parse(checked.out)).toMatchObject({ topic, authorizer: true, changes: [], differences: [] })
  })

  test('a proxy is let in by SCRAM with a password of its environment, and an auditor reads what it sent', async () => {
    loggedInAs('proxy')
    const place = placeOf(doors.sasl, topic, `${tls()}, ${scram}`)
    const sent = await send(place)
    loggedInAs('auditor')
    const read = new Set<string>()
    const ingest = await runKafkaIngest({
      brokers: place.brokers,
      topic,
      groupId: `${topic}.auditor`,
      credentials: await kafkaAccess(place),
      offsetOf: async () => undefined,
      ingest: async (_, messages) => {
        for (const { value } of messages) for (const name of namesIn(new TextDecoder().decode(value))) read.add(name)
      },
      onEvent: () => undefined,
    })
    await eventually(
      () => sent.every((name) => read.has(name)),
      () => [...read],
    )
    await ingest.close()
    const [[partition, end] = [], ...others] = await endsOf(place)()
    expect([partition, others]).toEqual([0, []])
    expect(Number(end)).toBeGreaterThan(0) // The auditor may ask how far the topic goes.
  })

  test('by PLAIN with a password in a file', async () => {
    const sasl = `sasl: { mechanism: PLAIN, username: proxy, passwordFile: ${join(folder, 'proxy')} }`
    const sent = await send(placeOf(doors.sasl, topic, `${tls()}, ${sasl}`))
    const found = (await contentOf(broker.broker, topic)).flatMap(({ value }) => namesIn(value))
    expect(found).toEqual(expect.arrayContaining(sent))
  })

  test('by its certificate alone', async () => {
    const { certFile, keyFile } = doors.client
    const files = `tls: { caFile: ${doors.caFile}, certFile: ${certFile}, keyFile: ${keyFile} }`
    const sent = await send(placeOf(doors.mutual, topic, files))
    const found = (await contentOf(broker.broker, topic)).flatMap(({ value }) => namesIn(value))
    expect(found).toEqual(expect.arrayContaining(sent))
  })

  test('a wrong password, a name that may not write, and a server that nobody vouches for are told apart', async () => {
    loggedInAs('auditor')
    await expect(send(placeOf(doors.sasl, topic, `${tls()}, ${scram}`))).rejects.toMatchObject({
      code: 'stream_unavailable',
      message: expect.stringContaining('TOPIC_AUTHORIZATION_FAILED'),
      cure: expect.stringContaining('--proxies'),
    })
    vi.stubEnv('WRIT_KAFKA_PASSWORD', 'guessed')
    await expect(send(placeOf(doors.sasl, topic, `${tls()}, ${scram}`))).rejects.toMatchObject({
      code: 'stream_unavailable',
      message: expect.stringContaining('SASL_AUTHENTICATION_FAILED'),
      cure: expect.stringContaining('password'),
    })
    await expect(send(placeOf(doors.sasl, topic, `tls: true, ${scram}`))).rejects.toMatchObject({
      code: 'stream_unavailable',
      cure: expect.stringContaining('certificate'),
    })
    await expect(send(placeOf(doors.mutual, topic, tls()))).rejects.toMatchObject({
      code: 'stream_unavailable',
      cure: expect.stringContaining('certificate'),
    })
  })

  test('a password that was changed is read again with the next connection', async () => {
    let password = 'guessed'
    const credentials = async (): Promise<KafkaCredentials> => ({
      ...(await kafkaAccess(placeOf(doors.sasl, topic, tls())).then((read) => read())),
      sasl: { mechanism: 'SCRAM-SHA-512', username: 'proxy', password },
    })
    const stream = await kafkaStream({ brokers: [doors.sasl], topic, clientId: 'proxy', credentials })
    const batch = newWriter('orders', 0).next(1)
    await expect(stream.publish(batch)).rejects.toMatchObject({ code: 'stream_unavailable' })
    password = doors.users.proxy
    await stream.publish(batch)
    await stream.close()
  })
})

describe.concurrent('a topic that is there and wrong', () => {
  const prepare = (topic: string, ...more: readonly string[]) =>
    writ('kafka', 'prepare', '--brokers', broker.broker, '--topic', topic, '--replication', '1', ...more)

  test('each difference is named by --check, what can be set is set, and what others set stays', async () => {
    const settings = { 'cleanup.policy': 'compact', 'retention.ms': '3600000', 'max.message.bytes': '1000' }
    const topic = await newTopic(broker.broker, { settings: { ...settings, 'segment.bytes': '2000000' } })
    const checked = await prepare(topic, '--check', '--json')
    expect(checked.code).toBe(1)
    expect(JSON.parse(checked.out)).toMatchObject({
      changes: [],
      differences: [
        'cleanup.policy is compact, and should be delete',
        'retention.ms is 3600000, and should be 604800000',
        'max.message.bytes is 1000, and should be 1048576',
      ],
    })
    expect(await prepare(topic)).toMatchObject({
      code: 0,
      out: expect.stringContaining('cleanup.policy set from compact'),
    })
    expect(await prepare(topic, '--check')).toMatchObject({ code: 0 })
    const { resources } = await asAdmin(broker.broker, (admin) =>
      admin.describeConfigs({ includeSynonyms: false, resources: [{ type: 2, name: topic }] }),
    )
    const kept = resources[0]!.configEntries.find(({ configName }) => configName === 'segment.bytes')
    expect(kept?.configValue).toBe('2000000')
  })

  test('more retention and larger messages than asked for are no difference', async () => {
    const settings = { 'retention.ms': '-1', 'max.message.bytes': '5000000' }
    expect(await prepare(await newTopic(broker.broker, { settings }), '--check')).toMatchObject({ code: 0 })
  })

  test('copies are never changed, and partitions never taken away', async () => {
    const topic = await newTopic(broker.broker, { partitions: 2 })
    const ended = await prepare(topic, '--replication', '2')
    expect(ended.code).toBe(2)
    expect(ended.err).toMatch(/has 2 partitions, and 1 are configured; 1 copies .* 2 are configured/)
    const { topics } = await asAdmin(broker.broker, (admin) => admin.fetchTopicMetadata({ topics: [topic] }))
    expect(topics[0]!.partitions).toHaveLength(2)
  })

  test('partitions are added where more are asked for, --check only says that they are missing', async () => {
    const topic = await newTopic(broker.broker, { partitions: 2 })
    const checked = await prepare(topic, '--partitions', '4', '--check')
    expect(checked).toMatchObject({ code: 1, out: expect.stringContaining('has 2 partitions, and 4 are configured') })
    const raised = await prepare(topic, '--partitions', '4')
    expect(raised).toMatchObject({ code: 0, err: '' })
    expect(raised.out).toContain(
      'partitions raised from 2 to 4: running epochs stay where they began, new ones spread over all\n' +
        'partitions 2 to 3 are logs of their own: name their origins to every witness\n',
    )
    expect(await prepare(topic, '--partitions', '4')).toMatchObject({
      code: 0,
      out: expect.stringMatching(new RegExp(`^(?![^]*raised)[^]*${topic}: ready, 4 partitions\n$`)),
    })
  })

  test('an ACL that denies is named', async () => {
    const topic = await newTopic(broker.broker)
    const deny = { resourceType: 2, resourceName: topic, resourcePatternType: 3, host: '*' }
    await asAdmin(broker.broker, (admin) =>
      admin.createAcls({ acl: [{ ...deny, principal: 'User:*', operation: 4, permissionType: 2 }] }),
    )
    const ended = await prepare(topic, '--proxies', 'User:proxy', '--check')
    expect(ended).toMatchObject({ code: 1 })
    expect(ended.out).toContain(`an ACL denies that User:proxy may Write on topic ${topic}`)
  })
})

describe('a topic of findings', () => {
  const text = (topic: string): string =>
    meshText(broker.broker, `${topic}-records`, '').replace('audit:', `audit:\n    findings: { topic: ${topic} }`)

  test('writ kafka prepare makes it beside that of records, the auditor may write on it, and --check says so', async () => {
    const file = join(folder, 'findings.yaml')
    await writeFile(file, text('told'))
    const prepare = (...more: readonly string[]) =>
      writ('kafka', 'prepare', '-f', file, '--replication', '1', '--auditor', 'User:auditor', ...more)
    const checked = await prepare('--check')
    expect(checked.code).toBe(1)
    expect(checked.out).toContain('told: the topic told does not exist\n')
    expect(checked.out).toContain('told: no ACL says that User:auditor may Write on topic told\n')
    const made = await prepare()
    expect(made).toMatchObject({ code: 0, err: '' })
    expect(made.out).toContain('topic told made\nACL: User:auditor may Write on topic told\n')
    const again = await prepare('--check', '--json')
    expect(again).toMatchObject({ code: 0, err: '' })
    expect(JSON.parse(again.out)).toMatchObject({ topic: 'told-records', findings: { topic: 'told', differences: [] } })
  })

  test('each finding is published on it as OCSF, once the topic is there, and none is lost before', async () => {
    const posted: string[] = []
    const hook = createServer(async (request, response) => {
      posted.push((await request.toArray()).join(''))
      response.end()
    })
    await new Promise<void>((resolve) => hook.listen(0, '127.0.0.1', resolve))
    vi.stubEnv('WRIT_TEST_TURNED', 'a secret of the test')
    const { port } = hook.address() as AddressInfo
    const webhook = `webhook: { url: "http://127.0.0.1:${port}/", secretEnv: WRIT_TEST_TURNED }`
    const { settings } = compileMeshOnly(text('late').replace('topic: late', `topic: late, ${webhook}`), 'mesh.yaml')
    const wait = { timeout: 60_000, interval: 500 }
    const store = await openTestStore()
    const world = await makeWorld(store)
    const events: string[] = []
    let learningMs = Number.MAX_SAFE_INTEGER
    const findings = await openFindings({
      store,
      trustDomain: 'bank.example' as TrustDomain,
      findings: () => ({ ...settings.findings, settings: { ...settings.findings.settings, learningMs } }),
      now: () => 1_800_000_100_000_000_000n,
      onEvent: (event) => void events.push(event.text),
    })
    try {
      const auditor = await world.open(undefined, { onStored: findings.finder.onStored })
      await findings.start(auditor)
      const orders = makeProducer()
      const early = makeProducer('early')
      await auditor.ingest(0, [message(0, early.producer, [early.start(), early.decision()])])
      await findings.finder.look()
      expect((await world.log()).filter(({ kind }) => kind === 'finding')).toEqual([])
      learningMs = 0 // Settings that change while it runs hold from then on.
      await auditor.ingest(0, [message(1, orders.producer, [orders.start(), orders.decision()])])
      await findings.finder.look()
      await eventually(
        () => events.some((one) => one.startsWith('the topic: ') && one.includes('UNKNOWN_TOPIC_OR_PARTITION')),
        () => events,
      )
      await asAdmin(broker.broker, (admin) => admin.createTopics({ topics: [{ topic: 'late', numPartitions: 1 }] }))
      await vi.waitFor(async () => expect(await contentOf(broker.broker, 'late')).not.toEqual([]), wait)
      const [found] = await contentOf(broker.broker, 'late')
      const finding = (await world.log()).find(({ kind }) => kind === 'finding')!
      expect(found).toMatchObject({
        key: 'spiffe://bank.example/web',
        headers: {
          ce_id: decisionId(finding),
          ce_type: 'dev.writ.finding.v1',
          ce_source: 'spiffe://bank.example/writ/auditor',
          'content-type': 'application/json',
        },
      })
      expect(JSON.parse(found!.value)).toMatchObject({ class_uid: 2004, finding_info: { types: ['first_seen'] } })

      // A check that turned goes the same way, as what it is, and to the webhook too.
      const check = { id: 'M02', title: 'title of M02', verdict: 'fail', accepted: false, finding: 'two' } as const
      const sample = [{ shard: 0, index: 4, id: 'bad-4', timestamp: '', breaks: true }]
      const of = { from: '2027-01-14T00:00:00.000Z', to: '2027-01-15T00:00:00.000Z', checkpoints: [] }
      await findings.finder.tell([turnedFinding({ ...check, sample } as unknown as CheckResult, 'pass', of)])
      await vi.waitFor(async () => expect(await contentOf(broker.broker, 'late')).toHaveLength(2), wait)
      const turned = (await contentOf(broker.broker, 'late'))[1]!
      const entry = (await world.log()).findLast(({ kind }) => kind === 'finding')!
      expect(turned).toMatchObject({
        key: 'M02',
        headers: { ce_id: decisionId(entry), ce_type: 'dev.writ.finding.v1' },
      })
      const told = { class_uid: 2003, compliance: { control: 'M02', status: 'Fail' } }
      expect(JSON.parse(turned.value)).toMatchObject({ ...told, finding_info: { related_events: [{ uid: 'bad-4' }] } })
      await vi.waitFor(() => expect(posted).toHaveLength(2), wait)
      expect(JSON.parse(posted[1]!)).toMatchObject(told)
    } finally {
      vi.unstubAllEnvs()
      hook.close()
      await findings.close()
      await findings.finder.close()
      await world.end()
      await store.close()
    }
  })
})

streamContract(test, { adapter: kafkajs, broker: () => broker, kills: 1 })
