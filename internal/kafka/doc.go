// Package kafka holds what the consumer and the producer share: how to reach the brokers, what the topics are called,
// and what a topic must be like before a refund may depend on it. It knows nothing of commands, offsets or groups.
//
// Its invariant: nothing here alters a topic that exists. Create adds what is missing, Check only looks.
package kafka
