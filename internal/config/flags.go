package config

import (
	"maps"
	"reflect"
	"strings"

	"github.com/alecthomas/kong"
)

// FileEnv is the variable that names the file when the flag --config does not.
const FileEnv = EnvPrefix + "CONFIG"

// Flags is the part of a kong grammar that this package owns: --config and one flag for every setting outside the
// accounts. Embed it in the application or in a command; after kong has parsed, hand it to [Load].
//
//	type cli struct {
//		config.Flags
//		Run runCmd `cmd:"" help:"Work."`
//	}
//
// kong fills only flags and their defaults here. Left alone it would put the file above the environment, read the
// process's own environment, and quote a variable's value in its errors, where a misplaced secret would show; so
// environment and file are Load's.
type Flags struct {
	// File is the path of the YAML file. Default empty: the variable [FileEnv], or no file.
	File string `name:"config" short:"c" placeholder:"FILE" help:"YAML file with the configuration; the only place for accounts."`
	// Config holds what kong parsed, defaults included. It is not the configuration: that is what Load returns.
	Config Config `embed:""`

	// given are the names of the flags that stood on the command line.
	given map[string]struct{}
}

// AfterApply is kong's hook: it notes which flags were given, so that a flag's default does not pass for a flag.
func (f *Flags) AfterApply(kctx *kong.Context) error {
	given := maps.Clone(f.given)
	if given == nil {
		given = make(map[string]struct{})
	}
	for _, step := range kctx.Path {
		if step.Flag != nil && !step.Resolved {
			given[step.Flag.Name] = struct{}{}
		}
	}
	f.given = given
	return nil
}

// FlagHelp appends to a flag's help the variable that can stand for it. It is for kong.ValueFormatter.
func FlagHelp(value *kong.Value) string {
	help := kong.DefaultHelpValueFormatter(value)
	if value.Flag == nil {
		return help
	}
	env := ""
	if value.Name == "config" {
		env = FileEnv
	}
	var cfg Config
	for _, s := range settings(reflect.ValueOf(&cfg).Elem(), "") {
		if s.flag() == value.Name {
			env = s.env()
		}
	}
	if env == "" {
		return help
	}
	return strings.TrimSuffix(help, ".") + " ($" + env + ")."
}
