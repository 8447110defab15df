/** Session persistence of a rule (Gateway API SessionPersistence, GEP-1619). */

import { z } from 'zod'
import { isOwnField } from '../../core/filters.ts'
import type { SessionPlace } from '../../core/snapshot.ts'
import { type Path, type Placed, type Problem, problemAt } from './problem.ts'
import { duration, durationMs } from './words.ts'

export interface SessionSpec {
  readonly sessionName?: string
  readonly type?: 'Cookie' | 'Header'
  readonly absoluteTimeout?: string
  readonly cookieConfig?: { readonly lifetimeType?: 'Permanent' | 'Session' }
}

export const sessionSpec: z.ZodType<SessionSpec> = z
  .strictObject({
    sessionName: z
      .string()
      .regex(/^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}$/, { error: 'is no name of a cookie or header' })
      .describe('Name of the cookie or header. Default writ-session.')
      .exactOptional(),
    type: z.enum(['Cookie', 'Header']).describe('Default Cookie.').exactOptional(),
    absoluteTimeout: duration.describe('How long a browser keeps a Permanent cookie.').exactOptional(),
    cookieConfig: z
      .strictObject({
        lifetimeType: z
          .enum(['Permanent', 'Session'])
          .describe('Session: until the browser is closed. Default Session.')
          .exactOptional(),
      })
      .exactOptional(),
  })
  .describe('Requests of one client go to the endpoint that answered its first one. Default none.')

/** Undefined where a rule has none. */
export function sessionOf(
  placed: Placed<unknown>,
  rule: number,
  { sessionPersistence: spec }: { readonly sessionPersistence?: SessionSpec },
  problems: Problem[],
): SessionPlace | undefined {
  if (!spec) return undefined
  const { sessionName = 'writ-session', type = 'Cookie', absoluteTimeout, cookieConfig } = spec
  const say = (field: string, problem: string, cure: string): void => {
    const path: Path = ['spec', 'rules', rule, 'sessionPersistence', field]
    problems.push(problemAt(placed, path, problem, cure))
  }
  const stays = cookieConfig?.lifetimeType === 'Permanent'
  if (type === 'Header' && cookieConfig) say('cookieConfig', 'is for cookies', 'remove it, or write type: Cookie')
  if (type === 'Header' && isOwnField(sessionName)) {
    say('sessionName', `${sessionName} is written by the proxy alone`, 'choose another name')
  }
  if (stays && absoluteTimeout === undefined) {
    say('cookieConfig', 'Permanent does not say for how long', 'add absoluteTimeout')
  }
  if (!stays && absoluteTimeout !== undefined) {
    say('absoluteTimeout', 'is of a cookie that stays', 'add cookieConfig: {lifetimeType: Permanent}, or remove it')
  }
  if (absoluteTimeout !== undefined && durationMs(absoluteTimeout) < 1000) {
    say('absoluteTimeout', 'is less than a second', 'write 1s or more')
  }
  return {
    kind: type === 'Header' ? 'header' : 'cookie',
    name: type === 'Header' ? sessionName.toLowerCase() : sessionName,
    ...(absoluteTimeout !== undefined && { maxAgeS: Math.floor(durationMs(absoluteTimeout) / 1000) }),
  }
}
