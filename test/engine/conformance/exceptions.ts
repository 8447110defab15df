/** Cases that are not counted, by note, each with its reason. */

const native = 'OPA leaves it out for its own Wasm host'

export const exceptions: Readonly<Record<string, string>> = {
  'data/toplevel integer': `${native}: compiled code compares integers beyond 64 bits as text`,
  'data/nested integer': `${native}: compiled code compares integers beyond 64 bits as text`,
  'strings/format_int: bignum exact (>64-bit integer, all bases + negative)': `${native}: compiled code has 64 bits`,
  'arithmetic/bignum exact (>64-bit integers through plus, minus, multiply)': `${native}: compiled code has 64 bits`,
  'aggregates/bignum exact (>64-bit integers through sum and product)': `${native}: compiled code has 64 bits`,
  'arithmetic/bignum modulo (divisor a nonzero multiple of 2^64)': `${native}: compiled code has 64 bits`,
  'aggregates/sum integer fast-path overflow (elements fit int64, sum does not)': `${native}: compiled code has 64 bits`,
  'jsonbuiltins/unmarshal number beyond the supported exponent is undefined': `${native}: compiled code has no limit there`,
  'jsonbuiltins/unmarshal number with too big an exponent is undefined': `${native}: compiled code has no limit there`,
  'time/time caching': "it calls test.sleep, which only OPA's own test program has",
}
