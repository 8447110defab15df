/** The connections of a proxy to its upstreams, a pool for each endpoint: what all pools do alike, whatever they speak. */

import type { IdentitySource } from '../../core/ports.ts'
import type { Endpoint } from '../../core/snapshot.ts'

export interface EndpointPool {
  /** Connections that are open. */
  readonly size: number
  /** Nothing is in it, and nobody waits for it. */
  readonly empty: boolean
  /** The identity changed. */
  renew(): void
  /** Time moves. */
  sweep(): void
  close(): void
}

/** What endpoints share a pool: those of one address, port and name. */
const keyOf = ({ address, port, identity, outside }: Endpoint): string =>
  `${address} ${port} ${identity ?? (outside ? JSON.stringify(outside) : '')}`

export class ByEndpoint<Pool extends EndpointPool> {
  readonly #make: (endpoint: Endpoint) => Pool
  readonly #byKey = new Map<string, Pool>()
  /** The same by the snapshot's own objects, which saves building keys. */
  #byEndpoint = new WeakMap<Endpoint, Pool>()
  readonly #unsubscribe: () => void

  constructor(source: IdentitySource, make: (endpoint: Endpoint) => Pool) {
    this.#make = make
    this.#unsubscribe = source.subscribe(() => {
      for (const pool of this.#byKey.values()) pool.renew()
    })
  }

  of(endpoint: Endpoint): Pool {
    const known = this.#byEndpoint.get(endpoint)
    if (known) return known
    const key = keyOf(endpoint)
    const pool = this.#byKey.get(key) ?? this.#make(endpoint)
    this.#byKey.set(key, pool)
    this.#byEndpoint.set(endpoint, pool)
    return pool
  }

  sweep(): void {
    let emptied = false
    for (const [key, pool] of this.#byKey) {
      pool.sweep()
      if (!pool.empty) continue
      this.#byKey.delete(key)
      emptied = true
    }
    if (emptied) this.#byEndpoint = new WeakMap()
  }

  close(): void {
    this.#unsubscribe()
    for (const pool of this.#byKey.values()) pool.close()
  }

  /** Connections of all of them that are open. */
  open(): number {
    return [...this.#byKey.values()].reduce((sum, pool) => sum + pool.size, 0)
  }
}
