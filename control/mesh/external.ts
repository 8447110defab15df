/** Hosts outside of the mesh: who leads to them, and what judges what is asked of them. */

import { z } from 'zod'
import type { Listener, Outside, OutsideService, Service, Workload } from '../../core/snapshot.ts'
import type { TrustDomain } from '../../core/spiffe.ts'
import { type FolderRef, folderRef } from './gateway.ts'
import type { IngressWorld } from './ingress.ts'
import type { WorkloadSpec } from './kinds.ts'
import { type Path, type Placed, type Problem, problemAt } from './problem.ts'
import type { KnownService } from './services.ts'
import { byText, host, isAnyAddress, name, port } from './words.ts'
import { identityOf } from './workloads.ts'

export interface ExternalServiceSpec {
  readonly host: string
  readonly port?: number
  readonly appProtocol?: 'kubernetes.io/h2c'
  readonly tls?: {
    readonly mode?: 'Simple' | 'Disable'
    readonly serverName?: string
    readonly caCertificateRefs?: readonly FolderRef[]
  }
  readonly connect?: boolean
  readonly addresses?: readonly string[]
  readonly privateAddresses?: boolean
  readonly gateway?: string
}

export const externalServiceSpec: z.ZodType<ExternalServiceSpec> = z.strictObject({
  host: host.describe('The name that callers write and its certificate has.'),
  port: port.describe('Default 443, and 80 without TLS.').exactOptional(),
  appProtocol: z
    .enum(['kubernetes.io/h2c'])
    .describe('Without TLS alone: it is asked in HTTP/2. Default HTTP/1.1; over TLS it is agreed on.')
    .exactOptional(),
  tls: z
    .strictObject({
      mode: z
        .enum(['Simple', 'Disable'])
        .describe('Simple: what callers ask in plain HTTP goes over TLS, which is verified. Default Simple.')
        .exactOptional(),
      serverName: host.describe('Another name that its certificate has. Default the host.').exactOptional(),
      caCertificateRefs: z
        .array(folderRef)
        .min(1)
        .max(8)
        .describe('Roots (ca.crt) below --secrets. Default public ones.')
        .exactOptional(),
    })
    .exactOptional(),
  connect: z.boolean().describe('Whether CONNECT opens tunnels to it. Default false.').exactOptional(),
  addresses: z
    .array(z.union([z.ipv4(), z.ipv6()]))
    .min(1)
    .max(64)
    .describe('Where it is. Whatever stands here may be connected to. Default what its name stands for.')
    .exactOptional(),
  privateAddresses: z
    .boolean()
    .describe('Whether its name may stand for an address of a private network. Default false.')
    .exactOptional(),
  gateway: name
    .describe('A Workload with egress, by which it is reached. Default each caller’s own proxy.')
    .exactOptional(),
})

type External = Placed<ExternalServiceSpec>

interface Input {
  readonly externals: readonly External[]
  readonly workloads: readonly Placed<WorkloadSpec>[]
  readonly services: ReadonlyMap<string, KnownService>
  readonly policyOf: IngressWorld['policyOf']
}

const portOf = ({ spec }: External): number => spec.port ?? (spec.tls?.mode === 'Disable' ? 80 : 443)

export function externalProblems({ externals, workloads, services, policyOf }: Input): Problem[] {
  const problems: Problem[] = []
  const hosts = new Map<string, string>()
  for (const [name, { service }] of services) for (const one of service.hosts) hosts.set(one, `Service ${name}`)
  for (const external of externals) {
    const { spec, label } = external
    const say = (path: Path, problem: string, cure: string, level?: Problem['level']): void =>
      void problems.push(problemAt(external, path, problem, cure, level))
    const owner = hosts.get(spec.host)
    if (owner !== undefined) say(['spec', 'host'], `${spec.host} is a host of ${owner} too`, 'give each host one owner')
    hosts.set(spec.host, label)
    if (services.has(external.name)) {
      say(['metadata', 'name'], `there is a service ${external.name} too`, 'rename one of them')
    }
    if (spec.tls?.mode === 'Disable' && (spec.tls.serverName !== undefined || spec.tls.caCertificateRefs)) {
      say(['spec', 'tls'], 'says how TLS is verified, and has none', 'remove it, or write mode: Simple')
    }
    if (spec.tls?.mode !== 'Disable' && spec.appProtocol !== undefined) {
      say(['spec', 'appProtocol'], 'is of HTTP without TLS', 'remove it, or write tls: {mode: Disable}')
    }
    const gateway = workloads.find((one) => one.name === spec.gateway)
    if (spec.gateway !== undefined && !gateway?.spec.egress) {
      say(['spec', 'gateway'], `there is no Workload ${spec.gateway} with egress`, 'add it, or leave it out')
    } else if (gateway && isAnyAddress(gateway.spec.egress?.address ?? '')) {
      const problem = `callers cannot reach ${gateway.name} at ${gateway.spec.egress?.address}`
      problems.push(problemAt(gateway, ['spec', 'egress', 'address'], problem, 'give the address that callers reach'))
    }
    if (!policyOf('ExternalService', external.name)) {
      say(['spec'], 'has no PolicyBinding: it denies everything', 'add one that names it', 'warning')
    }
  }
  return problems
}

/** Those that are reached by a gateway, as the other proxies of the mesh call it. */
export const throughGateways = (
  externals: readonly External[],
  workloads: readonly Placed<WorkloadSpec>[],
  trustDomain: TrustDomain,
): readonly Service[] =>
  externals.flatMap((external): Service[] => {
    const gateway = workloads.find((one) => one.name === external.spec.gateway)
    if (!gateway?.spec.egress) return []
    const { address = '127.0.0.1', port } = gateway.spec.egress
    const endpoint = { address, port, identity: identityOf(gateway, trustDomain) }
    const { name, spec } = external
    return [{ name, hosts: [spec.host], endpoints: [endpoint], ...(spec.connect && { connect: true }) }]
  })

/** The workload, whose listeners lead to what is outside: its outbound ones directly, and its egress for the others. */
export function withOutside(
  workload: Workload,
  { spec, name }: Placed<WorkloadSpec>,
  { externals, policyOf }: Pick<Input, 'externals' | 'policyOf'>,
): Workload {
  const by = (gateway: string | undefined): OutsideService[] =>
    externals
      .filter((one) => one.spec.gateway === gateway)
      .toSorted((a, b) => byText(a.name, b.name))
      .map((one) => ({ service: serviceOf(one), policy: policyOf('ExternalService', one.name) }))
  const direct = by(undefined)
  const listeners = workload.listeners.map((one): Listener => {
    const leads = one.direction === 'outbound' && one.tcp === undefined && direct.length > 0
    return leads ? { ...one, outside: direct } : one
  })
  if (!spec.egress) return { ...workload, listeners }
  const { port, address = '127.0.0.1' } = spec.egress
  const bind = { kind: 'tcp', address, port } as const
  return { ...workload, listeners: [...listeners, { direction: 'egress', name: 'egress', bind, outside: by(name) }] }
}

function serviceOf(external: External): Service {
  const { name, spec } = external
  const { tls, addresses = [spec.host], privateAddresses = false, connect } = spec
  const roots = tls?.caCertificateRefs?.map((ref) => ref.name)
  const outside: Outside = {
    ...(tls?.mode !== 'Disable' && { tls: { serverName: tls?.serverName ?? spec.host, ...(roots && { roots }) } }),
    privateAddresses,
  }
  const endpoints = addresses.map((address) => ({
    ...{ address, port: portOf(external), identity: undefined, outside },
    ...(spec.appProtocol && { protocol: 'h2c' as const }),
  }))
  return { name, hosts: [spec.host], endpoints, ...(connect && { connect }) }
}
