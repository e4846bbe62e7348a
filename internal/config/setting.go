package config

import (
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"

	"refundworker/schemas"
)

// EnvPrefix begins the name of every environment variable the worker reads.
const EnvPrefix = "REFUND_WORKER_"

// setting is one leaf of the configuration: a place in a struct, and all that its tags say.
type setting struct {
	// path is its name in the file: limits.in_flight.
	path string
	// fallback is the default as text; lists are separated by commas.
	fallback, help string
	// gateway is set for account fields that only this gateway has.
	gateway schemas.Gateway
	target  reflect.Value
}

// flag is the name of its command line flag, without the dashes in front. It is what kong derives from the struct.
func (s setting) flag() string { return strings.NewReplacer(".", "-", "_", "-").Replace(s.path) }

// env is the name of its environment variable.
func (s setting) env() string {
	return EnvPrefix + strings.ToUpper(strings.ReplaceAll(s.path, ".", "_"))
}

// isForeign says that an account of this gateway has no such setting.
func (s setting) isForeign(gateway schemas.Gateway) bool {
	return s.gateway != "" && s.gateway != gateway
}

// settings lists the leaves of a struct in its own order, nested sections included. Lists of sections, which are the
// accounts, are not leaves.
func settings(section reflect.Value, prefix string) []setting {
	var list []setting
	for i := range section.NumField() {
		field, target := section.Type().Field(i), section.Field(i)
		path := prefix + field.Tag.Get("yaml")
		switch {
		case isSection(target.Type()):
			list = append(list, settings(target, path+".")...)
		case target.Kind() == reflect.Slice && isSection(target.Type().Elem()):
		default:
			list = append(list, setting{
				path:     path,
				fallback: field.Tag.Get("default"),
				help:     field.Tag.Get("help"),
				gateway:  schemas.Gateway(field.Tag.Get("gateway")),
				target:   target,
			})
		}
	}
	return list
}

func isSection(t reflect.Type) bool {
	return t.Kind() == reflect.Struct && t != reflect.TypeFor[Secret]()
}

// setDefaults gives every leaf of a section the default of its tag. A tag that cannot be read is a mistake of ours that
// no configuration can cause: it panics.
func setDefaults(section reflect.Value) {
	for _, s := range settings(section, "") {
		if s.fallback == "" {
			continue
		}
		if fault := assignText(s.target, s.fallback); fault != nil {
			panic("config: default of " + s.path + ": " + fault.What)
		}
	}
}

// assignText sets a leaf from the one text a variable or a default has; a list's items are separated by commas.
func assignText(target reflect.Value, text string) *FaultError {
	if target.Kind() != reflect.Slice {
		return assign(target, text)
	}
	items := strings.Split(text, ",")
	for i := range items {
		items[i] = strings.TrimSpace(items[i])
	}
	return assignList(target, items)
}

// assignList sets a list from its items. Nothing is set when one of them is at fault.
func assignList(target reflect.Value, items []string) *FaultError {
	list := reflect.MakeSlice(target.Type(), len(items), len(items))
	for i, item := range items {
		if fault := assign(list.Index(i), item); fault != nil {
			return fault
		}
	}
	target.Set(list)
	return nil
}

// assign sets one value from its text. Nothing is set when the text is at fault.
func assign(target reflect.Value, text string) *FaultError {
	if secret, ok := reflect.TypeAssert[*Secret](target.Addr()); ok {
		if err := secret.UnmarshalText([]byte(text)); err != nil {
			return &FaultError{What: "the secret is " + err.Error(), Fix: "write file:/path or env:NAME; the secret itself must not stand here"}
		}
		return nil
	}
	if target.Type() == reflect.TypeFor[time.Duration]() {
		d, err := time.ParseDuration(text)
		if err != nil {
			return &FaultError{What: show(text) + " is not a duration", Fix: "write a number with its unit, such as 15s, 10m or 24h"}
		}
		target.SetInt(int64(d))
		return nil
	}
	switch target.Kind() { //nolint:exhaustive // the struct has no other kinds; a test assigns every one of its leaves
	case reflect.Int:
		n, err := strconv.ParseInt(text, 10, 32)
		if err != nil {
			return &FaultError{What: show(text) + " is not a whole number", Fix: "write digits, such as 256"}
		}
		target.SetInt(n)
	case reflect.Float64:
		f, err := strconv.ParseFloat(text, 64)
		if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
			return &FaultError{What: show(text) + " is not a number", Fix: "write digits, such as 50 or 0.5"}
		}
		target.SetFloat(f)
	case reflect.Bool:
		if text != "true" && text != "false" {
			return &FaultError{What: show(text) + " is neither true nor false", Fix: "write true or false"}
		}
		target.SetBool(text == "true")
	default:
		target.SetString(text)
	}
	return nil
}
