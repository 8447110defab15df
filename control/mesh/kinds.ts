/** The kinds of `writ.dev/v1`: what Gateway API has no words for. Shapes here; what they mean together is compile.ts. */

import { z } from 'zod'
import { personalShape } from '../../core/personal.ts'
import { auditDefaults, type Durability } from '../../core/snapshot.ts'
import { type BodySpec, bodySpec, type MemberSpec, recordBodySpec } from './body.ts'
import { type ComplianceSpec, complianceSpec } from './compliance.ts'
import { type AccessSpec, accessSpec, type FindingsSpec, findingsSpec } from './findings.ts'
import { type HttpSpec, httpSpec } from './http.ts'
import { type KafkaSpec, kafkaSpec } from './kafka.ts'
import { type PublishSpec, publishSpec, type RetentionSpec, retentionSpec, type S3Spec, s3Spec } from './keeping.ts'
import { type TimestampSpec, timestamps, type WitnessSpec, witnesses, witnessPolicy } from './outside.ts'
import { type TargetRef, targetRefs } from './target-refs.ts'
import { recordClaimsSpec, type TokensSpec, tokensSpec } from './tokens.ts'
import { type TracingSpec, tracingSpec } from './tracing.ts'
import { type CanarySpec, canarySpec, type ShadowSpec, shadowSpec } from './trials.ts'
import { address, bundleName, bytes, duration, entrypoint, host, locality, name, port, spiffePath } from './words.ts'

export interface MeshSpec {
  readonly trustDomain: string
  readonly cluster?: string
  readonly audit?: {
    readonly durability?: Durability
    readonly spoolMaxBytes?: number
    readonly segmentBytes?: number
    readonly syncEveryMs?: number
    readonly headEveryMs?: number
    readonly idleHeadEveryMs?: number
    readonly onFull?: 'refuse' | 'allow-and-account'
    readonly expectedRate?: number
    readonly stream?: 'embedded' | { readonly kafka: KafkaSpec }
    readonly store?: 'embedded' | { readonly postgres: { readonly urlEnv: string } }
    readonly witnesses?: readonly WitnessSpec[]
    readonly witnessPolicy?: { readonly quorum: number }
    readonly timestamps?: TimestampSpec
    readonly findings?: FindingsSpec
    readonly access?: AccessSpec
    readonly compliance?: ComplianceSpec
    readonly s3?: S3Spec
    readonly publish?: PublishSpec
    readonly retention?: RetentionSpec
  }
  readonly identity?: {
    readonly ttl?: string
    readonly recovery?: string
    readonly roots?: { readonly publish?: string; readonly keep?: string }
    readonly store?: { readonly postgres: { readonly urlEnv: string } }
    readonly keys?: RootKeysSpec
    readonly upstream?: { readonly vault: VaultSpec }
  }
  readonly tracing?: TracingSpec
}

/** One of them. */
export interface RootKeysSpec {
  readonly pkcs11?: { readonly module: string; readonly token: string; readonly pinEnv: string }
  readonly awsKms?: { readonly region: string; readonly endpoint?: string }
  readonly gcpKms?: { readonly keyRing: string; readonly hsm?: boolean; readonly endpoint?: string }
  readonly azureKeyVault?: { readonly vault: string; readonly hsm?: boolean }
}

export interface VaultSpec {
  readonly address: string
  readonly mount?: string
  readonly tokenFile: string
  readonly namespace?: string
  readonly caFile?: string
}

/** As Kubernetes and Gateway API (GEP-1911) write it on ports of services. */
type AppProtocol = 'http' | 'kubernetes.io/ws' | 'kubernetes.io/h2c' | 'grpc' | 'tcp' | 'detect'

/** A loopback port whose connections all go to one service. */
export interface TcpSpec {
  readonly service: string
  readonly address?: string
  readonly port: number
}

export interface WorkloadSpec {
  readonly identity?: string
  readonly service?: string
  readonly host?: string
  readonly locality?: string
  readonly inbound?: {
    readonly address?: string
    readonly port: number
    readonly app: { readonly address?: string; readonly port: number; readonly appProtocol?: AppProtocol }
  }
  readonly outbound?: {
    readonly address?: string
    readonly port?: number
    readonly socket?: string
    readonly tcp?: readonly TcpSpec[]
  }
  readonly gateway?: { readonly name: string; readonly address?: string }
  readonly egress?: { readonly port: number; readonly address?: string }
}

export interface ServiceSpec {
  readonly hosts?: readonly string[]
  readonly port?: number
  readonly endpoints?: readonly {
    readonly address?: string
    readonly port?: number
    readonly workload?: string
    readonly identity?: string
    readonly locality?: string
  }[]
}

export interface PolicyBindingSpec {
  readonly targetRefs: readonly TargetRef[]
  readonly bundle: string
  readonly entrypoint: string
  readonly body?: BodySpec
  readonly tokens?: TokensSpec
  readonly record?: {
    readonly headers?: readonly string[]
    readonly query?: boolean
    readonly body?: readonly MemberSpec[]
    readonly claims?: readonly MemberSpec[]
    readonly personal?: readonly string[]
    readonly subject?: string
  }
  readonly onFault?: 'refuse' | 'pass'
  readonly shadow?: ShadowSpec
  readonly canary?: CanarySpec
  readonly http?: HttpSpec
  readonly explain?: boolean
}

const personalField = z.string().regex(personalShape, {
  error: 'is none of: header x-user, query, path, source address, claim a.b, member a.b',
})

const everyMs = (fallback: number, effect: string) =>
  z.int().min(1).max(86_400_000).describe(`${effect}, in milliseconds. Default ${fallback}.`).exactOptional()

const stream = z.union(
  [
    z.literal('embedded'),
    z.strictObject({
      kafka: kafkaSpec,
    }),
  ],
  { error: 'is neither "embedded" nor {kafka: {brokers, topic, tls, sasl}}' },
)

const envName = z
  .string()
  .regex(/^[A-Za-z_][A-Za-z0-9_]{0,127}$/, { error: 'is not the name of an environment variable' })

const store = z.union(
  [
    z.literal('embedded'),
    z.strictObject({
      postgres: z.strictObject({
        urlEnv: envName.describe(
          'Name of the environment variable that holds the URL, so that no password stands in the file.',
        ),
      }),
    }),
  ],
  { error: 'is neither "embedded" nor {postgres: {urlEnv}}' },
)

export const meshSpec: z.ZodType<MeshSpec> = z.strictObject({
  trustDomain: z
    .string()
    .regex(/^[a-z0-9._-]{1,255}$/, { error: 'is not a trust domain: lower-case letters, digits, ".", "_", "-"' })
    .describe('SPIFFE trust domain of every workload in this file.'),
  cluster: name.describe('Name of this cluster in records. Default main.').exactOptional(),
  audit: z
    .strictObject({
      durability: z
        .enum(['bounded', 'strict', 'replicated'])
        .describe(
          'What a response waits for: its record written, synced, or acknowledged by the stream. Default bounded.',
        )
        .exactOptional(),
      spoolMaxBytes: bytes(1024 * 1024)
        .describe('Spool size per worker at which requests are refused, in bytes. Default 1 GiB.')
        .exactOptional(),
      segmentBytes: bytes(128 * 1024)
        .describe('Size of one spool segment, in bytes. Default 64 MiB.')
        .exactOptional(),
      syncEveryMs: everyMs(auditDefaults.syncEveryMs, 'Longest time a written record waits for its sync'),
      headEveryMs: everyMs(auditDefaults.headEveryMs, 'Time between signed heads of a busy producer'),
      idleHeadEveryMs: everyMs(auditDefaults.idleHeadEveryMs, 'Time between signed heads of an idle producer'),
      onFull: z
        .enum(['refuse', 'allow-and-account'])
        .describe(
          'What becomes of requests that may pass while the spool takes no record: 503, or they pass and are counted. Default refuse.',
        )
        .exactOptional(),
      expectedRate: z
        .number()
        .positive()
        .max(10_000_000)
        .describe(
          'Requests a second and worker that spools must hold for four hours. Default what the last run measured.',
        )
        .exactOptional(),
      stream: stream.describe('Where records travel. Default embedded: the spool itself.').exactOptional(),
      store: store.describe('Where the log is kept. Default embedded: a database in the state folder.').exactOptional(),
      witnesses: witnesses.exactOptional(),
      witnessPolicy: witnessPolicy.exactOptional(),
      timestamps: timestamps.exactOptional(),
      findings: findingsSpec.exactOptional(),
      access: accessSpec.exactOptional(),
      compliance: complianceSpec.exactOptional(),
      s3: s3Spec.exactOptional(),
      publish: publishSpec.exactOptional(),
      retention: retentionSpec.exactOptional(),
    })
    .exactOptional(),
  tracing: tracingSpec.exactOptional(),
  identity: z
    .strictObject({
      ttl: duration.describe('Life of a certificate, 1m to 24h. Default 1h.').exactOptional(),
      recovery: duration
        .describe(
          'How long after the end of its certificate a workload has another by its recovery key; 0s: never. Default 72h.',
        )
        .exactOptional(),
      roots: z
        .strictObject({
          publish: duration
            .describe('How long a new root is in the bundle before it signs. Default 15m.')
            .exactOptional(),
          keep: duration
            .describe('How long an old root stays after the end of the last certificate of its. Default 1h.')
            .exactOptional(),
        })
        .exactOptional(),
      store: z
        .strictObject({
          postgres: z.strictObject({
            urlEnv: envName.describe('Name of the environment variable that holds the URL.'),
          }),
        })
        .describe('What several control planes share: the authority, join tokens, the deny list. Default files of one.')
        .exactOptional(),
      keys: z
        .strictObject({
          pkcs11: z
            .strictObject({
              module: z.string().min(1).max(4096).describe("Path of the module's shared library."),
              token: z.string().min(1).max(32).describe('Label of the token.'),
              pinEnv: envName.describe('The environment variable that has the PIN.'),
            })
            .exactOptional(),
          awsKms: z
            .strictObject({
              region: z.string().regex(/^[a-z0-9-]{1,64}$/),
              endpoint: z.url().max(512).describe('Default that of AWS in the region.').exactOptional(),
            })
            .describe('Credentials are those of the environment, as AWS names them.')
            .exactOptional(),
          gcpKms: z
            .strictObject({
              keyRing: z
                .string()
                .regex(/^projects\/[\w.:-]{1,63}\/locations\/[a-z0-9-]{1,63}\/keyRings\/[\w-]{1,63}$/)
                .describe('projects/P/locations/L/keyRings/R'),
              hsm: z.boolean().describe('Whether keys are made in a hardware module. Default true.').exactOptional(),
              endpoint: z.url().max(512).describe('Default https://cloudkms.googleapis.com.').exactOptional(),
            })
            .describe('As the service account that this machine or pod runs as.')
            .exactOptional(),
          azureKeyVault: z
            .strictObject({
              vault: z.url().max(512).describe('https://NAME.vault.azure.net'),
              hsm: z.boolean().describe('Whether keys are made in a hardware module. Default true.').exactOptional(),
            })
            .describe('As the workload identity or managed identity of this machine or pod.')
            .exactOptional(),
        })
        .refine(
          (places) => Object.keys(places).length === 1,
          'keys are in one place: pkcs11, awsKms, gcpKms or azureKeyVault',
        )
        .describe("Where the keys of new roots are made. Default beside the authority's state, sealed by WRIT_CA_KEY.")
        .exactOptional(),
      upstream: z
        .strictObject({
          vault: z.strictObject({
            address: z.url().max(512).describe('https://host:port'),
            mount: z
              .string()
              .regex(/^[A-Za-z0-9_-]+(\/[A-Za-z0-9_-]+)*$/)
              .max(256)
              .describe('Where the PKI secrets engine is mounted. Default pki.')
              .exactOptional(),
            tokenFile: z.string().min(1).max(4096).describe('Has the token; read anew for each request.'),
            namespace: z.string().min(1).max(256).describe('Default none.').exactOptional(),
            caFile: z
              .string()
              .min(1)
              .max(4096)
              .describe("PEM that Vault's own certificate is judged by. Default the roots of this machine.")
              .exactOptional(),
          }),
        })
        .describe('Who signs the issuer instead of a root of our own.')
        .exactOptional(),
    })
    .exactOptional(),
})

export const workloadSpec: z.ZodType<WorkloadSpec> = z.strictObject({
  identity: spiffePath.describe('SPIFFE path or whole id. Default /<name>.').exactOptional(),
  service: name.describe('Service that the inbound listener serves. Default the workload’s own name.').exactOptional(),
  host: name
    .describe('Machine or container it runs on; ports clash only on one host. Default: one host for all.')
    .exactOptional(),
  locality: locality
    .describe('Where it runs: region/zone/subzone. Its calls prefer endpoints of the same place. Default nobody knows.')
    .exactOptional(),
  inbound: z
    .strictObject({
      address: address.describe('Address to listen on for mTLS. Default 127.0.0.1.').exactOptional(),
      port,
      app: z
        .strictObject({
          address: address.describe('Default 127.0.0.1.').exactOptional(),
          port,
          appProtocol: z
            .enum(['http', 'kubernetes.io/ws', 'kubernetes.io/h2c', 'grpc', 'tcp', 'detect'])
            .describe(
              'What it speaks there: HTTP/1.1, HTTP/2 without TLS for h2c and grpc, or, for tcp, bytes that nobody reads; detect is HTTP where a caller’s first line is, and bytes else. Default http.',
            )
            .exactOptional(),
        })
        .describe('Where the workload itself listens, without TLS.'),
    })
    .exactOptional(),
  outbound: z
    .strictObject({
      address: address.describe('A loopback address. Default 127.0.0.1.').exactOptional(),
      port: port.exactOptional(),
      socket: z
        .string()
        .regex(/^[^\0-\x1f\x7f\ud800-\udfff]{1,100}$/, { error: 'is not a path of 1 to 100 characters' })
        .describe('Unix socket, created with mode 0600. Instead of a port.')
        .exactOptional(),
      tcp: z
        .array(
          z.strictObject({
            service: name.describe('A service whose workloads speak tcp.'),
            address: address.describe('A loopback address. Default 127.0.0.1.').exactOptional(),
            port,
          }),
        )
        .min(1)
        .max(256)
        .describe('A port for each service that is called by opaque TCP. Default none.')
        .exactOptional(),
    })
    .refine((out) => out.port === undefined || out.socket === undefined, {
      error: 'has a port and a socket: needs either of them',
    })
    .refine((out) => out.port !== undefined || out.socket !== undefined || out.tcp !== undefined, {
      error: 'needs either a port or a socket',
    })
    .refine((out) => out.socket === undefined || out.address === undefined, {
      error: 'has an address, which a socket does not take',
    })
    .exactOptional(),
  egress: z
    .strictObject({
      port,
      address: address.describe('Address to listen on for mTLS. Default 127.0.0.1.').exactOptional(),
    })
    .describe('Where other workloads reach the ExternalServices that name this one as their gateway.')
    .exactOptional(),
  gateway: z
    .strictObject({
      name: name.describe('A Gateway of class writ-ingress, whose ports it listens on.'),
      address: address.describe('Address to listen on for callers from outside. Default 127.0.0.1.').exactOptional(),
    })
    .exactOptional(),
})

export const serviceSpec: z.ZodType<ServiceSpec> = z.strictObject({
  hosts: z
    .array(host)
    .min(1)
    .max(64)
    .describe('Host names by which workloads call it. Default the service’s name.')
    .exactOptional(),
  port: port.describe('The port that routes name. Default 80.').exactOptional(),
  endpoints: z
    .array(
      z
        .strictObject({
          address: address.exactOptional(),
          port: port.exactOptional(),
          workload: name
            .describe('A Workload of this file: its identity, and its inbound address and port unless given here.')
            .exactOptional(),
          identity: spiffePath.describe('The name that the endpoint must prove.').exactOptional(),
          locality: locality
            .describe('Where it runs: region/zone/subzone. Default that of its workload.')
            .exactOptional(),
        })
        .refine((end) => (end.workload === undefined) !== (end.identity === undefined), {
          error: 'needs either a workload or an identity',
        })
        .refine((end) => end.identity === undefined || (end.address !== undefined && end.port !== undefined), {
          error: 'needs an address and a port beside its identity',
        }),
    )
    .min(1)
    .max(1024)
    .describe('Default: the Workloads that name this service.')
    .exactOptional(),
})

export const policyBindingSpec: z.ZodType<PolicyBindingSpec> = z.strictObject({
  targetRefs: targetRefs('The most specific one wins: a route over a workload over a service.'),
  bundle: bundleName.describe('Name of a policy bundle.'),
  entrypoint: entrypoint.describe('Path of the rule that is asked.'),
  body: bodySpec.exactOptional(),
  tokens: tokensSpec.exactOptional(),
  explain: z
    .boolean()
    .describe("Whether refused callers read the policy's reasons. Default false: they are for the record.")
    .exactOptional(),
  record: z
    .strictObject({
      body: recordBodySpec.exactOptional(),
      claims: recordClaimsSpec.exactOptional(),
      personal: z
        .array(personalField)
        .max(32)
        .describe(
          'Personal data: records hold a salted digest of it, and what it is of is kept apart under a key that can be destroyed. Default none.',
        )
        .exactOptional(),
      subject: personalField
        .describe('Whose personal data it is: the field that names them. Default nobody: a key for each day.')
        .exactOptional(),
      headers: z
        .array(z.string().regex(/^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}$/, { error: 'is not a header name' }))
        .max(32)
        .describe('Request headers that records keep. Default none.')
        .exactOptional(),
      query: z
        .boolean()
        .describe('Whether records keep the query. Default false: queries carry secrets.')
        .exactOptional(),
    })
    .exactOptional(),
  onFault: z
    .enum(['refuse', 'pass'])
    .describe('What becomes of requests that the policy cannot judge, its bundle missing or failing. Default refuse.')
    .exactOptional(),
  shadow: shadowSpec.exactOptional(),
  canary: canarySpec.exactOptional(),
  http: httpSpec.exactOptional(),
})
