/** Identities beyond those of the mesh's own workloads: entries, platforms and federated domains, as control has them. */

import { join } from 'node:path'
import { entryJson, maxEntries, readEntry } from '../../ca/entries.ts'
import type { Authority } from '../../ca/node/authority.ts'
import { type Federation, openFederation } from '../../ca/node/federation.ts'
import { readText, replaceText } from '../../ca/node/files.ts'
import { makeRegistration, type Registration } from '../../ca/node/registration.ts'
import { makeProvePlatform } from '../../ca/platform/token.ts'
import { discoverKeys } from '../../ca/token/discovery.ts'
import { holdKeys } from '../../ca/token/keys.ts'
import type { IdentitySettings } from '../../control/mesh/registration.ts'
import { entryRoutes } from '../../control/node/entry-routes.ts'
import type { DoorApp } from '../../control/node/http.ts'
import type { StateFolder } from '../../control/node/state.ts'
import { toBase64 } from '../../core/bytes.ts'
import { messageOf, WritError } from '../../core/fault.ts'
import type { TrustBundle } from '../../core/identity.ts'
import { parseJson } from '../../core/json.ts'
import type { RecordSink } from '../../core/ports.ts'
import type { SpiffeId } from '../../core/spiffe.ts'
import type { RevisedEntry } from '../../core/workload.ts'
import { openHttpTransport } from '../../engine/node/http-transport.ts'
import type { OnEvent } from './telemetry.ts'
import { fetchKeysOver, tellKeys } from './tokens.ts'

export interface RegistrationsOptions {
  readonly state: StateFolder
  readonly authority: Authority
  readonly sink: RecordSink
  readonly settings: () => { readonly identity: IdentitySettings; readonly svidTtlMs: number }
  readonly denied: () => ReadonlySet<string>
  /** Who acts through the operator's door, as records name them. */
  readonly actor: string
  readonly nowMs: () => number
  readonly onEvent: OnEvent
  /** Told of every change that agents and proxies wait for. */
  readonly changed: () => void
}

export interface Registrations {
  readonly registration: Registration
  readonly routes: DoorApp
  /** Whether an entry names this id that is nobody's but its own to prove. */
  isRegistered(id: SpiffeId): boolean
  /** Bundles of federated domains. */
  foreign(): readonly TrustBundle[]
  /** Takes up what the mesh file says now. */
  apply(): void
  close(): void
}

export function openRegistrations(options: RegistrationsOptions): Registrations {
  const { state, authority, sink, settings, nowMs, onEvent } = options
  const made = openEntries(join(state.root, 'entries.json'))
  const ofMesh = (): readonly RevisedEntry[] => settings().identity.entries
  const isOfMesh = (name: string): boolean => ofMesh().some((entry) => entry.name === name)
  // A name of the mesh file wins over one that was made here before it was written there.
  const entries = (): readonly RevisedEntry[] => [...ofMesh(), ...made.list().filter(({ name }) => !isOfMesh(name))]
  const federation = federate(options)
  const keys = holdKeys(discoverKeys(fetchKeysOver(openHttpTransport())), (news) => tellKeys(news, onEvent))
  const registration = makeRegistration({
    ...{ authority, sink, nowMs },
    svidTtlMs: settings().svidTtlMs,
    foreign: () => federation.bundles(),
    platform: { prove: makeProvePlatform(() => settings().identity.issuers, keys), entries, denied: options.denied },
    roots: () => settings().identity.roots,
  })
  federation.follow(settings().identity.federation)
  return {
    registration,
    routes: entryRoutes({
      ...{ trustDomain: authority.trustDomain, entries, isOfMesh, actor: options.actor },
      put: (entry) => {
        made.put(entry)
        options.changed()
      },
      remove: (name) => {
        made.remove(name)
        options.changed()
      },
      sink: () => sink,
      unexpected: (thrown) => onEvent({ level: 'error', from: 'control', text: messageOf(thrown) }),
    }),
    isRegistered: (id) => entries().some((entry) => entry.id === id && entry.parent === undefined),
    foreign: () => federation.bundles(),
    apply: () => federation.follow(settings().identity.federation),
    close: () => federation.close(),
  }
}

/** Each new bundle is in the log before it is believed. */
function federate({ state, authority, sink, nowMs, onEvent, changed }: RegistrationsOptions): Federation {
  const federation = openFederation({
    dir: join(state.ca, 'federation'),
    own: () => authority.bundle(),
    nowMs,
    onBundle: ({ trustDomain, sequence, roots }) =>
      Promise.resolve(sink.keep({ kind: 'trust', trust_domain: trustDomain, sequence, roots: roots.map(toBase64) })),
    onProblem: (trustDomain, problem) => {
      const text = problem ?? `the bundle of ${trustDomain} is had again`
      onEvent({ level: problem === undefined ? 'info' : 'warn', from: 'federation', text })
    },
  })
  federation.subscribe(changed)
  return federation
}

/** Entries that were made through the API, in one file that is replaced whole. */
function openEntries(path: string): {
  list(): readonly RevisedEntry[]
  put(entry: RevisedEntry): void
  remove(name: string): void
} {
  const kept = new Map(load(path).map((entry) => [entry.name, entry]))
  const save = (): void => replaceText(path, `${JSON.stringify([...kept.values()].map(entryJson))}\n`)
  return {
    list: () => [...kept.values()],
    put(entry) {
      if (!kept.has(entry.name) && kept.size >= maxEntries) {
        throw new WritError('in_use', `${maxEntries} entries are registered`, { cure: 'remove some' })
      }
      kept.set(entry.name, entry)
      save()
    },
    remove(name) {
      kept.delete(name)
      save()
    },
  }
}

function load(path: string): readonly RevisedEntry[] {
  const text = readText(path)
  if (text === undefined) return []
  const list = parseJson(text)
  const entries = Array.isArray(list) ? list.map(readEntry) : [undefined]
  if (!entries.includes(undefined)) return entries as RevisedEntry[]
  throw new WritError('config_invalid', `${path} is not a list of registration entries`, {
    cure: 'restore it, or remove it and register them anew',
  })
}
