package kafka

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	// CommandBytes is max.message.bytes of the topics that others write to and of the results: what Java producers
	// send at most by default.
	CommandBytes = 1 << 20
	// HeaderBytes is the room for the headers that a retry copy or a dead letter adds to the original message.
	HeaderBytes = 64 << 10

	// maxPrefix leaves room for the longest suffix within Kafka's limit of 249 characters.
	maxPrefix = 200
)

var legalPrefix = regexp.MustCompile(`^[a-zA-Z0-9._-]+$`)

// Topics names the topics of one installation.
type Topics struct {
	// Prefix begins every name; "refunds" gives refunds.commands. 1 to 200 of A-Z a-z 0-9 . _ -
	Prefix string
	// Tiers are the delays of the retry topics, ascending, whole milliseconds. At least one.
	Tiers []time.Duration
}

// Validate reports every fault at once.
func (t Topics) Validate() error {
	var errs []error
	if len(t.Prefix) > maxPrefix || !legalPrefix.MatchString(t.Prefix) {
		errs = append(errs, fmt.Errorf("topic prefix %q: 1 to %d of A-Z a-z 0-9 . _ - are allowed", t.Prefix, maxPrefix))
	}
	if len(t.Tiers) == 0 {
		errs = append(errs, errors.New("retry tiers: at least one is needed"))
	}
	for i, tier := range t.Tiers {
		if tier <= 0 || tier%time.Millisecond != 0 {
			errs = append(errs, fmt.Errorf("retry tier %s: must be a positive number of whole milliseconds", tier))
		}
		if i > 0 && tier <= t.Tiers[i-1] {
			errs = append(errs, fmt.Errorf("retry tier %s: tiers must ascend", tier))
		}
	}
	return errors.Join(errs...)
}

// Commands is the topic of live commands.
func (t Topics) Commands() string { return t.Prefix + ".commands" }

// Backfill is the topic of bulk commands, which get what live commands leave.
func (t Topics) Backfill() string { return t.Prefix + ".commands.backfill" }

// Results is the topic of outcomes and rejections.
func (t Topics) Results() string { return t.Prefix + ".results" }

// Signals is the topic of evidence: notifications, resolutions, re-drives.
func (t Topics) Signals() string { return t.Prefix + ".signals" }

// DeadLetters is the topic of messages that a person has to look at.
func (t Topics) DeadLetters() string { return t.Prefix + ".deadletters" }

// Retry is the retry topic with the given delay.
func (t Topics) Retry(tier time.Duration) string { return t.retryPrefix() + formatTier(tier) }

// Tier is the inverse of Retry; 0 for a name that is not the name of a retry topic under this prefix.
func (t Topics) Tier(topic string) time.Duration {
	suffix, ok := strings.CutPrefix(topic, t.retryPrefix())
	if !ok {
		return 0
	}
	tier, err := time.ParseDuration(suffix)
	// Only the canonical form is ours: 60s and 1m must not be two names of one tier.
	if err != nil || tier <= 0 || formatTier(tier) != suffix {
		return 0
	}
	return tier
}

// Inputs are the topics that a worker reads.
func (t Topics) Inputs() []string {
	return append([]string{t.Commands(), t.Backfill(), t.Signals()}, t.retries()...)
}

// Copies are the topics that take whole messages of the inputs with headers added.
func (t Topics) Copies() []string { return append(t.retries(), t.DeadLetters()) }

// All are the topics of the installation, in the order commands, backfill, signals, tiers, results, dead letters.
func (t Topics) All() []string { return append(t.Inputs(), t.Results(), t.DeadLetters()) }

func (t Topics) retryPrefix() string { return t.Prefix + ".retry." }

func (t Topics) retries() []string {
	names := make([]string, 0, len(t.Tiers))
	for _, tier := range t.Tiers {
		names = append(names, t.Retry(tier))
	}
	return slices.Clip(names)
}

// formatTier writes a delay in the largest unit that holds it exactly: 10s, 1m, 90s, 1h, 250ms.
func formatTier(d time.Duration) string {
	for _, unit := range []struct {
		length time.Duration
		name   string
	}{{time.Hour, "h"}, {time.Minute, "m"}, {time.Second, "s"}} {
		if d%unit.length == 0 {
			return strconv.FormatInt(int64(d/unit.length), 10) + unit.name
		}
	}
	return strconv.FormatInt(d.Milliseconds(), 10) + "ms"
}
