package refund

import (
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/trace"
)

// SettleAllowance is the part of a lease that is kept free for storing the answer after the last gateway call: nothing
// is written to a gateway later than lease minus allowance after the claim was asked for.
const SettleAllowance = 10 * time.Second

// Config is what a Processor needs to know.
type Config struct {
	// Lease is how long a claim holds before another worker may take the request over. Default of the worker: 60 s.
	Lease time.Duration
	// GatewayTimeout bounds one gateway call, from the dial to the last byte of the answer. A pass makes two calls at
	// most that matter for the lease: an inquiry and a send.
	GatewayTimeout time.Duration
	// Settling is how long a gateway that promises nothing about repeats may take until an inquiry shows a refund that
	// it has carried out. It counts only after the store has forgotten something; see Epoch.
	Settling time.Duration
	// Grace is how long a pass that has sent may go on storing and publishing after the worker was told to stop.
	// What it cannot store in that time, the redelivery finds out by inquiry.
	Grace time.Duration
	// Source is the CloudEvents source of every event, such as "/refund-worker".
	Source string
	Policy Policy
	// Tracer makes a span of every pass and of its steps. nil: tracing is off, and costs nothing.
	Tracer trace.Tracer
}

// Validate joins every fault.
func (c Config) Validate() error {
	var errs []error
	if c.GatewayTimeout <= 0 {
		errs = append(errs, fmt.Errorf("gateway timeout: %v is not positive", c.GatewayTimeout))
	}
	if c.Lease <= 2*c.GatewayTimeout+SettleAllowance {
		errs = append(errs, fmt.Errorf("lease: %v is not longer than two gateway timeouts and %v for storing (%v)",
			c.Lease, SettleAllowance, 2*c.GatewayTimeout+SettleAllowance))
	}
	if c.Settling < 0 {
		errs = append(errs, fmt.Errorf("settling: %v is negative", c.Settling))
	}
	if c.Grace <= 0 {
		errs = append(errs, fmt.Errorf("grace: %v is not positive", c.Grace))
	}
	if c.Source == "" {
		errs = append(errs, errors.New("source: must not be empty"))
	}
	return errors.Join(append(errs, c.Policy.Validate())...)
}
