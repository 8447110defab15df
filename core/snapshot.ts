/** What a proxy runs: one immutable value, named by the hash of its own content. */

import type { RouteFilters } from './filters.ts'
import type { PolicyDataUse, PolicyRef, PolicyUse, Sealing } from './policy.ts'
import type { SpiffeId, TrustDomain } from './spiffe.ts'
import type { KeyPlace, RateLimit, RetryRules, RouteCanary, ServiceTraffic, SourceLimits } from './traffic.ts'

/** A process reads the version it writes and the one before. */
export const snapshotVersion = 1

export interface MeshSnapshot {
  readonly v: typeof snapshotVersion
  /** `sha256:` and the hex digest of the canonical JSON of all other members. */
  readonly name: string
  readonly trustDomain: TrustDomain
  readonly cluster: string
  readonly services: readonly Service[]
  /** In order of precedence (Gateway API HTTPRouteRule): the first that matches wins. */
  readonly routes: readonly Route[]
  readonly workloads: readonly Workload[]
  readonly bundles: readonly PolicyRef[]
  /** Data that policies read beside their bundles. Default none. */
  readonly data?: readonly PolicyDataUse[]
  /** Callers that no proxy lets anything ask, in order of their ids. Default none. */
  readonly quarantine?: readonly Quarantined[]
  /** Default no proxy traces. */
  readonly tracing?: TracingSettings
  readonly audit: AuditSettings
  readonly stream: StreamPlace
  /** Verifier key of the log (C2SP signed-note), by which receipts are checked; empty while no auditor is known. */
  readonly logKey: string
}

/** Spans for requests, and where they go. */
export interface TracingSettings {
  /** OTLP over HTTP, as `http://127.0.0.1:4318/v1/traces`. */
  readonly otlp: string
  /** Part of the traces that begin here which is kept, 0 to 1. What a caller's trace says goes first. */
  readonly sample: number
  /** How the next one is told, besides the words that the caller used. */
  readonly propagate: readonly ('w3c' | 'b3' | 'b3multi')[]
}

/** A caller that is cut off: whatever it asks is denied with the code `quarantined`. */
export interface Quarantined {
  readonly id: SpiffeId
  /** From when on it is over, in milliseconds since 1970. Default never: its document stands in the mesh file. */
  readonly untilMs?: number
  /** For records; callers do not read it. */
  readonly reason: string
}

/** Most callers in quarantine at once: each proxy holds them all. */
export const maxQuarantined = 1024

/** Where records travel from the spool to the log: within the process, or over Kafka. */
export type StreamPlace = { readonly kind: 'embedded' } | KafkaPlace

/** No secret stands here: what is named is read by each machine from its own disk and environment. */
export interface KafkaPlace {
  readonly kind: 'kafka'
  readonly brokers: readonly string[]
  readonly topic: string
  /** `true` is TLS by the machine's own roots; files are PEM. */
  readonly tls?: true | { readonly caFile?: string; readonly certFile?: string; readonly keyFile?: string }
  readonly sasl?: {
    readonly mechanism: SaslMechanism
    /** One of the two. */
    readonly username?: string
    readonly usernameEnv?: string
    /** One of the two. */
    readonly passwordEnv?: string
    readonly passwordFile?: string
  }
}

/** As Kafka and RFC 4616, 5802 and 7677 spell them. */
export type SaslMechanism = 'PLAIN' | 'SCRAM-SHA-256' | 'SCRAM-SHA-512'

/** A name that workloads call, and where it is served. */
export interface Service {
  readonly name: string
  /** Lower-case host names, without port, under which outbound listeners know it. */
  readonly hosts: readonly string[]
  readonly endpoints: readonly Endpoint[]
  /** Its connections are passed as bytes, and no request is routed to it. Default HTTP. */
  readonly protocol?: 'tcp'
  /** Whether CONNECT opens tunnels to it. Default not. */
  readonly connect?: true
  /** Default as every service. */
  readonly traffic?: ServiceTraffic
  /** What those who call it keep as digests too, since its own records do: the path. Default nothing. */
  readonly sealing?: Sealing
}

export interface Endpoint {
  readonly address: string
  readonly port: number
  /** The name the endpoint must prove; undefined only for plaintext upstreams outside the mesh. */
  readonly identity: SpiffeId | undefined
  /** What a plaintext upstream speaks. Default HTTP/1.1; proxies are spoken to as their callers speak. */
  readonly protocol?: 'h2c'
  /** It is outside of the mesh. Default it is a proxy, or our own application. */
  readonly outside?: Outside
  /** Where it runs, from the widest to the narrowest: `region/zone/subzone`. Default nobody knows. */
  readonly locality?: string
}

/** How a host outside of the mesh is reached. */
export interface Outside {
  /** The name that its certificate must have, and our own roots by their names; default public ones. Default no TLS. */
  readonly tls?: { readonly serverName: string; readonly roots?: readonly string[] }
  /** Whether its name may stand for an address of a private network. Never for one of this machine or its link. */
  readonly privateAddresses: boolean
}

/** A host outside of the mesh that a listener leads to, judged there since nobody else will. */
export interface OutsideService {
  readonly service: Service
  /** Default every request is denied. */
  readonly policy: PolicyUse | undefined
}

export interface Route {
  readonly name: string
  readonly hosts: readonly string[]
  readonly match: RouteMatch
  readonly backends: readonly {
    readonly service: string
    readonly weight: number
    /** What is changed besides where it goes there. Default nothing. */
    readonly filters?: Pick<RouteFilters, 'request' | 'response'>
  }[]
  /** What keeps requests at one of several backends. Default chance decides about each. */
  readonly sticky?: KeyPlace
  /** Where the answer says which endpoint it was, and the next request says it again. Default nowhere. */
  readonly session?: SessionPlace
  /** Which of several backends is on trial. Default none is. */
  readonly canary?: RouteCanary
  /** What it does besides. Default it sends requests on. */
  readonly filters?: RouteFilters
  /** Time for the whole request, in milliseconds. Default 15 000; 0 is none. */
  readonly timeoutMs: number
  /** Time for one attempt, in milliseconds. Default that of the service. */
  readonly tryMs?: number
  /** In place of what the service says of them. Default as the service says. */
  readonly retry?: Partial<Pick<RetryRules, 'attempts' | 'statuses' | 'backoffMs' | 'maxBackoffMs'>>
}

/** `name`: of a cookie, or of a header in lower case. */
export interface SessionPlace {
  readonly kind: 'cookie' | 'header'
  readonly name: string
  /** How long a browser keeps the cookie, in seconds. Default until it is closed. */
  readonly maxAgeS?: number
}

/** Every member that is given must hold (Gateway API HTTPRouteMatch). */
export interface RouteMatch {
  /** A `regex` is one of RE2's and fits the whole path. */
  readonly path: { readonly type: 'exact' | 'prefix' | 'regex'; readonly value: string }
  readonly method?: string
  /** By lower-case name. */
  readonly headers?: Readonly<Record<string, string>>
  /** Regular expressions of RE2 that fit whole values. */
  readonly headerPatterns?: Readonly<Record<string, string>>
  /** First parameters of these names, decoded. */
  readonly query?: Readonly<Record<string, string>>
  readonly queryPatterns?: Readonly<Record<string, string>>
}

/** One workload and what stands in front of it. A worker serves many. */
export interface Workload {
  readonly name: string
  readonly id: SpiffeId
  readonly listeners: readonly Listener[]
  /** Where it runs, as endpoints say it. Default nobody knows, and no endpoint is nearer than another. */
  readonly locality?: string
}

export type Bind =
  | { readonly kind: 'tcp'; readonly address: string; readonly port: number }
  | { readonly kind: 'unix'; readonly path: string } // Created with mode 0600.

export type Listener =
  | {
      readonly direction: 'inbound'
      readonly name: string
      readonly bind: Bind
      /** What comes in is passed as bytes, by one decision for each connection; or as its caller found it to be. Default HTTP. */
      readonly protocol?: 'tcp' | 'detect'
      /** Where the workload itself listens, in plain HTTP/1.1 unless it says otherwise. */
      readonly app: { readonly address: string; readonly port: number; readonly protocol?: 'h2c' }
      readonly service: string
      readonly policy: PolicyUse | undefined
      /** In order of precedence: the first that matches says what is asked in place of `policy`. Default none. */
      readonly policies?: readonly RoutePolicy[]
      /** Default it takes what comes. */
      readonly limits?: ListenerLimits
      /** Default it takes who comes. */
      readonly sources?: SourceLimits
    }
  | {
      readonly direction: 'outbound'
      readonly name: string
      readonly bind: Bind
      /** The service that every connection here is for, passed as bytes. Default HTTP, whose requests name theirs. */
      readonly tcp?: string
      /** Whether what is HTTP there is judged by its requests. Default all of it is bytes. */
      readonly detect?: true
      /** Default nothing outside of the mesh is reached. */
      readonly outside?: readonly OutsideService[]
    }
  | GatewayListener
  | EgressListener

/** A port for callers of the mesh, by mTLS, which leads out of it. */
export interface EgressListener {
  readonly direction: 'egress'
  readonly name: string
  readonly bind: Bind
  readonly outside: readonly OutsideService[]
  /** Default it takes who comes. */
  readonly sources?: SourceLimits
}

/** A port for callers from outside: what they ask is judged here, and goes on into the mesh by its host. */
export interface GatewayListener {
  readonly direction: 'gateway'
  readonly name: string
  readonly bind: Bind
  /** All of them are plain HTTP, or all of them TLS. No other host is served. */
  readonly sites: readonly Site[]
  /** Oldest version of TLS that is spoken. Default 1.3. */
  readonly minTls?: '1.2'
  /** Whether callers are asked for a certificate. Default they are not. */
  readonly clients?: ClientCertificates
  /** In order of precedence, as those of the mesh; what none of them matches is not served. */
  readonly routes: readonly Route[]
  readonly policy: PolicyUse | undefined
  /** What is asked about a route, by its name, in place of `policy`. */
  readonly policies?: readonly Omit<RoutePolicy, 'match'>[]
  /** Default it takes what comes. */
  readonly limits?: ListenerLimits
  /** Default it takes who comes. */
  readonly sources?: SourceLimits
}

/** One host of a gateway, in lower case and without port. */
export type Site = { readonly host: string } & (
  | { readonly serves: 'http' }
  /** TLS alone: whoever comes without is sent to that port. */
  | { readonly serves: 'redirect'; readonly port: number }
  /** TLS that ends here. Certificates are named; each machine has them by itself, and the first that fits is shown. */
  | { readonly serves: 'https'; readonly certificates: readonly string[] }
  /** TLS that ends where it leads: passed on as bytes, by one decision for each connection. */
  | { readonly serves: 'tls'; readonly route: string; readonly backends: Route['backends'] }
)

export interface ClientCertificates {
  /** One that is shown must hold in both. */
  readonly mode: 'required' | 'optional'
  /**
   * Roots, by the names under which each machine has them, of certificates that are no SVIDs. Whoever shows one is called
   * by its DNS name, in a trust domain that is nobody else's. Default SVIDs alone are taken.
   */
  readonly roots?: { readonly names: readonly string[]; readonly trustDomain: TrustDomain }
}

/** Which rule an inbound listener asks about the requests of one route. */
export interface RoutePolicy {
  /** Name of the route. */
  readonly route: string
  readonly match: RouteMatch
  /** Undefined for a route that no binding names: it asks what the listener asks. */
  readonly policy: PolicyUse | undefined
}

/** What an inbound listener takes. Each limit that is asked must have room. */
export interface ListenerLimits {
  readonly all: readonly RateLimit[]
  /** Default every request. */
  readonly accepts?: Accepts
  /** In order of precedence: the first that matches is asked beside `all`. Default none. */
  readonly routes?: readonly {
    readonly route: string
    readonly match: RouteMatch
    readonly limits: readonly RateLimit[]
    /** Beside what the listener takes. Default every request. */
    readonly accepts?: Accepts
  }[]
}

/** Requests that are taken, by what they are. */
export interface Accepts {
  /** In upper case. Default all. */
  readonly methods?: readonly string[]
  /** Longest body, in bytes. Default any. */
  readonly bodyBytes?: number
}

export interface AuditSettings {
  /** What a response waits for: record written, synced, or acknowledged by the stream. */
  readonly durability: Durability
  /** Spool size per worker at which requests are refused, in bytes. Default 1 GiB. */
  readonly spoolMaxBytes: number
  /** Size of one segment, in bytes. Default 64 MiB. */
  readonly segmentBytes: number
  /** Longest time a written record waits for its sync in `bounded`, in milliseconds. Default 50. */
  readonly syncEveryMs: number
  /** Time between signed heads of a busy producer, in milliseconds. Default 1000. */
  readonly headEveryMs: number
  /** Time between signed heads of an idle one, in milliseconds. Default 60 000. */
  readonly idleHeadEveryMs: number
  /** What becomes of requests that pass and cannot be recorded. Default `refuse`. */
  readonly onFull?: 'refuse' | 'allow-and-account'
  /** Requests a second that a worker is sized for; the last run's measure where it is left out. */
  readonly expectedRate?: number
}

export type Durability = 'bounded' | 'strict' | 'replicated'

export const auditDefaults: AuditSettings = {
  durability: 'bounded',
  spoolMaxBytes: 1024 ** 3,
  segmentBytes: 64 * 1024 ** 2,
  syncEveryMs: 50,
  headEveryMs: 1000,
  idleHeadEveryMs: 60_000,
}

/** Every policy that a listener asks. */
export function usesOf(listener: Listener): readonly PolicyUse[] {
  const outside = 'outside' in listener ? (listener.outside ?? []) : []
  const own = 'policy' in listener ? [listener.policy, ...(listener.policies ?? []).map(({ policy }) => policy)] : []
  return [...own, ...outside.map(({ policy }) => policy)].filter((use) => use !== undefined)
}
