/**
 * The JSON Schema (draft-07) of a policy's input, as core/input.ts makes it: for OPA's type checker and for editors. It
 * is closed, so that a misspelt member is an error; test/core/input-schema.test.ts holds the two equal for any facts.
 */

import type { Json } from './json.ts'

type Members = { readonly [name: string]: Json }

const text = (description: string): Json => ({ type: 'string', description })
const texts = { type: 'array', items: { type: 'string' } } as const

const closed = (properties: Members, optional: readonly string[] = []): Members => ({
  type: 'object',
  properties,
  required: Object.keys(properties).filter((name) => !optional.includes(name)),
  additionalProperties: false,
})

const socket = closed({
  socketAddress: closed({ address: text('IP address.'), portValue: { type: 'integer', minimum: 0, maximum: 65_535 } }),
})

/** Its names are the caller's own, and OPA's checker knows either fixed names or any: so the four that are ours are not listed. */
const headers: Members = {
  type: 'object',
  description:
    'Names in lower case; repeated fields joined by ", ". With `:authority`, `:method`, `:path` and `:scheme`, which are ours.',
  additionalProperties: { type: 'string' },
}

const http = closed(
  {
    body: text('What was read of the body, where the binding lets the policy see it.'),
    headers,
    host: text('Lower-case host, with the port where the request named one.'),
    id: text('Joins what each hop records of one call.'),
    method: text('Upper case.'),
    path: text('Normalised path, with its query.'),
    protocol: { enum: ['HTTP/1.1', 'HTTP/1.0', 'HTTP/2'], type: 'string' },
    query: text('Without its question mark; empty where there is none.'),
    rawBody: text('The same in base64, where it is no UTF-8.'),
    scheme: { enum: ['http', 'https'], type: 'string' },
    size: text('Length of the whole body in bytes; -1 where it is not known yet.'),
  },
  ['body', 'rawBody', 'size'],
)

const attributes = closed(
  {
    destination: closed({ address: socket }),
    request: closed({ http, time: text('When it was judged, RFC 3339.') }),
    source: closed({ address: socket, principal: text('SPIFFE id that the caller proved.') }, ['principal']),
  },
  ['request'],
)

const token = closed(
  {
    audiences: { ...texts, description: 'Its aud, as a list.' },
    claims: { type: 'object', description: 'All that it says.', additionalProperties: true },
    issuer: text('Its iss.'),
    provider: text('Name of the provider, in the binding, whose keys vouch for it.'),
    subject: text('Its sub.'),
  },
  ['subject'],
)

const writ = closed(
  {
    direction: { enum: ['inbound', 'outbound'], type: 'string' },
    grpc: closed({ method: text('Its method.'), service: text('With its package: bank.Ledger.') }),
    listener: text('workload/listener.'),
    protocol: { enum: ['tcp'], type: 'string', description: 'Of a connection that is passed as bytes; else missing.' },
    service: text('The service asked for, where a route was found.'),
    token,
    workload: text('SPIFFE id of the workload that the listener stands for.'),
  },
  ['grpc', 'protocol', 'service', 'token'],
)

export const policyInputSchema: Members = {
  $schema: 'http://json-schema.org/draft-07/schema#',
  title: 'Input of a policy',
  ...closed(
    {
      attributes,
      parsed_body: { description: 'Value of a body that is JSON, a form or multipart; null for any other.' },
      parsed_path: { ...texts, description: 'Steps of the path, decoded once.' },
      parsed_query: { type: 'object', description: 'Members of the query, decoded once.', additionalProperties: texts },
      source_principal: text('SPIFFE id that the caller proved.'),
      truncated_body: { type: 'boolean', description: 'Whether there is more of the body than the policy sees.' },
      version: closed({
        encoding: { enum: ['protojson'], type: 'string' },
        ext_authz: { enum: ['v3'], type: 'string' },
      }),
      writ,
    },
    ['parsed_body', 'parsed_path', 'parsed_query', 'source_principal', 'truncated_body'],
  ),
}
