/**
 * How calls of a program that knows nothing of the mesh reach its sidecar: each service has a loopback address of its own,
 * its host names lead there, and the kernel redirects what is sent there to the sidecar's port for it. Pure.
 */

import { WritError } from '../../core/fault.ts'
import type { Sha256 } from '../../core/ports.ts'
import type { Listener, MeshSnapshot, Service } from '../../core/snapshot.ts'

export interface Capture {
  readonly workload: string
  /** Host names and the address that they are to have. */
  readonly hosts: readonly { readonly address: string; readonly names: readonly string[] }[]
  /** The same and those with a wildcard, which DNS can answer. */
  readonly names: ReadonlyMap<string, string>
  /** Where calls to an address go on 127.0.0.1. */
  readonly redirects: readonly { readonly address: string; readonly port: number; readonly service: string }[]
  /** Services that are not captured, and why. */
  readonly left: readonly { readonly service: string; readonly why: string }[]
}

export interface CaptureOptions {
  /** Addresses by which callers know a service already, IPv4. Default none. */
  readonly addresses?: readonly { readonly service: string; readonly address: string }[]
  /** Whether one socket takes all: it sees the address that was called, and tells services of opaque TCP by that. */
  readonly transparent?: boolean | undefined
}

type Outbound = Extract<Listener, { direction: 'outbound' }>

/** Throws `not_found` for a workload that is none, `config_invalid` for one whose listeners nothing can be redirected to. */
export function captureOf(
  { workloads, services }: Pick<MeshSnapshot, 'workloads' | 'services'>,
  workload: string,
  sha256: Sha256,
  { addresses = [], transparent = false }: CaptureOptions = {},
): Capture {
  const found = workloads.find(({ name }) => name === workload)
  if (!found)
    throw new WritError('not_found', `there is no workload ${workload}`, { cure: 'name one of the mesh file' })
  const listeners = found.listeners.filter((one): one is Outbound => one.direction === 'outbound')
  const http = portOf(listeners.find(({ tcp }) => tcp === undefined))
  const tcp = new Map(listeners.flatMap((one) => (one.tcp === undefined ? [] : [[one.tcp, portOf(one)] as const])))
  const own = addressesOf(services, sha256)

  const hosts: { address: string; names: readonly string[] }[] = []
  const byName = new Map<string, string>()
  const redirects: { address: string; port: number; service: string }[] = []
  const left: { service: string; why: string }[] = []
  for (const service of services) {
    const port = service.protocol === 'tcp' && !transparent ? tcp.get(service.name) : http
    if (port === undefined) {
      const want =
        service.protocol === 'tcp' && !transparent
          ? `a port for it in outbound.tcp of ${workload}`
          : `outbound.port of ${workload}`
      left.push({ service: service.name, why: `needs ${want}, on 127.0.0.1` })
      continue
    }
    const names = service.hosts.filter(isName)
    if (names.length < service.hosts.length) {
      left.push({
        service: service.name,
        why: `is not found by ${service.hosts.filter((host) => !isName(host)).join(', ')}`,
      })
    }
    const address = own.get(service.name)!
    if (names.length > 0) hosts.push({ address, names })
    for (const host of service.hosts) if (isName(host.replace(/^\*\./, ''))) byName.set(host, address)
    redirects.push({ address, port, service: service.name })
    for (const one of addresses) if (one.service === service.name) redirects.push({ ...one, port })
  }
  for (const { service } of addresses) {
    if (services.some(({ name }) => name === service)) continue
    throw new WritError('not_found', `there is no service ${service}`, { cure: 'name one of the mesh file' })
  }
  return { workload, hosts, names: byName, redirects, left }
}

/** Redirects reach 127.0.0.1 alone. */
const portOf = (listener: Outbound | undefined): number | undefined =>
  listener?.bind.kind === 'tcp' && listener.bind.address === '127.0.0.1' ? listener.bind.port : undefined

/** What a hosts file can hold: no wildcard, and nothing that is an address already. */
const isName = (host: string): boolean =>
  /^[a-z0-9_](?:[a-z0-9._-]*[a-z0-9_])?$/.test(host) && !/^[0-9.]+$/.test(host) && host !== 'localhost'

/**
 * Of 127.64.0.0/10, by a hash of the name: the same on every machine and from day to day, whatever other services come and
 * go, but where two fall on one address; then the one whose name comes later takes the next.
 */
export function addressesOf(services: readonly Pick<Service, 'name'>[], sha256: Sha256): ReadonlyMap<string, string> {
  const taken = new Set<number>()
  const addresses = new Map<string, string>()
  for (const name of services.map((one) => one.name).sort()) {
    const digest = sha256(new TextEncoder().encode(`writ capture ${name}`))
    let number = (((digest[0]! << 16) | (digest[1]! << 8) | digest[2]!) & 0x3fffff) >>> 0
    while (taken.has(number) || (number & 255) === 0 || (number & 255) === 255) number = (number + 1) & 0x3fffff
    taken.add(number)
    addresses.set(name, `127.${64 + (number >> 16)}.${(number >> 8) & 255}.${number & 255}`)
  }
  return addresses
}

const begin = (workload: string): string => `# writ capture ${workload}: begin`
const end = (workload: string): string => `# writ capture ${workload}: end`

export function hostsLines({ workload, hosts }: Pick<Capture, 'workload' | 'hosts'>): string {
  const lines = hosts.map(({ address, names }) => `${address} ${names.join(' ')}`)
  return [begin(workload), ...lines, end(workload), ''].join('\n')
}

/** A hosts file without what was captured before. */
export function withoutHosts(text: string, workload: string): string {
  const lines = text.split('\n')
  const from = lines.indexOf(begin(workload))
  const to = lines.indexOf(end(workload), from)
  if (from < 0 || to < 0) return text
  return [...lines.slice(0, from), ...lines.slice(to + 1)].join('\n')
}

export function withHosts(text: string, capture: Pick<Capture, 'workload' | 'hosts'>): string {
  const rest = withoutHosts(text, capture.workload)
  return `${rest}${rest === '' || rest.endsWith('\n') ? '' : '\n'}${hostsLines(capture)}`
}

/** Names of workloads have hyphens and no underscores, so no two have one table. */
export const tableOf = (workload: string): string => `writ_${workload.replaceAll('-', '_')}`

export interface RuleOptions {
  /**
   * Whose calls go where they were sent, which the sidecar's must where callers know a service by the very address that it is
   * served at, and where it asks the host's resolvers.
   */
  readonly exceptUid?: number | undefined
  /** Where questions of DNS go on 127.0.0.1. Default where they were sent. */
  readonly dnsPort?: number | undefined
  /** Led to a transparent socket, with the address that was called. Default redirected, without it. */
  readonly transparent?: boolean | undefined
}

/** A script for `nft -f`: takes the place of what was there, all at once. */
export function nftRules({ workload, redirects }: Capture, { exceptUid, dnsPort, transparent }: RuleOptions): string {
  const table = tableOf(workload)
  const elements = redirects.map(({ address, port }) => `${address} : ${port}`).join(', ')
  return [
    ...nftUndo(workload),
    `table ip ${table} {`,
    '  map ports {',
    '    type ipv4_addr : inet_service',
    ...(elements === '' ? [] : [`    elements = { ${elements} }`]),
    '  }',
    ...(transparent
      ? [
          '  chain prerouting {',
          '    type filter hook prerouting priority -150; policy accept;',
          '    iifname "lo" meta l4proto tcp tproxy to 127.0.0.1:ip daddr map @ports accept',
          '  }',
        ]
      : []),
    '  chain output {',
    '    type nat hook output priority -100; policy accept;',
    ...(exceptUid === undefined ? [] : [`    meta skuid ${exceptUid} accept`]),
    ...(transparent ? [] : ['    meta l4proto tcp redirect to :ip daddr map @ports']),
    ...(dnsPort === undefined ? [] : ['udp', 'tcp'].map((over) => `    ${over} dport 53 redirect to :${dnsPort}`)),
    '  }',
    '}',
    '',
  ].join('\n')
}

/** Deleting what is not there would be an error, so it is made first. */
export const nftUndo = (workload: string): readonly string[] => [
  `table ip ${tableOf(workload)} {}`,
  `delete table ip ${tableOf(workload)}`,
]
