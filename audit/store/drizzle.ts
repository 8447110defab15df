/**
 * What the store uses of drizzle-orm. Everything else imports it from here: Node reads a package's whole list of exports
 * again for each file that names it, and that of drizzle-orm is 170 kB, so fifty files took a command half a second.
 */

export {
  and,
  asc,
  count,
  countDistinct,
  desc,
  eq,
  getTableColumns,
  gte,
  inArray,
  isNull,
  like,
  lt,
  lte,
  max,
  or,
  type SQL,
  sql,
} from 'drizzle-orm'
