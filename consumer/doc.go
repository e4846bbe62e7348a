// Package consumer reads commands topics and retry tiers as a member of a Kafka consumer group, asks a handler what each
// message is about, and runs the works on an executor that all consumers of the process share: in the order of the log
// within a lane, at the same time in different lanes, as many per account as its limits permit. It owns membership,
// fetching, the delay of retry tiers, lanes, permits and the offsets; it refuses to know what a message means.
//
// A Generation of the group scopes everything: its partitions, the context of its works and its commits. When the
// group is rebalanced or the process stops, works are told by their context, get Drain to finish, and what is done
// by then is committed. A work that needs longer goes on detached, and its message is read again by whoever owns the
// partition next: works are idempotent by contract.
//
// kafka-go's group Reader is not used: it delivers messages of the generation before and commits partitions that it no
// longer owns (segmentio/kafka-go issues 1398 and 1308).
//
// Its invariant: an offset is committed only by the generation that fetched it, only when every message before it is
// done, and never backwards, except where the log itself lost its end.
package consumer
