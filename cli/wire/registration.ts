/** Identities beyond those of the mesh's own workloads: entries, platforms and federated domains, as control has them. */

import { join } from 'node:path'
import { entryJson, maxEntries, readEntry } from '../../ca/entries.ts'
import type { Authority } from '../../ca/node/authority.ts'
import { type Federation, openFederation } from '../../ca/node/federation.ts'
import { listIn, readText, replaceText } from '../../ca/node/files.ts'
import { makeRegistration, type Registration, type RegistrationOptions } from '../../ca/node/registration.ts'
import type { SharedState } from '../../ca/node/shared.ts'
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
import type { RecordSink } from '../../core/ports.ts'
import type { SpiffeId } from '../../core/spiffe.ts'
import type { RevisedEntry } from '../../core/workload.ts'
import { openHttpTransport } from '../../engine/node/http-transport.ts'
import { sharedValue } from './shared-value.ts'
import type { OnEvent } from './telemetry.ts'
import { fetchKeysOver, tellKeys } from './tokens.ts'

export interface RegistrationsOptions {
  readonly state: StateFolder
  /** With other control planes. Default this one is alone. */
  readonly shared: SharedState | undefined
  readonly authority: Authority
  readonly sink: RecordSink
  readonly settings: () => { readonly identity: IdentitySettings; readonly svidTtlMs: number }
  readonly denied: () => ReadonlySet<string>
  readonly onIssued: RegistrationOptions['onIssued']
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
  /** Whether an agent keeps this id's certificate fresh. */
  isServed(id: SpiffeId): boolean
  /** Bundles of federated domains. */
  foreign(): readonly TrustBundle[]
  /** Takes up what the mesh file says now. */
  apply(): void
  close(): void
}

export async function openRegistrations(options: RegistrationsOptions): Promise<Registrations> {
  const { shared, state, authority, sink, settings, nowMs, onEvent } = options
  const made = shared ? await sharedEntries(shared, options.changed) : fileEntries(join(state.root, 'entries.json'))
  const ofMesh = (): readonly RevisedEntry[] => settings().identity.entries
  const isOfMesh = (name: string): boolean => ofMesh().some((entry) => entry.name === name)
  // A name of the mesh file wins over one that was made here before it was written there.
  const entries = (): readonly RevisedEntry[] => [...ofMesh(), ...made.list().filter(({ name }) => !isOfMesh(name))]
  const federation = federate(options)
  const keys = holdKeys(discoverKeys(fetchKeysOver(openHttpTransport())), (news) => tellKeys(news, onEvent))
  const registration = makeRegistration({
    ...{ authority, sink, nowMs },
    svidTtlMs: settings().svidTtlMs,
    onIssued: options.onIssued,
    foreign: () => federation.bundles(),
    platform: { prove: makeProvePlatform(() => settings().identity.issuers, keys), entries, denied: options.denied },
    roots: () => settings().identity.roots,
    ...(shared && { once: shared.once }),
  })
  federation.follow(settings().identity.federation)
  return {
    registration,
    routes: entryRoutes({
      ...{ trustDomain: authority.trustDomain, entries, isOfMesh, actor: options.actor },
      put: async (entry) => {
        await made.put(entry)
        options.changed()
      },
      remove: async (name) => {
        await made.remove(name)
        options.changed()
      },
      sink: () => sink,
      unexpected: (thrown) => onEvent({ level: 'error', from: 'control', text: messageOf(thrown) }),
    }),
    isServed: (id) => entries().some((entry) => entry.id === id && entry.parent !== undefined),
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

/** Entries that were made through the API. */
export interface MadeEntries {
  list(): readonly RevisedEntry[]
  put(entry: RevisedEntry): void | Promise<void>
  remove(name: string): void | Promise<void>
}

/** In one file that is replaced whole. */
function fileEntries(path: string): MadeEntries {
  let kept = load(path)
  const save = (next: readonly RevisedEntry[]): void => {
    replaceText(path, textOf(next))
    kept = next
  }
  return {
    list: () => kept,
    put: (entry) => save(withEntry(kept, entry)),
    remove: (name) => save(kept.filter((one) => one.name !== name)),
  }
}

/** In a document that several control planes share. */
export async function sharedEntries(shared: SharedState, changed: () => void): Promise<MadeEntries> {
  const made = await sharedValue<readonly RevisedEntry[]>(shared.document('entries'), {
    ...{ empty: [], changed, write: textOf },
    read: (text) => entriesIn(text, 'the document of the entries'),
  })
  return {
    list: made.current,
    put: (entry) => made.update((now) => withEntry(now, entry)),
    remove: (name) => made.update((now) => now.filter((one) => one.name !== name)),
  }
}

const textOf = (entries: readonly RevisedEntry[]): string => `${JSON.stringify(entries.map(entryJson))}\n`

function withEntry(kept: readonly RevisedEntry[], entry: RevisedEntry): readonly RevisedEntry[] {
  const known = kept.some(({ name }) => name === entry.name)
  if (known) return kept.map((one) => (one.name === entry.name ? entry : one))
  if (kept.length < maxEntries) return [...kept, entry]
  throw new WritError('in_use', `${maxEntries} entries are registered`, { cure: 'remove some' })
}

function load(path: string): readonly RevisedEntry[] {
  const text = readText(path)
  return text === undefined ? [] : entriesIn(text, path)
}

const entriesIn = (text: string, place: string): readonly RevisedEntry[] =>
  listIn(text, readEntry, {
    ...{ of: 'registration entries', place },
    cure: 'restore it, or remove it and register them anew',
  })
