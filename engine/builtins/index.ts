/** Every builtin that a policy may call beyond those compiled into it, by name. */

import { aws } from './aws.ts'
import type { Builtin, BuiltinHost } from './builtin.ts'
import { casts } from './casts.ts'
import { digest } from './digest.ts'
import { encoding } from './encoding.ts'
import { graphql } from './graphql.ts'
import { http } from './http.ts'
import { json } from './json.ts'
import { jwt } from './jwt.ts'
import { net } from './net/cidr.ts'
import { numbers } from './numbers.ts'
import { objects } from './objects.ts'
import { regex } from './regex.ts'
import { runtime } from './runtime.ts'
import { semver } from './semver.ts'
import { strings } from './strings.ts'
import { time } from './time/builtins.ts'
import { units } from './units.ts'
import { uri } from './uri.ts'
import { uuid } from './uuid.ts'
import { x509 } from './x509.ts'
import { yaml } from './yaml/builtins.ts'

export const builtins: ReadonlyMap<string, Builtin> = new Map(
  Object.entries({
    ...aws,
    ...casts,
    ...digest,
    ...encoding,
    ...graphql,
    ...http,
    ...json,
    ...jwt,
    ...net,
    ...numbers,
    ...objects,
    ...regex,
    ...runtime,
    ...semver,
    ...strings,
    ...time,
    ...units,
    ...uri,
    ...uuid,
    ...x509,
    ...yaml,
  }),
)

/** What the host must be able to do for a builtin to be there at all. */
const needs: Readonly<Record<string, keyof BuiltinHost>> = {
  'http.send': 'httpSend',
  'net.lookup_ip_addr': 'lookupIpAddr',
  'rego.parse_module': 'parseModule',
}

/** May a policy call it on this host? */
export function isAvailable(name: string, host: BuiltinHost): boolean {
  const need = Object.hasOwn(needs, name) ? needs[name] : undefined
  return builtins.has(name) && (need === undefined || host[need] !== undefined)
}
