/** Fields that the policy made digests, as an answer shows them. */

import type { Json } from '../../core/json.ts'
import type { DecisionRow, SealedField } from './answer.ts'

/** `path withheld`, `header x-user disclosed "ann"`, `query erased by 0123…-7`; where there are none, nothing. */
export const sealedTexts = ({ sealed = [] }: DecisionRow): readonly string[] => sealed.map(textOf)

function textOf({ field, state, value, erasedBy }: SealedField): string {
  if (state === 'disclosed') return `${field} disclosed ${JSON.stringify(value)}`
  return `${field} ${state}${erasedBy === undefined ? '' : ` by ${erasedBy}`}`
}

/** The same for a cell: fields by their state, and the values beside their names. */
export function sealedSummary({ sealed = [] }: DecisionRow): string {
  const of = (state: SealedField['state']): string => {
    const fields = sealed.filter((one) => one.state === state)
    const names = fields.map(({ field, value }) => (state === 'disclosed' ? `${field}=${plainText(value)}` : field))
    return names.length === 0 ? '' : `${state}: ${names.join(', ')}`
  }
  return [of('disclosed'), of('withheld'), of('erased')].filter(Boolean).join('; ')
}

/** What stands where the value of a column would: itself where it is disclosed, else `[withheld]` or `[erased]`. */
export function shownField({ sealed = [] }: Pick<DecisionRow, 'sealed'>, field: string): string | null {
  const found = sealed.find((one) => one.field === field)
  if (!found) return null
  return found.state === 'disclosed' ? plainText(found.value) : `[${found.state}]`
}

const plainText = (value: Json | undefined): string =>
  typeof value === 'string' ? value : JSON.stringify(value ?? null)

/** What was opened of a record. */
export interface Opened {
  readonly id: string
  readonly state: string
  readonly fields: readonly { readonly name: string; readonly value?: Json }[]
}

/** The rows with the values that were opened of them; a value that did not fit its digest is not among those. */
export function withOpened(rows: readonly DecisionRow[], opened: readonly Opened[]): readonly DecisionRow[] {
  const values = new Map(opened.map(({ id, fields }) => [id, new Map(fields.map(({ name, value }) => [name, value]))]))
  return rows.map((row) => {
    const of = values.get(row.id)
    if (!of || !row.sealed) return row
    const sealed = row.sealed.map((one): SealedField => {
      const value = of.get(one.field)
      return one.state === 'withheld' && value !== undefined ? { field: one.field, state: 'disclosed', value } : one
    })
    return { ...row, sealed }
  })
}
