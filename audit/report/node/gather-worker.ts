/** A thread that reads parts of a log, and gathers for a report what is in them. */

import { answerParts } from '../../node/part-thread.ts'
import { type GatheredPart, isCut, isPlain, Part, type Period } from '../gather/part.ts'
import { type GatherSettings, planOf } from '../gather/plan.ts'

await answerParts((gather) => {
  const settings = gather as GatherSettings & Period
  const plan = planOf(settings)
  return ({ from, to }) => {
    const part = new Part(plan, from, to - from, undefined)
    return {
      look: (leaf, shard, event, judged) => part.take(leaf, shard, event, judged, judged),
      async finish(shard, again): Promise<GatheredPart> {
        const whole = part.save()
        if (!isCut(whole, settings)) return { whole }
        const inPeriod = new Part(plan, from, to - from, settings)
        for await (const leaves of again()) {
          for (const leaf of leaves) inPeriod.take(leaf, shard, undefined, isPlain(leaf))
        }
        return { whole, inPeriod: inPeriod.save() }
      },
    }
  }
})
