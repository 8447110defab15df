-- ClickHouse beside the log: it reads the topic of records by a consumer group of its own, and answers questions from raw
-- rows. A copy to ask, which vouches for nothing: every row has its leaf's hash, by which the log proves it or does not.
--
--   clickhouse-client --multiquery < deploy/clickhouse/writ.sql        after brokers and topic below were set
--
-- Brokers that ask who a client is: kafka_security_protocol, kafka_sasl_mechanism, kafka_sasl_username and
-- kafka_sasl_password in the settings of writ_stream, or <kafka> in the server's own configuration. The user needs Read and
-- Describe on the topic, and Read on the group.

create database if not exists writ;

-- A line is a record; after a tab comes what travels beside it, which is sealed and of no use here.
create table writ.writ_stream (line String)
engine = Kafka
settings kafka_broker_list = 'kafka:9092', kafka_topic_list = 'writ.records.v1', kafka_group_name = 'writ.clickhouse',
  kafka_format = 'LineAsString', kafka_num_consumers = 1, kafka_max_block_size = 65536;

-- Kafka delivers at least once. Rows of the same bytes become one; two records of one number with other bytes stay two,
-- since that is what the log calls an equivocation.
create table writ.writ_records (
  producer LowCardinality(String), epoch FixedString(24), seq UInt64, kind LowCardinality(String),
  at DateTime64(9, 'UTC'), direction LowCardinality(String), caller LowCardinality(String),
  target LowCardinality(String), service LowCardinality(String), method LowCardinality(String), path String,
  verdict LowCardinality(String), code LowCardinality(String), enforced Bool, bundle LowCardinality(String),
  revision LowCardinality(String), policy_sha256 LowCardinality(String), reasons Array(String),
  serial LowCardinality(String), source_address LowCardinality(String), request_id String, trace_id String,
  -- RFC 6962: SHA-256 of a zero byte and the record. It is what the log's hash tile has at the record's place.
  leaf_hash FixedString(32),
  kafka_partition UInt32, kafka_offset UInt64
)
engine = ReplacingMergeTree
partition by toDate(at)
order by (producer, epoch, seq, leaf_hash);

-- What is no record of ours; the log has it as an anomaly.
create table writ.writ_malformed (
  at DateTime default now(), line String, kafka_partition UInt32, kafka_offset UInt64
)
engine = MergeTree
order by at;

create materialized view writ.writ_to_malformed to writ.writ_malformed as
select line, _partition as kafka_partition, _offset as kafka_offset
from writ.writ_stream
where not isValidJSON(splitByChar('\t', line)[1]);

create materialized view writ.writ_to_records to writ.writ_records as
with splitByChar('\t', line)[1] as leaf,
  JSONExtractRaw(leaf, 'input', 'attributes') as attributes,
  JSONExtractString(leaf, 'direction') as facing,
  JSONExtractKeys(leaf, 'bundles')[1] as policy
select
  JSONExtractString(leaf, 'producer') as producer,
  toFixedString(JSONExtractString(leaf, 'epoch'), 24) as epoch,
  JSONExtractUInt(leaf, 'seq') as seq,
  JSONExtractString(leaf, 'kind') as kind,
  parseDateTime64BestEffort(JSONExtractString(leaf, 'timestamp'), 9, 'UTC') as at,
  facing as direction,
  JSONExtractString(attributes, 'source', 'principal') as caller,
  multiIf(facing <> 'outbound', JSONExtractString(leaf, 'workload'),
    JSONHas(leaf, 'service'), JSONExtractString(leaf, 'service'),
    JSONExtractString(attributes, 'request', 'http', 'host')) as target,
  JSONExtractString(leaf, 'service') as service,
  JSONExtractString(attributes, 'request', 'http', 'method') as method,
  cutQueryString(JSONExtractString(attributes, 'request', 'http', 'path')) as path,
  JSONExtractString(leaf, 'verdict') as verdict,
  JSONExtractString(leaf, 'code') as code,
  not JSONHas(leaf, 'enforced') or JSONExtractBool(leaf, 'enforced') as enforced,
  policy as bundle,
  JSONExtractString(leaf, 'bundles', policy, 'revision') as revision,
  JSONExtractString(leaf, 'bundles', policy, 'sha256') as policy_sha256,
  JSONExtract(leaf, 'reasons', 'Array(String)') as reasons,
  JSONExtractString(leaf, 'peer', 'serial') as serial,
  JSONExtractString(attributes, 'source', 'address', 'socketAddress', 'address') as source_address,
  JSONExtractString(leaf, 'request_id') as request_id,
  JSONExtractString(leaf, 'trace_id') as trace_id,
  SHA256(concat('\0', leaf)) as leaf_hash,
  _partition as kafka_partition,
  _offset as kafka_offset
from writ.writ_stream
where isValidJSON(leaf);

-- The questions, under the names that they have in PostgreSQL. `since` counts whole hours there, and here to the moment:
-- give the beginning of an hour to compare. FINAL leaves out what came twice.

create view writ.writ_decisions as
select * from writ.writ_records final where kind = 'decision' and enforced;

create view writ.writ_who_accessed as
select caller, target, method, verdict, code, bundle, revision, count() as decisions, min(at) as first_at,
  max(at) as last_at, argMax((epoch, seq), at) as record
from writ.writ_decisions
where direction = 'inbound' and at >= {since:DateTime64(9, 'UTC')} and at < {until:DateTime64(9, 'UTC')}
  and (target = {name:String} or endsWith(target, concat('/', {name:String})) or service = {name:String})
group by caller, target, method, verdict, code, bundle, revision
order by decisions desc, last_at desc;

create view writ.writ_touched_by as
select caller, target, method, verdict, code, bundle, revision, count() as decisions, min(at) as first_at,
  max(at) as last_at, argMax((epoch, seq), at) as record
from writ.writ_decisions
where direction = 'inbound' and at >= {since:DateTime64(9, 'UTC')} and at < {until:DateTime64(9, 'UTC')}
  and (caller = {name:String} or endsWith(caller, concat('/', {name:String})))
group by caller, target, method, verdict, code, bundle, revision
order by decisions desc, last_at desc;

create view writ.writ_denials_by_hour as
select toStartOfHour(at) as hour, caller, target, countIf(verdict in ('deny', 'fault')) as denied, count() as decisions
from writ.writ_decisions
where direction = 'inbound' and at >= {since:DateTime64(9, 'UTC')} and at < {until:DateTime64(9, 'UTC')}
group by hour, caller, target
having denied > 0
order by denied desc;

create view writ.writ_first_seen_edges as
select caller, target, method, min(at) as first_at, count() as decisions, countIf(verdict <> 'allow') as refused
from writ.writ_decisions
where direction = 'inbound' and at < {until:DateTime64(9, 'UTC')}
group by caller, target, method
having first_at >= {since:DateTime64(9, 'UTC')}
order by first_at desc;

create view writ.writ_unidentified_allows as
select target, method, code, bundle, revision, count() as decisions, min(at) as first_at, max(at) as last_at
from writ.writ_decisions
where direction = 'inbound' and at >= {since:DateTime64(9, 'UTC')} and at < {until:DateTime64(9, 'UTC')}
  and caller = '' and (verdict = 'allow' or code = 'fault_passed')
group by target, method, code, bundle, revision
order by decisions desc;

create view writ.writ_policy_revisions as
select bundle, revision, policy_sha256 as sha256, count() as decisions, countIf(verdict = 'allow') as allowed,
  countIf(verdict = 'deny') as denied, countIf(verdict = 'fault') as faults, min(at) as first_at, max(at) as last_at
from writ.writ_decisions
where at >= {since:DateTime64(9, 'UTC')} and at < {until:DateTime64(9, 'UTC')} and bundle <> ''
group by bundle, revision, policy_sha256
order by last_at desc;

create view writ.writ_used_edges as
select caller, target, method, bundle, count() as decisions, max(at) as last_at
from writ.writ_decisions
where direction = 'inbound' and at >= {since:DateTime64(9, 'UTC')} and at < {until:DateTime64(9, 'UTC')}
  and verdict = 'allow' and caller <> ''
group by caller, target, method, bundle
order by decisions desc;

create view writ.writ_serials as
select caller, serial, source_address, max(at) as last_at
from writ.writ_records final
where kind = 'decision' and at >= {since:DateTime64(9, 'UTC')} and at < {until:DateTime64(9, 'UTC')}
  and serial <> '' and caller <> ''
group by caller, serial, source_address;

-- Numbers that are missing, and numbers that are there twice with other bytes. The last of an epoch is in its signed head.
create view writ.writ_epochs as
select producer, epoch, max(seq) + 1 as records, records - uniqExact(seq) as missing, count() - uniqExact(seq) as other_bytes,
  min(at) as started_at, max(at) as last_at
from writ.writ_records final
group by producer, epoch;
