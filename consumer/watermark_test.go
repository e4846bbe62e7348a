package consumer

import (
	"testing"

	"pgregory.net/rapid"
)

// The model is a list of offsets with a done flag each: the mark is one past the longest done prefix, whatever the
// order of completion and the gaps between offsets.
func TestTheWatermarkIsTheEndOfTheDonePrefix(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		start := rapid.Int64Range(0, 1000).Draw(t, "start")
		mark := newWatermark(start, start)
		type entry struct {
			place *place
			done  bool
		}
		var log []entry
		offset, before := start, start
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				offset += rapid.Int64Range(1, 5).Draw(t, "gap")
				log = append(log, entry{place: mark.add(offset)})
			},
			"finish": func(t *rapid.T) {
				var open []int
				for i := range log {
					if !log[i].done {
						open = append(open, i)
					}
				}
				if len(open) == 0 {
					t.Skip("nothing is open")
				}
				i := rapid.SampledFrom(open).Draw(t, "slot")
				log[i].done = true
				mark.finish(log[i].place)
			},
			"commit": func(*rapid.T) {
				committed, _ := mark.position()
				mark.accepted(committed)
			},
			"": func(t *rapid.T) {
				want := start
				for _, e := range log {
					if !e.done {
						break
					}
					want = e.place.offset + 1
				}
				got, dirty := mark.position()
				if got != want {
					t.Fatalf("mark = %d, want %d", got, want)
				}
				if got < before {
					t.Fatalf("mark went back from %d to %d", before, got)
				}
				if dirty != (got != mark.committed) {
					t.Fatalf("dirty = %t at %d with %d committed", dirty, got, mark.committed)
				}
				before = got
			},
		})
	})
}

func TestAPartitionWithoutCommitIsDirtyFromTheStart(t *testing.T) {
	t.Parallel()
	if offset, dirty := newWatermark(7, -2).position(); offset != 7 || !dirty {
		t.Errorf("position = %d, %t; want 7 to be committed", offset, dirty)
	}
	if _, dirty := newWatermark(7, 7).position(); dirty {
		t.Error("a position the group knows is dirty")
	}
}
