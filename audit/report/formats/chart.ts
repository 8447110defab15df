/** Decisions by day as bars, for who sees them, and as a table, for who does not. */

import type { ComplianceReport } from '../../../core/compliance.ts'
import { grouped, type Html, html } from '../markup.ts'

const [width, height, foot, left] = [720, 180, 22, 52]
const names = ['allow', 'deny', 'fault'] as const

/** More days than this are drawn week by week. */
const maxBars = 120

export function chart(days: ComplianceReport['days']): Html {
  const bars = days.length > maxBars ? weeks(days) : days
  const most = Math.max(...bars.map(({ allow, deny, fault }) => allow + deny + fault), 1)
  const step = (width - left) / bars.length
  const scale = (height - foot) / most
  const drawn = bars.flatMap((bar, i) => {
    let top = height - foot
    return names.flatMap((name) => {
      const tall = bar[name] * scale
      if (tall === 0) return []
      top -= tall
      const at = (value: number) => value.toFixed(1)
      return [
        html`<rect class="${name}" x="${at(left + i * step + step * 0.1)}" y="${at(top)}" width="${at(step * 0.8)}" height="${at(tall)}"/>`,
      ]
    })
  })
  const [first, last] = [bars[0]!.day, bars.at(-1)!.day]
  const told = `Bars of decisions by ${days.length > maxBars ? 'week' : 'day'} from ${first} to ${last}; the tallest is ${grouped(most)}. The numbers are in the table below.`
  return html`<figure><figcaption>Decisions at inbound listeners by ${days.length > maxBars ? 'week' : 'day'} (UTC)</figcaption>
<svg class="chart" viewBox="0 0 ${String(width)} ${String(height)}" role="img" aria-label="${told}"><line x1="${String(left)}" x2="${String(width)}" y1="${String(height - foot)}" y2="${String(height - foot)}"/><text x="${String(left - 6)}" y="12" text-anchor="end">${grouped(most)}</text><text x="${String(left - 6)}" y="${String(height - foot)}" text-anchor="end">0</text>${drawn}<text x="${String(left)}" y="${String(height - 6)}">${first}</text><text x="${String(width)}" y="${String(height - 6)}" text-anchor="end">${last}</text></svg>
<p class="legend"><span><i class="allow"></i>allowed</span><span><i class="deny"></i>denied</span><span><i class="fault"></i>could not be judged</span></p>
<details><summary>The numbers</summary><div class="scroll" role="region" tabindex="0" aria-label="Decisions by day"><table><thead><tr><th scope="col">${days.length > maxBars ? 'Week from' : 'Day'}</th><th scope="col" class="number">Allowed</th><th scope="col" class="number">Denied</th><th scope="col" class="number">Could not be judged</th></tr></thead><tbody>${bars.map(
    ({ day, allow, deny, fault }) =>
      html`<tr><th scope="row">${day}</th><td class="number">${allow}</td><td class="number">${deny}</td><td class="number">${fault}</td></tr>\n`,
  )}</tbody></table></div></details></figure>`
}

function weeks(days: ComplianceReport['days']): ComplianceReport['days'] {
  const sums = new Map<number, { day: string; allow: number; deny: number; fault: number }>()
  for (const { day, allow, deny, fault } of days) {
    const week = Math.floor((Date.parse(day) / 86_400_000 + 3) / 7) // Weeks begin on Monday; 1 January 1970 was a Thursday.
    const sum = sums.get(week) ?? { day, allow: 0, deny: 0, fault: 0 }
    sums.set(week, { day: sum.day, allow: sum.allow + allow, deny: sum.deny + deny, fault: sum.fault + fault })
  }
  return [...sums.values()]
}
