package schemas_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"refundworker/internal/kafka"
	"refundworker/schemas"
)

func TestTheAsyncAPIDocumentObeysTheOfficialSchema(t *testing.T) {
	t.Parallel()
	official := officialSchema(t, "")
	c := readContract(t)
	if err := official.Validate(c.doc); err != nil {
		t.Error(err)
	}
	c.at(t, "channels", "results", "bindings", "kafka")["partitions"] = json.Number("0")
	if err := official.Validate(c.doc); err == nil {
		t.Error("a topic without partitions is taken: the Kafka bindings are not held to their schema")
	}
}

func TestTheMessageSchemasAreSchemasToAsyncAPI(t *testing.T) {
	t.Parallel()
	official := officialSchema(t, "#/definitions/"+strings.ReplaceAll("http://asyncapi.com/definitions/3.0.0/schema.json", "/", "~1"))
	for name, file := range readContract(t).files {
		if name == asyncAPIFile {
			continue
		}
		if err := official.Validate(file); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestTheMessageSchemasMeanTheSameByDraft07 is for tools that read a payload by AsyncAPI's own draft, whatever the
// schema declares.
func TestTheMessageSchemasMeanTheSameByDraft07(t *testing.T) {
	t.Parallel()
	own, old := readContract(t), readContract(t)
	for name, file := range old.files {
		if name != asyncAPIFile {
			delete(to[object](t, file), "$schema")
		}
	}
	verdicts := map[bool]int{}
	for place, folders := range map[string][]string{
		"command.schema.json": {"accepted", "refused"}, "outcome.schema.json": {"outcomes", "rejections"},
		"command-rejected.schema.json": {"outcomes", "rejections"},
	} {
		newest, oldest := own.compile(t, place), old.compile(t, place)
		for _, path := range goldenFiles(t, folders...) {
			message, err := jsonschema.UnmarshalJSON(bytes.NewReader(readFile(t, path)))
			if err != nil || filepath.Base(path) == "number-exponent-bomb.json" {
				continue // no JSON, or a number that the library would compute for ever
			}
			taken := newest.Validate(message) == nil
			verdicts[taken]++
			if byDraft07 := oldest.Validate(message) == nil; byDraft07 != taken {
				t.Errorf("%s: taken by its own draft %t, by draft-07 %t", path, taken, byDraft07)
			}
		}
	}
	if verdicts[true] == 0 || verdicts[false] == 0 {
		t.Errorf("the messages prove nothing: %v", verdicts)
	}
}

func TestEveryReferenceLeadsSomewhereAndEveryComponentIsUsed(t *testing.T) {
	t.Parallel()
	c := readContract(t)
	used := map[string]bool{}
	for name, file := range c.files {
		for _, ref := range references(file) {
			used[ref] = true
			if _, err := c.resolve(name, ref); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	for kind, members := range to[object](t, c.doc["components"]) {
		for name := range to[object](t, members) {
			if ref := "#/components/" + kind + "/" + name; !used[ref] {
				t.Errorf("nothing refers to %s", ref)
			}
		}
	}
	for name := range c.files {
		if name != asyncAPIFile && !used["./"+name] {
			t.Errorf("%s is no message's payload", name)
		}
	}
	for _, ref := range []string{"./gone.schema.json", "#/components/gone", "./outcome.schema.json#/$defs/gone/x"} {
		if target, err := c.resolve(asyncAPIFile, ref); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s leads to %v, %v", ref, target, err)
		}
	}
}

func TestTheChannelsAreTheTopicsThatTheWorkerCreates(t *testing.T) {
	t.Parallel()
	c := readContract(t)
	cfg, want := defaults(t)
	var got []string
	for name := range c.at(t, "channels") {
		settings := c.at(t, "channels", name, "bindings", "kafka")
		for _, topic := range topics(t, c.at(t, "channels", name)) {
			got = append(got, topic)
			size := kafka.CommandBytes
			if slices.Contains(want.Copies(), topic) {
				size += kafka.HeaderBytes
			}
			number := func(n int) json.Number { return json.Number(strconv.Itoa(n)) }
			if diff := cmp.Diff(object{
				"partitions": number(cfg.Kafka.Partitions), "replicas": number(cfg.Kafka.Replication), "bindingVersion": "0.5.0",
				"topicConfiguration": object{
					"cleanup.policy": []any{"delete"}, "max.message.bytes": number(size),
					"min.insync.replicas": number(cfg.Kafka.MinInsync),
				},
			}, settings); diff != "" {
				t.Errorf("%s (-worker +document):\n%s", topic, diff)
			}
		}
	}
	if diff := cmp.Diff(slices.Sorted(slices.Values(want.All())), slices.Sorted(slices.Values(got))); diff != "" {
		t.Errorf("topics (-worker +document):\n%s", diff)
	}
	broker := c.at(t, "servers", "kafka", "variables", "broker")["default"]
	if diff := cmp.Diff(any(cfg.Kafka.Brokers[0]), broker); diff != "" {
		t.Errorf("broker (-worker +document):\n%s", diff)
	}
}

// TestTheOperationsAreTheWorkers: it reads every input in a group each, and writes the results, the signals and every
// topic of copies.
func TestTheOperationsAreTheWorkers(t *testing.T) {
	t.Parallel()
	c := readContract(t)
	cfg, names := defaults(t)
	done, groups := map[string][]string{}, map[string]string{}
	for name := range c.at(t, "operations") {
		operation := c.at(t, "operations", name)
		place := to[string](t, to[object](t, operation["channel"])["$ref"])
		channel := c.at(t, "operations", name, "channel")
		action := to[string](t, operation["action"])
		done[action] = append(done[action], topics(t, channel)...)
		if _, ok := operation["bindings"]; ok {
			group := to[string](t, c.at(t, "operations", name, "bindings", "kafka", "groupId")["default"])
			groups[place] = group
		}
		var handled, offered []string
		for _, message := range to[[]any](t, operation["messages"]) {
			handled = append(handled, to[string](t, to[object](t, message)["$ref"]))
		}
		for message := range c.follow(t, asyncAPIFile, to[object](t, channel["messages"])) {
			offered = append(offered, place+"/messages/"+message)
		}
		slices.Sort(handled)
		slices.Sort(offered)
		if diff := cmp.Diff(offered, handled); diff != "" {
			t.Errorf("messages of %s (-channel +operation):\n%s", name, diff)
		}
	}
	for action, list := range done {
		slices.Sort(list)
		done[action] = list
	}
	if diff := cmp.Diff(map[string][]string{
		"receive": slices.Sorted(slices.Values(names.Inputs())),
		"send":    slices.Sorted(slices.Values(append(names.Copies(), names.Results(), names.Signals()))),
	}, done); diff != "" {
		t.Errorf("topics (-worker +document):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]string{
		"#/channels/commands": cfg.Kafka.Group, "#/channels/backfill": cfg.Kafka.Group + ".backfill", "#/channels/retry": cfg.Kafka.Group + ".retry",
		"#/channels/signals": cfg.Kafka.Group + ".signals",
	}, groups); diff != "" {
		t.Errorf("groups (-worker +document):\n%s", diff)
	}
}

func TestTheVersionIsThatOfTheMessages(t *testing.T) {
	t.Parallel()
	major, _, _ := strings.Cut(to[string](t, readContract(t).at(t, "info")["version"]), ".")
	for _, version := range []int{schemas.CommandVersion, schemas.OutcomeVersion, schemas.RejectionVersion, schemas.SignalVersion} {
		if strconv.Itoa(version) != major {
			t.Errorf("a message is of version %d, the document of %s", version, major)
		}
	}
}
