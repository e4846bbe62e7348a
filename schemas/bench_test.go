package schemas

import "testing"

func BenchmarkDecodeCommand(b *testing.B) {
	for _, name := range []string{"minimal", "full", "eftpay-full"} {
		raw := golden(b, "accepted")[name]
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(raw)))
			for b.Loop() {
				if _, err := DecodeCommand(raw); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkEncodeOutcome(b *testing.B) {
	o := sample(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := EncodeOutcome(o); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecodeOutcome(b *testing.B) {
	raw := golden(b, "outcomes")["success"]
	b.ReportAllocs()
	for b.Loop() {
		if _, err := DecodeOutcome(raw); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkSchemaOnCommand is what the general validator would cost in place of the hand-written reader.
func BenchmarkSchemaOnCommand(b *testing.B) {
	root, f := parseJSON(golden(b, "accepted")["full"])
	if f != nil {
		b.Fatal(f)
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := validate(CommandSchema, root.tree()); err != nil {
			b.Fatal(err)
		}
	}
}
