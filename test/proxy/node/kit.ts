/** Certificates, peers, callers and applications for tests over real sockets. */

import { execFileSync } from 'node:child_process'
import { randomBytes, X509Certificate } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, connect as netConnect, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type ConnectionOptions, connect as tlsConnect } from 'node:tls'
import { onTestFinished } from 'vitest'
import type { Decision } from '../../../core/decision.ts'
import type { RequestFacts } from '../../../core/facts.ts'
import { WritError } from '../../../core/fault.ts'
import type { Identified, IdentityState, Svid } from '../../../core/identity.ts'
import type { Outcome } from '../../../core/outcome.ts'
import type { PolicyUse } from '../../../core/policy.ts'
import type { Identify, IdentitySource, RecordSink } from '../../../core/ports.ts'
import type { DecisionBody, RecordId } from '../../../core/record.ts'
import { auditDefaults, type Listener, type MeshSnapshot, type Service, type Workload } from '../../../core/snapshot.ts'
import { type SpiffeId, type TrustDomain, trustDomainOf } from '../../../core/spiffe.ts'
import type { Limits } from '../../../proxy/limits.ts'
import { type OpenProxy, openProxy, type ProxyOptions } from '../../../proxy/node/proxy.ts'
import { pem } from '../../../proxy/node/tls.ts'

export const bank = 'bank.example' as TrustDomain
export const web = 'spiffe://bank.example/web' as SpiffeId
export const orders = 'spiffe://bank.example/orders' as SpiffeId

const derOf = (text: string): Uint8Array => new X509Certificate(text).raw

/** A root that signs whatever it is asked to, by the openssl command. */
export interface TestCa {
  readonly root: Uint8Array
  issue(id: SpiffeId): Svid
  /** The same through an intermediate, whose certificate stands in the chain. */
  issueBelow(id: SpiffeId): Svid
  /** PEM of a certificate for these host names, which is no SVID. */
  issueFor(...hosts: readonly string[]): { readonly certificates: string; readonly key: string }
}

export function makeCa(): TestCa {
  const dir = mkdtempSync(join(tmpdir(), 'writ-ca-'))
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes']
  const run = (...args: string[]): void => void execFileSync('openssl', args, { cwd: dir, stdio: 'pipe' })
  run('req', '-x509', ...key, '-keyout', 'ca.key', '-out', 'ca.pem', '-days', '2', '-subj', '/CN=root')
  const root = derOf(readFileSync(join(dir, 'ca.pem'), 'utf8'))
  let count = 0
  process.once('exit', () => rmSync(dir, { recursive: true, force: true }))
  const signed = (name: string, by: string, extensions: string): Uint8Array => {
    writeFileSync(join(dir, `${name}.ext`), extensions)
    run('req', '-new', ...key, '-keyout', `${name}.key`, '-out', `${name}.csr`, '-subj', `/CN=${name}`)
    const signer = ['-CA', `${by}.pem`, '-CAkey', `${by}.key`, '-CAcreateserial']
    const rest = ['-days', '1', '-extfile', `${name}.ext`, '-out', `${name}.pem`]
    run('x509', '-req', '-in', `${name}.csr`, ...signer, ...rest)
    return derOf(readFileSync(join(dir, `${name}.pem`), 'utf8'))
  }
  const issue = (id: SpiffeId, by: string, above: readonly Uint8Array[]): Svid => {
    const name = `leaf${++count}`
    const der = signed(name, by, `subjectAltName=URI:${id}\nkeyUsage=critical,digitalSignature\n`)
    const certificate = new X509Certificate(der)
    return {
      id,
      chain: [der, ...above],
      keyPem: readFileSync(join(dir, `${name}.key`), 'utf8'),
      serial: certificate.serialNumber.toLowerCase(),
      notBeforeMs: certificate.validFromDate.getTime(),
      notAfterMs: certificate.validToDate.getTime(),
    }
  }
  return {
    root,
    issue: (id) => issue(id, 'ca', []),
    issueFor(...hosts) {
      const name = `host${++count}`
      const names = hosts.map((host) => `DNS:${host}`).join(',')
      const der = signed(name, 'ca', `subjectAltName=${names}\nkeyUsage=critical,digitalSignature\n`)
      return { certificates: pem(der), key: readFileSync(join(dir, `${name}.key`), 'utf8') }
    },
    issueBelow(id) {
      const name = `issuer${++count}`
      return issue(id, name, [signed(name, 'ca', 'basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign\n')])
    },
  }
}

export interface TestSource extends IdentitySource {
  change(change: Partial<IdentityState>): void
}

export function makeSource(svid: Svid, ...cas: TestCa[]): TestSource {
  const roots = cas.map(({ root }) => root)
  let state: IdentityState = {
    generation: 1,
    svid,
    bundles: new Map([[bank, { trustDomain: bank, sequence: 1, roots }]]),
    denied: new Set(),
  }
  const subscribers = new Set<(state: IdentityState) => void>()
  return {
    current: () => state,
    subscribe(changed) {
      subscribers.add(changed)
      return () => subscribers.delete(changed)
    },
    change(change) {
      state = { ...state, ...change, generation: state.generation + 1 }
      for (const changed of subscribers) changed(state)
    },
  }
}

/** Judges a chain by its signatures up to a root of the bundle, by its time and by the deny list: enough for here. */
export function believe(source: IdentitySource): Identify {
  return ({ evidence }, nowMs): Identified => {
    if (evidence.kind === 'declared') return { ok: true, identity: evidence.identity }
    if (evidence.kind !== 'x509') return { ok: false, code: 'identity_missing', detail: 'nothing shown' }
    const { bundles, denied } = source.current()
    const leaf = new X509Certificate(evidence.chain[0]!)
    const chain = evidence.chain.map((one) => new X509Certificate(one))
    const roots = (bundles.get(bank)?.roots ?? []).map((one) => new X509Certificate(one))
    const steps = chain.slice(1).every((issuer, at) => chain[at]!.verify(issuer.publicKey))
    if (!steps || !roots.some((root) => chain.at(-1)!.verify(root.publicKey))) {
      return { ok: false, code: 'identity_untrusted', detail: 'no path to a root' }
    }
    const id = leaf.subjectAltName?.replace('URI:', '') as SpiffeId
    const notAfterMs = leaf.validToDate.getTime()
    if (denied.has(id)) return { ok: false, code: 'identity_revoked', detail: 'on the list' }
    if (nowMs > notAfterMs) return { ok: false, code: 'identity_expired', detail: 'over' }
    const serial = leaf.serialNumber.toLowerCase()
    const trustDomain = trustDomainOf(id)
    return { ok: true, identity: { id, trustDomain, proof: 'x509', serial, notBeforeMs: 0, notAfterMs } }
  }
}

export interface TestSink extends RecordSink {
  readonly decisions: DecisionBody[]
  readonly outcomes: Outcome[]
  readonly refusals: { readonly code: string; readonly source: string }[]
  /** Set to have records refused, or to hold them until the promise resolves. */
  before: () => Promise<void> | undefined
}

export function makeSink(producer: SpiffeId = orders): TestSink {
  const sink: TestSink = {
    decisions: [],
    outcomes: [],
    refusals: [],
    before: () => undefined,
    async keep(body) {
      await sink.before()
      sink.decisions.push(body as DecisionBody)
      return { producer, epoch: 'a'.repeat(24), seq: sink.decisions.length } as RecordId
    },
    outcome: (_, outcome) => void sink.outcomes.push(outcome),
    refused: (refusal) => void sink.refusals.push(refusal),
  }
  return sink
}

export const spoolFull = (): Promise<void> => Promise.reject(new WritError('audit_unavailable', 'the spool is full'))

export const allow: Decision = {
  verdict: 'allow',
  code: 'allowed',
  from: { by: 'policy', policy: { bundle: 'bank', revision: '1', sha256: 'ab' } },
  reasons: [],
}

export const service = (name: string, port: number, identity?: SpiffeId, host: string = name): Service => ({
  name,
  hosts: [host],
  endpoints: [{ address: '127.0.0.1', port, identity }],
})

/** What a policy asks where a test says nothing of it. */
export const policy: PolicyUse = {
  bundle: 'bank',
  entrypoint: 'writ/authz/result',
  recordHeaders: [],
  recordQuery: false,
}

export type Inbound = Extract<Listener, { direction: 'inbound' }>

export const inbound = (appPort: number, port = 0): Inbound => ({
  direction: 'inbound',
  name: 'in',
  bind: { kind: 'tcp', address: '127.0.0.1', port },
  app: { address: '127.0.0.1', port: appPort },
  service: 'orders',
  policy,
})

export const outbound = (port = 0): Listener => ({
  direction: 'outbound',
  name: 'out',
  bind: { kind: 'tcp', address: '127.0.0.1', port },
})

export const snapshotOf = (workloads: readonly Workload[], services: readonly Service[] = []): MeshSnapshot => ({
  v: 1,
  name: `sha256:${randomBytes(4).toString('hex')}`,
  trustDomain: bank,
  cluster: 'test',
  services,
  routes: [],
  workloads,
  bundles: [],
  audit: auditDefaults,
  stream: { kind: 'embedded' } as unknown as MeshSnapshot['stream'],
  logKey: '',
})

export const get = 'GET / HTTP/1.1\r\nHost: orders\r\n\r\n'

export interface TestProxy {
  readonly proxy: OpenProxy
  readonly sink: TestSink
  /** Port of the only listener. */
  readonly port: number
}

/** A proxy for one workload, closed when the test ends. */
export async function startProxy(options: {
  readonly source: IdentitySource
  readonly listener: Listener
  readonly services?: readonly Service[]
  readonly limits?: Partial<Limits>
  readonly decide?: (facts: RequestFacts) => Decision | Promise<Decision>
  readonly more?: Partial<ProxyOptions>
}): Promise<TestProxy> {
  const { id } = options.source.current().svid
  const sink = makeSink(id)
  const workload: Workload = { name: id.split('/').at(-1)!, id, listeners: [options.listener] }
  const proxy = await openProxy({
    snapshot: snapshotOf([workload], options.services),
    workloads: [workload.name],
    source: () => options.source,
    identify: () => believe(options.source),
    decide: options.decide ?? (() => allow),
    sink: () => sink,
    now: () => BigInt(Date.now()) * 1_000_000n,
    random: (length) => randomBytes(length),
    ...(options.limits ? { limits: options.limits } : undefined),
    ...options.more,
  })
  onTestFinished(() => proxy.drain(0))
  return { proxy, sink, port: proxy.listeners()[0]!.port }
}

/** A sidecar of `orders`, whose listener is as usual but for `more`, in front of an application that says `here`. */
export async function startOrders(
  ca: TestCa,
  more: Partial<Inbound>,
  decide: () => Decision = () => allow,
): Promise<TestProxy & { readonly app: TestApp; readonly listener: Inbound }> {
  const app = await startAnswering(ok('here'))
  const listener = { ...inbound(app.port), ...more }
  return { app, listener, ...(await startProxy({ source: makeSource(ca.issue(orders), ca), listener, decide })) }
}

/** An application that speaks bytes. */
export interface TestApp {
  readonly port: number
  readonly sockets: Socket[]
  /** Everything that came in, over all connections. */
  received(): string
  close(): Promise<void>
}

export async function startApp(onBytes: (text: string, socket: Socket) => void, port = 0): Promise<TestApp> {
  const sockets: Socket[] = []
  let all = ''
  const server: Server = createServer((socket) => {
    sockets.push(socket)
    socket.on('error', () => {})
    socket.on('data', (bytes: Buffer) => {
      const text = bytes.toString('latin1')
      all += text
      onBytes(text, socket)
    })
  })
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  const close = (): Promise<void> =>
    new Promise((resolve) => {
      server.close(() => resolve())
      for (const socket of sockets) socket.destroy()
    })
  onTestFinished(close)
  return { port: (server.address() as { port: number }).port, sockets, received: () => all, close }
}

/** Answers every head with `answer`. */
export const startAnswering = (answer: string): Promise<TestApp> =>
  startApp((text, socket) => {
    for (const _ of text.matchAll(/\r\n\r\n/g)) socket.write(answer, 'latin1')
  })

export const ok = (body: string): string => `HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body}`

/** A caller that speaks bytes. */
export interface TestCaller {
  readonly socket: Socket
  send(text: string | Uint8Array): void
  /** Resolves with all that came once it holds `wanted`, or once the connection is closed. */
  until(wanted: string | RegExp): Promise<string>
  closed(): Promise<string>
}

export function call(port: number, tls?: ConnectionOptions, host = '127.0.0.1'): TestCaller {
  const where = { port, host }
  const socket: Socket = tls
    ? tlsConnect({ ...where, checkServerIdentity: () => undefined, ...tls })
    : netConnect(where)
  onTestFinished(() => void socket.destroy())
  let all = ''
  let over = false
  let look = (): void => {}
  socket.on('data', (bytes: Buffer) => {
    all += bytes.toString('latin1')
    look()
  })
  socket.on('error', () => {})
  socket.on('close', () => {
    over = true
    look()
  })
  const wait = (enough: () => boolean): Promise<string> =>
    new Promise((resolve) => {
      look = () => void ((over || enough()) && resolve(all))
      look()
    })
  return {
    socket,
    send: (text) => void (typeof text === 'string' ? socket.write(text, 'latin1') : socket.write(text)),
    until: (wanted) => wait(() => (typeof wanted === 'string' ? all.includes(wanted) : wanted.test(all))),
    closed: () => wait(() => false),
  }
}

/** TLS options of a caller with this identity. */
export const callerTls = (svid: Svid, ca: TestCa): ConnectionOptions => ({
  cert: svid.chain.map(pem).join(''),
  key: svid.keyPem,
  ca: [pem(ca.root)],
})

export async function eventually(check: () => boolean): Promise<void> {
  for (let i = 0; i < 500 && !check(); i++) await new Promise((resolve) => setTimeout(resolve, 10))
  if (!check()) throw new Error(`not within 5 s: ${check}`)
}
