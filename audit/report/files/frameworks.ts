/** Frameworks as files have them: ids, our own words, and which part of a requirement a check speaks for. */

import { z } from 'zod'
import type { Framework } from '../../../core/compliance.ts'
import { WritError } from '../../../core/fault.ts'
import { readShape } from './shape.ts'

const text = z.string().min(1).max(2048)
const frameworkId = z
  .string()
  .regex(/^[a-z0-9][a-z0-9.-]{0,63}$/, 'is no id: lower-case letters, digits, dots and dashes')

const frameworkShape = z.strictObject({
  ...{ id: frameworkId, title: text, edition: z.string().max(64), version: text, reviewed: z.iso.date() },
  ids: text.optional(),
  parts: z
    .array(
      z
        .strictObject({
          ...{ id: text, about: text, part: z.string().max(2048).default(''), checks: z.array(text).default([]) },
          ...{ notObservable: text.optional(), confirmed: z.boolean().default(false) },
        })
        .refine(
          (part) => part.checks.length > 0 !== (part.notObservable !== undefined),
          'has checks, or says why it is notObservable',
        )
        .refine(
          (part) => part.checks.length === 0 || part.part !== '',
          'does not say which part of it the checks speak for',
        ),
    )
    .min(1)
    .max(5000),
})

/** A framework that is another one, narrowed to the ids of a baseline. */
const baselineShape = z.strictObject({
  ...{ id: frameworkId, title: text, edition: z.string().max(64), extends: text, ids: text, baseline: text },
})

export interface IdList {
  readonly baselines?: Readonly<Record<string, readonly string[]>>
}

interface Baseline {
  readonly id: string
  readonly title: string
  readonly edition: string
  /** Framework that is narrowed, list of ids, and the baseline in that list. */
  readonly extends: string
  readonly ids: string
  readonly baseline: string
}

export type FrameworkFile = { readonly framework: Framework } | { readonly baseline: Baseline }

/** Throws `config_invalid`. */
export function readFramework(value: unknown, file: string): FrameworkFile {
  const isBaseline = typeof value === 'object' && value !== null && 'extends' in value
  if (isBaseline) return { baseline: readShape(baselineShape, value, file) }
  const framework = readShape(frameworkShape, value, file)
  const seen = new Set<string>()
  for (const { id } of framework.parts) {
    if (seen.has(id)) throw new WritError('config_invalid', `${file}: parts: ${id} stands there twice`)
    seen.add(id)
  }
  return { framework: framework as Framework }
}

/** All frameworks, those of baselines made from what they extend. */
export function settleFrameworks(
  files: readonly FrameworkFile[],
  idsOf: (list: string) => IdList | undefined,
): readonly Framework[] {
  const whole = files.flatMap((file) => ('framework' in file ? [file.framework] : []))
  const narrowed = files.flatMap((file) => ('baseline' in file ? [narrow(file.baseline, whole, idsOf)] : []))
  return [...whole, ...narrowed].sort((a, b) => (a.id < b.id ? -1 : 1))
}

function narrow(
  { extends: base, baseline, ...named }: Baseline,
  whole: readonly Framework[],
  idsOf: (list: string) => IdList | undefined,
): Framework {
  const of = whole.find(({ id }) => id === base)
  const ids = idsOf(named.ids)?.baselines?.[baseline]
  if (!of || !ids) {
    throw new WritError(
      'config_invalid',
      `framework ${named.id}: there is no ${of ? `baseline ${baseline} in ${named.ids}` : `framework ${base}`}`,
    )
  }
  return { ...of, ...named, parts: of.parts.filter(({ id }) => ids.includes(nistId(id))) }
}

/** As OSCAL's files have it: `SC-8(1)` is `sc-8.1`. */
export const nistId = (id: string): string => id.toLowerCase().replace('(', '.').replace(')', '')
