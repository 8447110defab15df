/** Workloads and their listeners: who they are, where they listen, and that no two want the same place. */

import type { Bind, Listener, Workload } from '../../core/snapshot.ts'
import { parseSpiffeId, type SpiffeId, spiffeId, type TrustDomain } from '../../core/spiffe.ts'
import { isLoopback } from '../../core/url.ts'
import type { WorkloadSpec } from './kinds.ts'
import { type Path, type Placed, type Problem, problemAt } from './problem.ts'
import { isAnyAddress } from './words.ts'

type PlacedWorkload = Placed<WorkloadSpec>

/** The service that a workload's inbound listener serves. */
export const serviceOf = (workload: PlacedWorkload): string => workload.spec.service ?? workload.name

/** `/orders` or a whole id as an id, a path being of our own trust domain. */
export const idOf = (text: string, trustDomain: TrustDomain): SpiffeId | undefined =>
  text.startsWith('/') ? spiffeId(trustDomain, text) : parseSpiffeId(text)

export const identityOf = (workload: PlacedWorkload, trustDomain: TrustDomain): SpiffeId | undefined =>
  idOf(workload.spec.identity ?? `/${workload.name}`, trustDomain)

/** `portsOf`: those of a Gateway for callers from outside. */
export function checkWorkloads(
  workloads: readonly PlacedWorkload[],
  trustDomain: TrustDomain,
  portsOf: (gateway: string) => readonly number[] = () => [],
): Problem[] {
  return [
    ...checkIdentities(workloads, trustDomain),
    ...workloads.flatMap(checkListeners),
    ...checkClashes(workloads, portsOf),
  ]
}

function checkIdentities(workloads: readonly PlacedWorkload[], trustDomain: TrustDomain): Problem[] {
  const problems: Problem[] = []
  const owners = new Map<SpiffeId, string>()
  for (const workload of workloads) {
    const id = identityOf(workload, trustDomain)
    const path = ['spec', 'identity']
    if (!id?.startsWith(`spiffe://${trustDomain}/`)) {
      problems.push(problemAt(workload, path, `is not of ${trustDomain}`, 'name a path, such as /orders'))
      continue
    }
    if (id.startsWith(`spiffe://${trustDomain}/writ/`)) {
      problems.push(
        problemAt(workload, path, `${id} is kept for Writ itself`, 'use a path that does not begin with /writ/'),
      )
      continue
    }
    const owner = owners.get(id)
    if (owner) problems.push(problemAt(workload, path, `${id} is ${owner}’s already`, 'give each workload its own'))
    else owners.set(id, workload.label)
  }
  return problems
}

function checkListeners(workload: PlacedWorkload): Problem[] {
  const { inbound, outbound, service, gateway, egress } = workload.spec
  const problems: Problem[] = []
  if (!inbound && !outbound && !gateway && !egress) {
    const cure = 'add one, or leave it so if its calls are recorded through the collector only'
    problems.push(problemAt(workload, ['spec'], 'has no listener', cure, 'warning'))
  }
  if (!inbound && service !== undefined) {
    const problem = 'names a service, but has no inbound listener to serve it'
    problems.push(problemAt(workload, ['spec', 'service'], problem, 'add inbound, or remove service'))
  }
  if (inbound) {
    const { address = '127.0.0.1', port, app } = inbound
    const appAddress = app.address ?? '127.0.0.1'
    if (app.port === port && sameAddress(address, appAddress)) {
      const problem = 'is the inbound listener itself: requests would go round in a circle'
      problems.push(
        problemAt(workload, ['spec', 'inbound', 'app', 'port'], problem, 'give the port of the application'),
      )
    }
  }
  if (outbound?.address !== undefined && !isLoopback(outbound.address)) {
    const problem = `${outbound.address} is not a loopback address: whoever reaches it could speak as this workload`
    problems.push(problemAt(workload, ['spec', 'outbound', 'address'], problem, 'use 127.0.0.1, ::1 or a socket'))
  }
  for (const [index, { address }] of (outbound?.tcp ?? []).entries()) {
    if (address === undefined || isLoopback(address)) continue
    const problem = `${address} is not a loopback address: whoever reaches it could speak as this workload`
    problems.push(problemAt(workload, ['spec', 'outbound', 'tcp', index, 'address'], problem, 'use 127.0.0.1 or ::1'))
  }
  return problems
}

/** Two listeners of one host at one place: the second could never start. */
function checkClashes(
  workloads: readonly PlacedWorkload[],
  portsOf: (gateway: string) => readonly number[],
): Problem[] {
  const problems: Problem[] = []
  const taken = new Map<string, { readonly bind: Bind; readonly owner: string }[]>()
  for (const workload of workloads) {
    for (const { name, bind, path } of [...bindsOf(workload), ...gatewayBinds(workload, portsOf)]) {
      const place = bind.kind === 'tcp' ? String(bind.port) : bind.path
      const key = `${workload.spec.host ?? ''} ${bind.kind} ${place}`
      const others = taken.get(key) ?? []
      const other = others.find((it) => clash(it.bind, bind))
      if (other) {
        const cure = 'choose another, or name the hosts in spec.host where they run on different machines'
        problems.push(problemAt(workload, path, `${place} is ${other.owner}’s already`, cure))
      }
      taken.set(key, [...others, { bind, owner: `${workload.label}, ${name}` }])
    }
  }
  return problems
}

const clash = (a: Bind, b: Bind): boolean =>
  a.kind === 'unix' || b.kind === 'unix' ? true : sameAddress(a.address, b.address)

const sameAddress = (a: string, b: string): boolean =>
  a === b ||
  isAnyAddress(a) ||
  isAnyAddress(b) ||
  (a === 'localhost' && isLoopback(b)) ||
  (b === 'localhost' && isLoopback(a))

/** A listener to be, by its name, and where its port or socket is said. */
interface Placement {
  readonly name: string
  readonly bind: Bind
  readonly path: Path
  /** Of an outbound one for opaque TCP: the service. */
  readonly tcp?: string
}

function bindsOf({ spec }: PlacedWorkload): Placement[] {
  const { inbound, outbound } = spec
  const binds: Placement[] = []
  const tcp = (address = '127.0.0.1', port: number): Bind => ({ kind: 'tcp', address, port })
  if (inbound) {
    binds.push({ name: 'inbound', bind: tcp(inbound.address, inbound.port), path: ['spec', 'inbound', 'port'] })
  }
  if (outbound?.socket !== undefined) {
    const bind: Bind = { kind: 'unix', path: outbound.socket }
    binds.push({ name: 'outbound', bind, path: ['spec', 'outbound', 'socket'] })
  }
  if (outbound?.port !== undefined) {
    binds.push({ name: 'outbound', bind: tcp(outbound.address, outbound.port), path: ['spec', 'outbound', 'port'] })
  }
  for (const [index, { service, address, port }] of (outbound?.tcp ?? []).entries()) {
    const path: Path = ['spec', 'outbound', 'tcp', index, 'port']
    binds.push({ name: `tcp-${service}`, bind: tcp(address, port), path, tcp: service })
  }
  return binds
}

const gatewayBinds = (
  { spec: { gateway, egress } }: PlacedWorkload,
  portsOf: (gateway: string) => readonly number[],
): Placement[] => [
  ...(egress ? [{ name: 'egress', bind: placeAt(egress.port, egress.address), path: ['spec', 'egress', 'port'] }] : []),
  ...(gateway ? portsOf(gateway.name) : []).map((port) => ({
    name: `gateway-${port}`,
    bind: placeAt(port, gateway?.address),
    path: ['spec', 'gateway', 'name'],
  })),
]

const placeAt = (port: number, address = '127.0.0.1'): Bind => ({ kind: 'tcp', address, port })

/** What an inbound listener asks: of its own, and about some of its routes. */
export type Judged = Pick<Extract<Listener, { direction: 'inbound' }>, 'policy' | 'policies'>

/** The workload as proxies know it. Listeners are named by their direction; those for opaque TCP by their service. */
export function workloadOf(
  workload: PlacedWorkload,
  id: SpiffeId,
  judged: Judged | undefined,
  detected: ReadonlySet<string> = new Set(),
): Workload {
  const listeners = bindsOf(workload).map(({ name, bind, tcp }): Listener => {
    if (name !== 'inbound')
      return {
        direction: 'outbound',
        name,
        bind,
        ...(tcp !== undefined && { tcp }),
        ...(tcp !== undefined && detected.has(tcp) && { detect: true }),
      }
    const app = workload.spec.inbound!.app
    return {
      direction: 'inbound',
      name,
      bind,
      ...((app.appProtocol === 'tcp' || app.appProtocol === 'detect') && { protocol: app.appProtocol }),
      app: {
        address: app.address ?? '127.0.0.1',
        port: app.port,
        ...((app.appProtocol === 'grpc' || app.appProtocol === 'kubernetes.io/h2c') && { protocol: 'h2c' as const }),
      },
      service: serviceOf(workload),
      policy: judged?.policy,
      ...(judged?.policies && { policies: judged.policies }),
    }
  })
  const { locality } = workload.spec
  return { name: workload.name, id, listeners, ...(locality !== undefined && { locality }) }
}
