/** The policy data of a mesh: one source for each document, opened and closed as the mesh file says. */

import { dirname, join, resolve } from 'node:path'
import type { PolicyData } from '../../control/mesh/policy-data.ts'
import type { DoorApp } from '../../control/node/http.ts'
import { policyDataRoutes } from '../../control/node/policy-data-routes.ts'
import { messageOf, WritError } from '../../core/fault.ts'
import type { PolicyBundle } from '../../core/policy.ts'
import type { NowNs, RecordSink } from '../../core/ports.ts'
import { readBundle } from '../../engine/bundle.ts'
import { withData } from '../../engine/data.ts'
import { type DataEvent, type DataSource, openDataSource } from '../../engine/node/poll-data.ts'
import type { OnEvent } from './telemetry.ts'

/** A version as control hands it out. */
export interface ServedData {
  readonly name: string
  readonly bundle: string
  readonly revision: string
  readonly sha256: string
  readonly bytes: Uint8Array
}

export interface DataSources {
  /** Opens what is new, closes what is gone. */
  follow(wanted: readonly PolicyData[]): Promise<void>
  /** The versions in force. Throws `config_invalid` where one of these bundles has something in the place of one. */
  over(bundles: readonly PolicyBundle[]): Promise<readonly ServedData[]>
  /** Time since this version was last seen to be the newest, in milliseconds. */
  ageMs(name: string, sha256: string): number | undefined
  /** What the admin door tells of them. */
  readonly routes: DoorApp
  /** Records what is refused from now on, and calls back when other data is in force than `over` last gave. */
  attach(sink: RecordSink, changed: (why: string) => void): void
  close(): Promise<void>
}

export interface DataSourcesOptions {
  /** Folder that the sources keep their versions in, each in its own. */
  readonly dir: string
  readonly meshFile: string
  readonly now: NowNs
  readonly onEvent: OnEvent
}

export function openDataSources({ dir, meshFile, now, onEvent }: DataSourcesOptions): DataSources {
  const open = new Map<string, { readonly settings: PolicyData; readonly source: DataSource }>()
  let news: string | undefined
  let changed: (why: string) => void = () => undefined
  let sink: RecordSink | undefined

  const heard = (name: string, event: DataEvent): void => {
    const from = `data ${name}`
    if (event.kind === 'in_force') {
      const how = event.how === 'restored' ? 'kept from before' : 'new'
      onEvent({ level: 'info', from, text: `revision ${event.version.revision} is in force (${how})` })
      if (event.how === 'restored') return
      news = `data ${name} ${event.version.revision}`
      changed(news)
      return
    }
    const version = open.get(name)?.source.current()?.version
    const on = version ? `goes on with revision ${version.revision}` : 'has none, so whoever reads it denies everything'
    onEvent({ level: event.refused ? 'error' : 'warn', from, text: `${on}: ${event.why}` })
    if (event.refused) void record('policy_data_refused', `${name}: ${event.why}`)
  }

  const record = async (action: string, detail: string): Promise<void> => {
    try {
      await sink?.keep({ kind: 'admin', action, actor: 'control', detail: detail.slice(0, 1024) })
    } catch (thrown) {
      onEvent({ level: 'error', from: 'control', text: messageOf(thrown) })
    }
  }

  const opened = ({ name, from, tokenFile, refreshMs, maxBytes }: PolicyData): Promise<DataSource> => {
    const folder = dirname(meshFile)
    return openDataSource({
      name,
      from: 'url' in from ? from : { file: resolve(folder, from.file) },
      ...(tokenFile === undefined ? {} : { tokenFile: resolve(folder, tokenFile) }),
      refreshMs,
      maxBytes,
      dir: join(dir, name),
      now,
      random: Math.random, // So that many do not ask at once; nobody gains by guessing it.
      onEvent: (event) => heard(name, event),
    })
  }

  return {
    async follow(wanted) {
      const settings = new Map(wanted.map((one) => [one.name, one]))
      for (const [name, { source, settings: before }] of open) {
        const next = settings.get(name)
        if (next && JSON.stringify(next) === JSON.stringify(before)) continue
        await source.close()
        open.delete(name)
      }
      for (const one of wanted) {
        if (!open.has(one.name)) open.set(one.name, { settings: one, source: await opened(one) })
      }
    },
    async over(bundles) {
      news = undefined
      const all = [...open.values()]
      await checkPlaces(
        bundles,
        all.map(({ settings }) => settings),
      )
      return all.flatMap(({ settings: { bundle }, source }) => {
        const now = source.current()
        return now ? [{ ...now.version, bundle, bytes: now.bytes }] : []
      })
    },
    ageMs(name, sha256) {
      const source = open.get(name)?.source
      return source?.current()?.version.sha256 === sha256 ? source.ageMs() : undefined
    },
    routes: policyDataRoutes(() =>
      [...open.values()].map(({ settings: { bundle, path, maxAgeMs }, source }) => ({
        ...source.status(),
        bundle,
        path,
        ...(maxAgeMs === undefined ? {} : { max_age_s: maxAgeMs / 1000 }),
        stale: (source.ageMs() ?? Number.POSITIVE_INFINITY) > (maxAgeMs ?? Number.POSITIVE_INFINITY),
      })),
    ),
    attach(to, callback) {
      sink = to
      changed = callback
      if (news !== undefined) changed(news)
    },
    async close() {
      await Promise.all([...open.values()].map(({ source }) => source.close()))
    },
  }
}

/** Throws `config_invalid` where a bundle has something in the place of data that is fetched for it. */
export async function checkPlaces(
  bundles: readonly PolicyBundle[],
  policyData: readonly Pick<PolicyData, 'name' | 'bundle' | 'path'>[],
): Promise<void> {
  for (const { ref, bytes } of bundles) {
    const parts = policyData.filter(({ bundle }) => bundle === ref.bundle)
    if (parts.length === 0) continue
    try {
      withData(await readBundle(bytes, ref.bundle), parts)
    } catch (cause) {
      const cure = cause instanceof WritError && cause.cure !== undefined ? { cure: cause.cure } : {}
      throw new WritError('config_invalid', messageOf(cause), { cause, ...cure })
    }
  }
}
