package refund

import "time"

// Epoch is what a store knows of its own forgetting. The zero value is a first epoch: nothing was ever forgotten.
type Epoch struct {
	// Began is when the store was refilled and opened again, by its own clock.
	Began time.Time
	// Since is the earliest moment of which it may have forgotten a claim; zero means any.
	Since time.Time
}
