/** The bank's three services: plain HTTP programs that know nothing of certificates, policies or records. */

import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface BankPorts {
  /** Where each program listens, on loopback. */
  readonly storefront: number
  readonly orders: number
  readonly ledger: number
  /** The outbound listeners of the two that call others. */
  readonly storefrontOut: number
  readonly ordersOut: number
}

export interface Bank {
  readonly urls: { readonly storefront: string }
  close(): Promise<void>
}

interface Answer {
  readonly status: number
  readonly body: unknown
}

type Handler = (request: IncomingMessage, body: string) => Promise<Answer> | Answer

/** Starts all three; resolves when each listens. */
export async function openBank(ports: BankPorts): Promise<Bank> {
  const servers = await Promise.all([
    listen(ports.ledger, ledger()),
    listen(ports.orders, orders(ports.ordersOut)),
    listen(ports.storefront, storefront(ports.storefrontOut)),
  ])
  const address = servers[2]!.address() as AddressInfo
  return {
    urls: { storefront: `http://127.0.0.1:${address.port}` },
    async close() {
      await Promise.all(
        servers.map(
          (server) =>
            new Promise<void>((closed) => {
              server.close(() => closed())
              server.closeAllConnections()
            }),
        ),
      )
    },
  }
}

/** Accounts and transfers between them. */
function ledger(): Handler {
  const balances = new Map([
    ['alice', 1_000_000],
    ['bob', 500_000],
    ['shop', 0],
  ])
  return (request, body) => {
    const [, kind, name] = (request.url ?? '').split('/')
    if (request.method === 'GET' && kind === 'accounts' && name) {
      const balance = balances.get(name)
      return balance === undefined
        ? { status: 404, body: { error: 'no such account' } }
        : ok({ account: name, balance })
    }
    if (request.method === 'POST' && kind === 'transfers') {
      const { from, to, amount } = JSON.parse(body) as { from: string; to: string; amount: number }
      const [source, target] = [balances.get(from), balances.get(to)]
      if (source === undefined || target === undefined) return { status: 404, body: { error: 'no such account' } }
      balances.set(from, source - amount)
      balances.set(to, target + amount)
      return { status: 201, body: { from, to, amount } }
    }
    return { status: 404, body: { error: 'not found' } }
  }
}

/** Orders, each paid through the ledger. Kept to the last 1,000. */
function orders(outbound: number): Handler {
  const kept = new Map<string, unknown>()
  let next = 1
  return async (request, body) => {
    const [, kind, id] = (request.url ?? '').split('/')
    if (kind !== 'orders') return { status: 404, body: { error: 'not found' } }
    if (request.method === 'POST') {
      const { customer, amount } = JSON.parse(body) as { customer: string; amount: number }
      const account = await call(outbound, 'ledger', 'GET', `/accounts/${customer}`)
      if (account.status !== 200) return account
      const paid = await call(outbound, 'ledger', 'POST', '/transfers', { from: customer, to: 'shop', amount })
      if (paid.status !== 201) return paid
      const order = { id: String(next++), customer, amount }
      kept.set(order.id, order)
      if (kept.size > 1000) kept.delete(kept.keys().next().value as string)
      return { status: 201, body: order }
    }
    if (request.method === 'GET' && id) {
      const order = kept.get(id)
      return order === undefined ? { status: 404, body: { error: 'no such order' } } : ok(order)
    }
    if (request.method === 'DELETE' && id) return ok({ deleted: kept.delete(id) })
    return ok({ orders: [...kept.keys()].slice(-10) })
  }
}

/** What customers see. `/try` passes any call on as the storefront's own, for the curious. */
function storefront(outbound: number): Handler {
  return (request, body) => {
    const url = new URL(request.url ?? '/', 'http://storefront')
    if (request.method === 'POST' && url.pathname === '/buy') {
      return call(outbound, 'orders', 'POST', '/orders', JSON.parse(body))
    }
    if (url.pathname === '/try') {
      const { service, method, path } = Object.fromEntries(url.searchParams)
      return call(outbound, service ?? 'orders', method ?? 'GET', path ?? '/orders')
    }
    return ok({
      shop: 'open',
      buy: 'POST /buy {"customer":"alice","amount":5}',
      try: '/try?service=orders&method=DELETE&path=/orders/1',
    })
  }
}

const ok = (body: unknown): Answer => ({ status: 200, body })

/** A call through the caller's own sidecar: the Host says which service is meant. */
function call(outbound: number, service: string, method: string, path: string, body?: unknown): Promise<Answer> {
  return new Promise((resolve) => {
    const text = body === undefined ? '' : JSON.stringify(body)
    const headers = { host: service, 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) }
    const sent = request({ host: '127.0.0.1', port: outbound, method, path, headers }, async (response) => {
      const answer = await readAll(response).catch(() => '')
      resolve({ status: response.statusCode ?? 502, body: parsed(answer) })
    })
    sent.on('error', (error) => resolve({ status: 502, body: { error: error.message } }))
    sent.end(text)
  })
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

async function readAll(message: IncomingMessage): Promise<string> {
  let text = ''
  for await (const chunk of message.setEncoding('utf8')) {
    text += chunk
    if (text.length > 65_536) throw new Error('body too long')
  }
  return text
}

async function answer(handler: Handler, request: IncomingMessage, response: ServerResponse): Promise<void> {
  let result: Answer
  try {
    result = await handler(request, await readAll(request))
  } catch (error) {
    result = { status: 400, body: { error: String(error) } }
  }
  response.writeHead(result.status, { 'content-type': 'application/json' })
  response.end(`${JSON.stringify(result.body)}\n`)
}

function listen(port: number, handler: Handler): Promise<Server> {
  const server = createServer((request, response) => void answer(handler, request, response))
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, '127.0.0.1', () => resolve(server))
  })
}
