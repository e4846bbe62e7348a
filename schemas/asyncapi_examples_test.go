package schemas_test

import (
	"encoding/json"
	"errors"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"refundworker/schemas"
)

// example is one example of a message.
type example struct {
	headers object
	hs      []schemas.Header
	payload any
}

// examples gives a message's examples by name, each held to the message's own schemas first.
func examples(t *testing.T, message string) map[string]example {
	t.Helper()
	c := readContract(t)
	node := c.at(t, "components", "messages", message)
	headerSchema := c.compile(t, "asyncapi.yaml#/components/messages/"+message+"/headers")
	payloadSchema := c.compile(t, "asyncapi.yaml#/components/messages/"+message+"/payload")
	all := map[string]example{}
	for _, entry := range to[[]any](t, node["examples"]) {
		entry := to[object](t, entry)
		name := message + " " + to[string](t, entry["name"])
		e := example{headers: object{}, payload: entry["payload"]}
		if given, ok := entry["headers"]; ok {
			e.headers = to[object](t, given)
			if err := headerSchema.Validate(given); err != nil {
				t.Errorf("%s: headers: %v", name, err)
			}
		}
		for _, key := range slices.Sorted(maps.Keys(e.headers)) {
			e.hs = append(e.hs, schemas.Header{Key: key, Value: []byte(to[string](t, e.headers[key]))})
		}
		if err := payloadSchema.Validate(e.payload); err != nil {
			t.Errorf("%s: payload: %v", name, err)
		}
		all[name] = e
	}
	if len(all) == 0 {
		t.Fatalf("%s has no examples", message)
	}
	return all
}

func (e example) value(t *testing.T) []byte {
	t.Helper()
	raw, err := json.Marshal(e.payload)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func (e example) header(key string) string {
	text, _ := e.headers[key].(string)
	return text
}

// traced are headers with the example's own trace context behind them.
func (e example) traced(hs []schemas.Header) []schemas.Header {
	return append(hs, schemas.TraceHeaders(e.hs)...)
}

func TestTheCommandExamplesAreCommands(t *testing.T) {
	t.Parallel()
	gateways := map[schemas.Gateway]bool{}
	for name, e := range examples(t, "Command") {
		cmd, err := schemas.DecodeCommand(e.value(t))
		if err := errors.Join(err, schemas.CheckHeaders(e.hs)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		gateways[cmd.Gateway] = true
	}
	if diff := cmp.Diff(map[schemas.Gateway]bool{schemas.Antom: true, schemas.EftPay: true}, gateways); diff != "" {
		t.Errorf("gateways with an example (-want +document):\n%s", diff)
	}
}

func TestTheOutcomeExamplesAreEventsAsTheyAreWritten(t *testing.T) {
	t.Parallel()
	statuses := map[schemas.Status]bool{}
	for name, e := range examples(t, "Outcome") {
		out, err := schemas.DecodeOutcome(e.value(t))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		statuses[out.Status] = true
		id := e.header(schemas.HeaderCEID)
		if out.Final {
			id = schemas.FinalEventID(out.RequestID)
		} else if token := id[strings.LastIndex(id, "/")+1:]; id != schemas.ProgressEventID(out.RequestID, out.Hop, token) {
			t.Errorf("%s: event ID %s", name, id)
		}
		want := asMap(t, e.traced(schemas.OutcomeHeaders(out, id, "/refund-worker")))
		if replayed, ok := e.headers[schemas.HeaderReplayed]; ok && out.Final {
			want[schemas.HeaderReplayed] = replayed
		}
		memo, err := schemas.ParseMemo(e.hs)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		maps.Copy(want, asMap(t, memo.Headers()))
		if diff := cmp.Diff(want, e.headers); diff != "" {
			t.Errorf("%s: headers (-written +document):\n%s", name, diff)
		}
	}
	if diff := cmp.Diff(map[schemas.Status]bool{schemas.Success: true, schemas.Failed: true, schemas.RetryPending: true}, statuses); diff != "" {
		t.Errorf("statuses with an example (-want +document):\n%s", diff)
	}
}

func TestTheRejectionExamplesAreEventsAsTheyAreWritten(t *testing.T) {
	t.Parallel()
	for name, e := range examples(t, "CommandRejected") {
		rejection, err := schemas.DecodeRejection(e.value(t))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(asMap(t, e.traced(schemas.RejectionHeaders(rejection, rejection.Origin, "/refund-worker"))), e.headers); diff != "" {
			t.Errorf("%s: headers (-written +document):\n%s", name, diff)
		}
	}
}

func TestTheRetryExamplesAreReadAsTheyAreWritten(t *testing.T) {
	t.Parallel()
	for name, e := range examples(t, "RetryCopy") {
		state, err := schemas.ParseRetryState(e.hs)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		want := asMap(t, e.traced(state.Headers()))
		if diff := cmp.Diff(want, e.headers); diff != "" {
			t.Errorf("%s: headers (-written +document):\n%s", name, diff)
		}
		_, err = schemas.DecodeCommand(e.value(t))
		if newer := errors.Is(err, schemas.ErrNewerVersion); newer != (state.Hop == 0) || err != nil && !newer {
			t.Errorf("%s: hop %d, %v", name, state.Hop, err)
		}
	}
}

// TestANewerCommandIsWhatTheDecoderSaysItIs: such commands are parked in a retry tier as they are.
func TestANewerCommandIsWhatTheDecoderSaysItIs(t *testing.T) {
	t.Parallel()
	schema := readContract(t).compile(t, "asyncapi.yaml#/components/schemas/newerCommand")
	paths := slices.DeleteFunc(goldenFiles(t, "accepted", "refused"), func(path string) bool {
		return !strings.Contains(filepath.Base(path), "version")
	})
	newer := 0
	for _, path := range paths {
		raw := readFile(t, path)
		_, err := schemas.DecodeCommand(raw)
		isNewer := errors.Is(err, schemas.ErrNewerVersion)
		if isNewer {
			newer++
		}
		if documented := schema.Validate(parse(t, raw)) == nil; documented != isNewer {
			t.Errorf("%s: newer to the decoder %t, to the document %t", path, isNewer, documented)
		}
	}
	if newer == 0 || newer == len(paths) {
		t.Errorf("%d of %d messages are newer: they prove nothing", newer, len(paths))
	}
}

func TestTheDeadLetterExamplesAreWhatTheirCauseSays(t *testing.T) {
	t.Parallel()
	for name, e := range examples(t, "DeadLetter") {
		if _, err := schemas.ParseOrigin(e.header(schemas.HeaderOrigin)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		_, err := schemas.DecodeCommand([]byte(to[string](t, e.payload)))
		cause := schemas.CodeNeedsReview
		if refused, ok := errors.AsType[*schemas.DecodeError](err); ok {
			cause = refused.Code
		}
		if got := e.header(schemas.HeaderCause); got != string(cause) {
			t.Errorf("%s: cause %s, the payload gives %s (%v)", name, got, cause, err)
		}
	}
}
