/** Names, addresses and spans of time as mesh files write them. */

import { z } from 'zod'

/** DNS-1123 subdomain, as Kubernetes names things. */
export const name: z.ZodType<string, string> = z
  .string()
  .max(253)
  .regex(/^[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*$/, {
    error: 'is not a name: lower-case letters, digits, "-" and "." only',
  })

/** A host name as callers write it, without port. */
export const host: z.ZodType<string, string> = z
  .string()
  .max(253)
  .regex(/^[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*$/, {
    error: 'is not a lower-case host name without port and wildcard',
  })

/** The same, or all hosts below a name: `*.shop.example`. */
export const hostPattern: z.ZodType<string, string> = z
  .string()
  .max(255)
  .regex(/^(?:\*\.)?[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*$/, {
    error: 'is not a lower-case host name without port, nor "*." before one',
  })

export const address: z.ZodType<string, string> = z
  .string()
  .max(253)
  .regex(/^(?:[A-Za-z0-9](?:[-A-Za-z0-9.]*[A-Za-z0-9])?|[0-9a-f:.]*:[0-9a-f:.]*)$/, {
    error: 'is neither a host name nor an IP address',
  })

export const spiffePath: z.ZodType<string, string> = z
  .string()
  .max(2048)
  .regex(/^(?:spiffe:\/\/[a-z0-9._-]{1,255})?(?:\/(?!\.{1,2}(?:\/|$))[A-Za-z0-9._-]+)+$/, {
    error: 'is neither a path such as /orders nor a whole SPIFFE id',
  })

/** `region`, `region/zone` or `region/zone/subzone`, as Istio writes localities. */
export const locality: z.ZodType<string, string> = z
  .string()
  .regex(/^[A-Za-z0-9._-]{1,63}(?:\/[A-Za-z0-9._-]{1,63}){0,2}$/, {
    error: 'is not a locality such as eu-west-1/eu-west-1a: region, zone and subzone, of which the first is needed',
  })

export const port: z.ZodType<number, number> = z.int().min(1).max(65_535)

export const bundleName: z.ZodType<string, string> = z
  .string()
  .regex(/^[A-Za-z0-9._-]{1,128}$/, { error: 'is not the name of a bundle' })

export const entrypoint: z.ZodType<string, string> = z
  .string()
  .max(512)
  .regex(/^[A-Za-z0-9_]+(?:\/[A-Za-z0-9_]+)*$/, { error: 'is not an entry point such as writ/authz/result' })

/** Gateway API durations (GEP-2257): `1h30m`, `500ms`. */
export const duration: z.ZodType<string, string> = z
  .string()
  .regex(/^(?:[0-9]{1,5}(?:h|ms|m|s)){1,4}$/, { error: 'is not a duration such as 500ms, 10s or 1h30m' })

export const bytes = (smallest: number): z.ZodType<number, number> =>
  z
    .int()
    .min(smallest)
    .max(2 ** 50)

const units: Readonly<Record<string, number>> = { h: 3_600_000, m: 60_000, s: 1000, ms: 1 }

/** Milliseconds of a duration that has the right shape. */
export function durationMs(text: string): number {
  let total = 0
  for (const [, digits, unit] of text.matchAll(/([0-9]+)(h|ms|m|s)/g)) total += Number(digits) * units[unit!]!
  return total
}

/** Addresses that mean every address of the machine. */
export const isAnyAddress = (text: string): boolean => text === '0.0.0.0' || /^[0:]*::[0:]*$/.test(text)

/** Order of UTF-16 code units, the same on every machine. */
export const byText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)
