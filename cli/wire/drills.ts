/**
 * What a proxy tries on itself, each result a record: a caller whom nobody knows asks at its own listeners over the
 * network, and what a decision needs is taken away from the very functions that decide. Nothing is asked of the
 * application, and nothing of it is withheld from callers.
 */

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect } from 'node:tls'
import { openAuthority } from '../../ca/node/authority.ts'
import { newKeyPair } from '../../ca/node/crypto.ts'
import type { Decision } from '../../core/decision.ts'
import type { RequestFacts, RequestHead } from '../../core/facts.ts'
import { messageOf } from '../../core/fault.ts'
import type { Identified, Identity } from '../../core/identity.ts'
import type { PolicyUse } from '../../core/policy.ts'
import type { Decide, Identify, NowNs, RecordSink } from '../../core/ports.ts'
import type { DrillBody } from '../../core/record.ts'
import type { AuditSettings, Listener, Workload } from '../../core/snapshot.ts'
import { spiffeId, trustDomainOf } from '../../core/spiffe.ts'
import { makeDecide } from '../../engine/index.ts'
import { judge } from '../../proxy/flow/judge.ts'
import type { Found } from '../../proxy/flow/route.ts'
import { pem } from '../../proxy/node/tls.ts'
import { random } from './machine.ts'

export interface DrillParts {
  readonly workload: Workload
  readonly audit: Pick<AuditSettings, 'onFull'>
  /** Ports that listeners have, by `workload/listener`. */
  readonly ports: readonly { readonly name: string; readonly port: number }[]
  readonly identity: Identity
  readonly identify: Identify
  readonly decide: Decide
  readonly sink: Pick<RecordSink, 'keep'>
  readonly now: NowNs
}

type Inbound = Extract<Listener, { readonly direction: 'inbound' }>
type Tried = Pick<DrillBody, 'drill' | 'case' | 'refused' | 'observed'>

/** Longest wait for an answer, in milliseconds, and longest answer that is read, in bytes. */
const answerMs = 5000
const maxAnswer = 16_384

/** Tries every inbound listener that has a port of its own; each result is kept. Rejects where it could not be. */
export async function runDrills(parts: DrillParts): Promise<void> {
  const forged = await forgedIdentity(parts)
  for (const listener of parts.workload.listeners) {
    if (listener.direction !== 'inbound') continue
    const name = `${parts.workload.name}/${listener.name}`
    const tried = [...(await strangers(listener, name, parts, forged)), ...(await outages(listener, name, parts))]
    for (const one of tried) {
      await parts.sink.keep({ kind: 'drill', workload: parts.workload.id, listener: name, ...one })
    }
  }
}

/** Signed by a root that nobody trusts, in a name of the mesh's own trust domain. */
async function forgedIdentity({ workload, now }: DrillParts): Promise<{ readonly cert: string; readonly key: string }> {
  const dir = await mkdtemp(join(tmpdir(), 'writ-drill-'))
  try {
    const trustDomain = trustDomainOf(workload.id)
    const authority = await openAuthority({ dir, trustDomain, nowMs: () => Number(now() / 1_000_000n), random })
    const { spki, keyPem: key } = newKeyPair()
    const { chain } = authority.issue({ id: spiffeId(trustDomain, 'writ/drill')!, spki, ttlMs: 600_000 })
    return { cert: chain.map(pem).join(''), key }
  } finally {
    await rm(dir, { recursive: true, force: true })
  }
}

async function strangers(
  { bind, protocol }: Inbound,
  name: string,
  { ports }: DrillParts,
  forged: { readonly cert: string; readonly key: string },
): Promise<readonly Tried[]> {
  const port = ports.find((one) => one.name === name)?.port
  if (bind.kind !== 'tcp' || !port) return []
  const host = bind.address === '0.0.0.0' ? '127.0.0.1' : bind.address === '::' ? '::1' : bind.address
  const ask = (shown: object) => askAs(host, port, protocol === 'tcp', shown)
  return [
    { drill: 'default_deny', case: 'no_certificate', ...(await ask({})) },
    { drill: 'default_deny', case: 'untrusted_certificate', ...(await ask(forged)) },
  ]
}

/** A refusal is no answer at all, or a problem of the proxy's own: about the caller's name, or by a policy. */
function askAs(
  host: string,
  port: number,
  bytes: boolean,
  shown: object,
): Promise<Pick<Tried, 'refused' | 'observed'>> {
  return new Promise((resolve) => {
    let answer = ''
    const protocols = bytes ? ['writ-tcp'] : ['http/1.1']
    const socket = connect({
      host,
      port,
      ...shown,
      rejectUnauthorized: false,
      minVersion: 'TLSv1.3',
      ALPNProtocols: protocols,
    })
    const over = (why: string): void => {
      clearTimeout(timer)
      socket.destroy()
      resolve(answer === '' ? { refused: why !== 'nothing came', observed: why.slice(0, 200) } : readAnswer(answer))
    }
    // One that takes a stranger's bytes and stays silent may have passed them on.
    const timer = setTimeout(() => over('nothing came'), answerMs)
    socket.setEncoding('latin1')
    socket.on('secureConnect', () =>
      socket.write('GET /writ-drill HTTP/1.1\r\nhost: drill.invalid\r\nconnection: close\r\n\r\n'),
    )
    socket.on('data', (text: string) => {
      answer += text
      if (answer.length > maxAnswer) over('')
    })
    socket.on('error', (thrown) => over(messageOf(thrown)))
    socket.on('close', () => over('closed'))
  })
}

export function readAnswer(answer: string): Pick<Tried, 'refused' | 'observed'> {
  const [head = '', body = ''] = answer.split('\r\n\r\n', 2)
  const code = /"code":"(identity_[a-z]+|policy_denied)"/.exec(body)?.[1]
  const isProblem = /^content-type: application\/problem\+json\r?$/im.test(head) && /^HTTP\/1\.1 [45]/.test(head)
  return isProblem && code !== undefined
    ? { refused: true, observed: code }
    : { refused: false, observed: head.split('\r\n')[0]!.slice(0, 200) }
}

/** Asks the functions that decide, with a part of them gone. */
async function outages(listener: Inbound, name: string, parts: DrillParts): Promise<readonly Tried[]> {
  const nothing = makeDecide({ get: () => undefined })
  const uses = [listener.policy, ...(listener.policies ?? []).map(({ policy }) => policy)]
  const known: Identified = { ok: true, identity: parts.identity }
  const stranger = await parts.identify(
    { evidence: { kind: 'none' }, address: '127.0.0.1', port: 0 },
    Number(parts.now() / 1_000_000n),
  )
  const tried: Tried[] = []
  const outage = (what: string, decisions: readonly Decision[]): void => {
    const passed = decisions.find(({ verdict }) => verdict === 'allow')
    const observed = [...new Set(decisions.map(({ verdict, code }) => `${verdict} ${code}`))].join(', ')
    tried.push({ drill: 'fail_closed', case: what, refused: passed === undefined, observed })
  }
  const ask = (source: Identified, decide: Decide, use: PolicyUse | undefined) =>
    judge({ head: drillHead }, factsOf(listener, name, source, parts), foundOf(listener), {
      direction: 'inbound',
      policy: use,
      decide,
    })
  outage('policy_missing', await Promise.all(uses.map((use) => ask(known, nothing, use))))
  outage('identity_unavailable', await Promise.all(uses.map((use) => ask(stranger, parts.decide, use))))
  const passes = parts.audit.onFull === 'allow-and-account'
  const observed = passes ? 'onFull: allow-and-account passes what cannot be recorded' : 'onFull: refuse'
  tried.push({ drill: 'fail_closed', case: 'audit_unavailable', refused: !passes, observed })
  return tried
}

const drillHead: RequestHead = {
  ...{ method: 'GET', authority: 'drill.invalid', path: '/writ-drill', query: undefined, headers: {} },
  ...{ protocol: 'HTTP/1.1', scheme: 'https' },
}

const factsOf = (
  listener: Inbound,
  name: string,
  identified: Identified,
  { workload, now }: DrillParts,
): RequestFacts => ({
  ...{ direction: 'inbound', workload: workload.id, listener: name, head: drillHead },
  source: { identified, address: '127.0.0.1', port: 0 },
  destination: { service: listener.service, address: '127.0.0.1', port: 0 },
  ...{ requestId: 'drill', traceId: '', atNs: now() },
})

const foundOf = ({ service, app: { address, port } }: Inbound): Found => ({
  ...{ route: service, service, timeoutMs: 0 },
  endpoint: { address, port } as Found['endpoint'],
})
