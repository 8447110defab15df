/** Markup, and the one way to make it: every value that is not markup itself is escaped. */

/** Markup whose values were escaped. */
export type Html = { readonly html: string }
export type Value = string | number | Html | readonly Html[]

/** Every value that is not markup itself is escaped: names and texts in a report were written by strangers. */
export function html(parts: TemplateStringsArray, ...values: readonly Value[]): Html {
  let text = parts[0]!
  values.forEach((value, i) => {
    text += render(value) + parts[i + 1]!
  })
  return { html: text }
}

function render(value: Value): string {
  if (typeof value === 'string') return escapeHtml(value)
  if (typeof value === 'number') return grouped(value)
  return 'html' in value ? value.html : value.map(({ html }) => html).join('')
}

const escapes: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}
export const escapeHtml = (text: string): string => text.replace(/[&<>"']/g, (sign) => escapes[sign]!)

/** Words between backticks are code. */
export const ticked = (text: string): readonly Html[] =>
  text.split('`').map((part, i) => (i % 2 === 1 ? html`<code>${part}</code>` : html`${part}`))

/** `caller -> target`, whose arrow stays in one piece where the line is broken. */
export const edge = (name: string): readonly Html[] =>
  name.split(' -> ').map((part, i) => (i === 0 ? html`${part}` : html` <span class="keep">-&gt;</span> ${part}`))

/** A number with its unit, in digits grouped by three: `1,204 requests`. */
export const amount = (count: number, one: string, many: string = `${one}s`): string =>
  `${grouped(count)} ${count === 1 ? one : many}`

export const grouped = (count: number): string => String(count).replace(/\B(?=(\d{3})+(?!\d))/g, ',')
