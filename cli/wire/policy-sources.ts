/** The policy sources of a mesh: one poller for each, opened and closed as the mesh file says. */

import { dirname, join, resolve } from 'node:path'
import type { Keyless, PolicySource } from '../../control/mesh/policy-sources.ts'
import type { DoorApp } from '../../control/node/http.ts'
import { policySourceRoutes } from '../../control/node/policy-source-routes.ts'
import { messageOf, WritError } from '../../core/fault.ts'
import type { PolicyBundle, PolicyRef } from '../../core/policy.ts'
import type { NowNs, RecordSink } from '../../core/ports.ts'
import { readKeySet } from '../../engine/node/key-set.ts'
import { readVerificationKey } from '../../engine/node/keys.ts'
import { type BundleSource, openBundleSource, type SourceEvent } from '../../engine/node/poll.ts'
import type { BundleVerification, KeylessVerification, SignedBy } from '../../engine/verification.ts'
import type { OnEvent } from './telemetry.ts'

export interface PolicySources {
  /** Opens what is new, closes what is gone. Throws `config_invalid`, and then nothing has changed. */
  follow(wanted: readonly PolicySource[]): Promise<void>
  /** All bundles that there are: a source's take the place of one of that name in the policies folder. */
  over(local: readonly PolicyBundle[]): readonly PolicyBundle[]
  /** What the admin door tells of them. */
  readonly routes: DoorApp
  /** Records what is refused from now on, and calls back when other bundles are in force than `over` last gave. */
  attach(sink: RecordSink, changed: (why: string) => void): void
  close(): Promise<void>
}

export interface PolicySourcesOptions {
  /** Folder that the sources keep their bundles in, each in its own. */
  readonly dir: string
  readonly meshFile: string
  readonly now: NowNs
  readonly onEvent: OnEvent
}

/** A source with what its files say: what it takes to tell whether it has changed. */
interface Resolved extends Omit<PolicySource, 'verification'> {
  readonly verification: BundleVerification | undefined
}

export function openPolicySources({ dir, meshFile, now, onEvent }: PolicySourcesOptions): PolicySources {
  const open = new Map<string, { readonly settings: string; readonly source: BundleSource }>()
  let news: string | undefined
  let changed: (why: string) => void = () => undefined
  let sink: RecordSink | undefined

  /** Who signed what came into force, until the log is there to be told. */
  const signed = new Map<string, string>()
  const recordSigned = (): void => {
    if (!sink) return
    for (const text of signed.values()) void record('policy_signed', text)
    signed.clear()
  }

  const heard = (name: string, event: SourceEvent, verification: BundleVerification | undefined): void => {
    const now = open.get(name)?.source.current()?.ref
    const on = now ? `goes on with revision ${now.revision}` : 'has no bundle, so whoever binds it denies everything'
    const from = `policy ${name}`
    switch (event.kind) {
      case 'in_force':
        onEvent({ level: 'info', from, text: `revision ${event.ref.revision} is in force (${hows[event.how]})` })
        if (event.how === 'restored') return
        if (verification) signed.set(name, signedText(event.ref, event.signedBy, verification))
        recordSigned()
        news = `policy ${name} ${event.ref.revision}`
        changed(news)
        break
      case 'refused':
        onEvent({ level: 'error', from, text: `${on}: ${event.why}` })
        void record('policy_refused', `${name} ${event.sha256}: ${event.why}`)
        break
      case 'unreachable':
        onEvent({ level: 'warn', from, text: `${on}: ${event.why}` })
    }
  }

  const record = async (action: string, detail: string): Promise<void> => {
    try {
      await sink?.keep({ kind: 'admin', action, actor: 'control', detail: detail.slice(0, 1024) })
    } catch (thrown) {
      onEvent({ level: 'error', from: 'control', text: messageOf(thrown) })
    }
  }

  const opened = (settings: Resolved): Promise<BundleSource> => {
    const { verification, ...given } = settings
    return openBundleSource({
      ...given,
      ...(verification ? { verification } : {}),
      dir: join(dir, settings.name),
      now,
      random: Math.random, // So that many do not ask at once; nobody gains by guessing it.
      onEvent: (event) => heard(settings.name, event, verification),
    })
  }

  return {
    async follow(wanted) {
      const resolved = await Promise.all(wanted.map((source) => withFiles(source, dirname(meshFile))))
      const settings = new Map(resolved.map((source) => [source.name, JSON.stringify(source)]))
      for (const [name, { source, settings: before }] of open) {
        if (settings.get(name) === before) continue
        await source.close()
        open.delete(name)
      }
      for (const source of resolved) {
        if (open.has(source.name)) continue
        open.set(source.name, { settings: settings.get(source.name)!, source: await opened(source) })
      }
    },
    over(local) {
      news = undefined
      const hidden = local.filter(({ ref }) => open.has(ref.bundle)).map(({ ref }) => ref.bundle)
      for (const name of hidden) {
        onEvent({ level: 'warn', from: `policy ${name}`, text: 'the one in the policies folder is not used' })
      }
      const given = [...open.values()].flatMap(({ source }) => source.current() ?? [])
      return [...local.filter(({ ref }) => !hidden.includes(ref.bundle)), ...given]
    },
    routes: policySourceRoutes({
      status: () => [...open.values()].map(({ source }) => source.status()),
      async rollback(bundle, revision) {
        const found = open.get(bundle)
        if (!found) throw new WritError('not_found', `no PolicySource is named ${bundle}`)
        return found.source.rollback(revision)
      },
      sink: () => sink,
      actor: `uid ${process.getuid?.() ?? 0}`,
    }),
    attach(to, callback) {
      sink = to
      changed = callback
      recordSigned()
      if (news !== undefined) changed(news)
    },
    async close() {
      await Promise.all([...open.values()].map(({ source }) => source.close()))
    },
  }
}

const hows = { restored: 'kept from before', given: 'given by its server', rolled_back: 'rolled back to' }

/** The log then says of each bundle that came into force whose it was. Reports read its beginning: name, revision, digest. */
function signedText(ref: PolicyRef, by: SignedBy | undefined, { keys, keyId }: BundleVerification): string {
  const who = by
    ? `${by.subject} of ${by.issuer} at ${new Date(by.at * 1000).toISOString()}`
    : `the key ${keyId ?? keys[0]?.id ?? 'of its PolicySource'}`
  return `${ref.bundle} ${ref.revision} ${ref.sha256}: signed by ${who}`
}

/** Files are named from the mesh file's folder. */
async function withFiles({ verification, tokenFile, ...source }: PolicySource, folder: string): Promise<Resolved> {
  const files = tokenFile === undefined ? {} : { tokenFile: resolve(folder, tokenFile) }
  if (!verification) return { ...source, ...files, verification: undefined }
  const scope = verification.scope === undefined ? {} : { scope: verification.scope }
  const { keyless } = verification
  if (keyless)
    return { ...source, ...files, verification: { keys: [], ...scope, keyless: await withKeys(keyless, folder) } }
  const { keyFile = '', keyId, algorithm } = verification
  const key = await readVerificationKey(resolve(folder, keyFile), {
    ...(algorithm === undefined ? {} : { algorithm }),
    ...(keyId === undefined ? {} : { id: keyId }),
  })
  const pinned = { keys: [key], ...(keyId === undefined ? {} : { keyId }), ...scope }
  return { ...source, ...files, verification: pinned }
}

async function withKeys({ issuer, subject, jwksFile, jwks }: Keyless, folder: string): Promise<KeylessVerification> {
  const keys = jwksFile === undefined ? (jwks ?? '') : await readKeySet(resolve(folder, jwksFile))
  return { issuer, subject, keys }
}
