/** Requests as `http.send` and `providers.aws.sign_req` take them. */

import type { RegoObject, Value } from '../value.ts'
import { BuiltinError } from './builtin.ts'
import { objectArg } from './operand.ts'

const known: ReadonlySet<Value> = new Set([
  ...['method', 'url', 'body', 'enable_redirect', 'force_json_decode', 'force_yaml_decode', 'headers', 'raw_body'],
  ...['tls_use_system_certs', 'tls_ca_cert', 'tls_ca_cert_file', 'tls_ca_cert_env_variable'],
  ...['tls_client_cert', 'tls_client_cert_file', 'tls_client_cert_env_variable'],
  ...['tls_client_key', 'tls_client_key_file', 'tls_client_key_env_variable'],
  ...['tls_insecure_skip_verify', 'tls_server_name', 'timeout', 'cache', 'force_cache', 'force_cache_duration_seconds'],
  ...['raise_error', 'caching_mode', 'max_retry_attempts', 'cache_ignored_headers'],
])

export interface HttpRequest {
  readonly members: RegoObject
  readonly method: string
  readonly url: string
}

/** A member that OPA does not know is a fault, as is the lack of a method or a URL. */
export function readHttpRequest(value: Value): HttpRequest {
  const members = objectArg(value)
  const unknown = members.keys().find((key) => !known.has(key))
  if (unknown !== undefined) throw new BuiltinError('invalid request parameters(s)')
  const method = members.get('method')
  const url = members.get('url')
  if (typeof method !== 'string' || typeof url !== 'string') {
    throw new BuiltinError('missing or invalid request parameters(s): "method" and "url" are strings')
  }
  return { members, method, url }
}
