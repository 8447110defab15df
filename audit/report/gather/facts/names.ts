/** Gatherings that a filter over single records cannot say, by name, and what each gives: `writ report explain` prints it. */

export const factTexts: Readonly<Record<string, string>> = {
  traffic: 'totals of decisions: inbound, outbound, of trials, told by OPA servers; refusals before a request',
  log: 'the verification of the whole log: missing, contested and unsigned records, leaves drawn and proved, word of witnesses',
  certificates: 'serials that callers showed, against the serials of issuance records up to the end of the time',
  policies: 'revisions that decisions name, against those that policy records announced up to the end of the time',
  changes: 'revisions that were put in force in the time, against declared approvals',
  retention: 'time of the first leaf that is there, what was pruned, and the holds',
  clock:
    'how far records are ahead of the ledger’s own next record, by producer; age of time stamps and cosignatures at the checkpoint',
  grants: 'callers and services that were let do something, and when last, up to the end of the time',
  review: 'findings of the time, against the acknowledgements by named persons',
  interruptions: 'starts after an end that was not on purpose, runs that never ended, spools that were full or lost',
  transport: 'what TLS the runs of producers that recorded in the time could agree on, as their start says',
  tokens: 'ids of tokens by the certificate or address that they came with',
  drills: 'drills of the time, by kind and listener, against the listeners that decided anything in it',
}

export const factNames: readonly string[] = Object.keys(factTexts)
