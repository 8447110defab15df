/** Customers of the bank: mostly what is allowed, sometimes what is not. */

import { request } from 'node:http'

/** One visit and how many inbound decisions of each kind it must leave behind. */
export interface Visit {
  readonly name: string
  readonly method: string
  readonly path: string
  readonly body?: unknown
  readonly status: number
  readonly allowed: number
  readonly denied: number
}

export const visits: readonly Visit[] = [
  // storefront -> orders, orders -> ledger twice
  {
    name: 'buy',
    method: 'POST',
    path: '/buy',
    body: { customer: 'alice', amount: 5 },
    status: 201,
    allowed: 3,
    denied: 0,
  },
  { name: 'look', method: 'GET', path: tryPath('orders', 'GET', '/orders'), status: 200, allowed: 1, denied: 0 },
  {
    name: 'buy again',
    method: 'POST',
    path: '/buy',
    body: { customer: 'bob', amount: 3 },
    status: 201,
    allowed: 3,
    denied: 0,
  },
  { name: 'cancel', method: 'GET', path: tryPath('orders', 'DELETE', '/orders/1'), status: 403, allowed: 0, denied: 1 },
  { name: 'look', method: 'GET', path: tryPath('orders', 'GET', '/orders'), status: 200, allowed: 1, denied: 0 },
  {
    name: 'peek',
    method: 'GET',
    path: tryPath('ledger', 'GET', '/accounts/alice'),
    status: 403,
    allowed: 0,
    denied: 1,
  },
]

export function tryPath(service: string, method: string, path: string): string {
  return `/try?${new URLSearchParams({ service, method, path })}`
}

export interface Seen {
  readonly visits: number
  readonly surprises: readonly string[]
  readonly allowed: number
  readonly denied: number
}

/** Makes `count` visits one after the other and says what came back. */
export async function visit(
  storefront: string,
  count: number,
  from = 0,
  progress: (done: number) => void = () => undefined,
): Promise<Seen> {
  const surprises: string[] = []
  let allowed = 0
  let denied = 0
  for (let i = from; i < from + count; i++) {
    const wanted = visits[i % visits.length]!
    const status = await send(storefront, wanted)
    if (status !== wanted.status) surprises.push(`${wanted.name}: ${status} where ${wanted.status} was due`)
    allowed += wanted.allowed
    denied += wanted.denied
    progress(i - from + 1)
  }
  return { visits: count, surprises, allowed, denied }
}

export function send(storefront: string, wanted: Pick<Visit, 'method' | 'path' | 'body'>): Promise<number> {
  return new Promise((resolve) => {
    const text = wanted.body === undefined ? '' : JSON.stringify(wanted.body)
    const sent = request(`${storefront}${wanted.path}`, { method: wanted.method }, (response) => {
      response.resume().on('end', () => resolve(response.statusCode ?? 0))
    })
    sent.on('error', () => resolve(0))
    sent.end(text)
  })
}
