package config

import (
	"os"
	"reflect"
	"strconv"
	"strings"

	"refundworker/schemas"
)

// Scope says how much of the configuration a command needs.
type Scope int

const (
	// WithAccounts asks for at least one account, and reads the accounts' secrets. It is the scope of run and check.
	WithAccounts Scope = iota
	// WithoutAccounts takes a configuration without accounts, and leaves the secrets of those that are there unread, so
	// that topics can be created where the gateways' keys are not mounted. It is the scope of init and version.
	WithoutAccounts
)

// Source is where variables and files are read from.
type Source struct {
	LookupEnvFunc func(name string) (string, bool)
	ReadFileFunc  func(path string) ([]byte, error)
}

// Host is the Source of a real process: its environment and its file system.
func Host() Source { return Source{LookupEnvFunc: os.LookupEnv, ReadFileFunc: os.ReadFile} }

// Load puts the configuration together: flag, then environment, then file, then default; reads the secrets; checks
// everything. An empty variable counts as not set. The error joins every [*FaultError] there is; with an error the Config
// is the zero one.
func Load(flags Flags, scope Scope, src Source) (Config, error) {
	l := loader{src: src, origins: make(map[string]string)}
	cfg := reflect.ValueOf(&l.cfg).Elem()
	setDefaults(cfg)
	if err := l.file(flags.File); err != nil {
		return Config{}, err
	}
	for _, s := range settings(cfg, "") {
		l.environment(s)
	}
	given := settings(reflect.ValueOf(&flags.Config).Elem(), "")
	for i, s := range settings(cfg, "") {
		if _, ok := flags.given[s.flag()]; ok {
			s.target.Set(given[i].target)
			l.origins[s.path] = "flag --" + s.flag()
		}
	}
	l.separate()
	l.secrets(scope)
	l.check(scope)
	if err := l.faults.join(); err != nil {
		return Config{}, err
	}
	for i := range l.cfg.Accounts {
		if account := &l.cfg.Accounts[i]; account.InFlight == 0 || account.InFlight > l.cfg.Limits.InFlight {
			account.InFlight = l.cfg.Limits.InFlight
		}
	}
	return l.cfg, nil
}

// loader is the state of one Load.
type loader struct {
	src Source
	cfg Config
	// origins maps paths to where their value came from; a default has none.
	origins map[string]string
	faults  faults
}

// file reads the file, when there is one. Its error is about a file that could not be understood at all: then nothing
// else can be said that would be true.
func (l *loader) file(name string) error {
	where := "flag --config"
	if name == "" {
		name, _ = l.src.LookupEnvFunc(FileEnv)
		where = "variable " + FileEnv
	}
	if name == "" {
		return nil
	}
	raw, fault := readBounded(l.src, name)
	if fault != nil {
		fault.Where = where
		return fault
	}
	doc := document{name: name, origins: l.origins}
	if fault := doc.parse(raw, &l.cfg); fault != nil {
		return fault
	}
	l.faults.list = append(l.faults.list, doc.faults.list...)
	return nil
}

// environment takes a setting's variable, when it is set.
func (l *loader) environment(s setting) {
	text, _ := l.src.LookupEnvFunc(s.env())
	if text == "" {
		return
	}
	where := "variable " + s.env()
	if bad := assignText(s.target, text); bad != nil {
		l.faults.list = append(l.faults.list, &FaultError{Path: s.path, Where: where, What: bad.What, Fix: bad.Fix})
		return
	}
	l.origins[s.path] = where
}

// separate clears the other gateway's settings in every account, so that its defaults do not pass for decisions, and
// refuses those that were written.
func (l *loader) separate() {
	for i := range l.cfg.Accounts {
		account := &l.cfg.Accounts[i]
		if account.Gateway != schemas.Antom && account.Gateway != schemas.EftPay {
			continue
		}
		for _, s := range settings(reflect.ValueOf(account).Elem(), accountPath(i)+".") {
			if !s.isForeign(account.Gateway) {
				continue
			}
			if _, written := l.origins[s.path]; written {
				l.found(s.path, &FaultError{What: foreignSetting, Fix: "take it out"})
			}
			s.target.SetZero()
		}
	}
}

// secrets reads every secret the scope asks for. One whose reference could not be understood is left alone: what a
// lower source says about it is not what was meant.
func (l *loader) secrets(scope Scope) {
	l.resolve(reflect.ValueOf(&l.cfg).Elem(), "")
	if scope == WithoutAccounts {
		return
	}
	for i := range l.cfg.Accounts {
		l.resolve(reflect.ValueOf(&l.cfg.Accounts[i]).Elem(), accountPath(i)+".")
	}
}

func (l *loader) resolve(section reflect.Value, prefix string) {
	unread := l.unread()
	for _, s := range settings(section, prefix) {
		if _, ok := unread[s.path]; ok {
			continue
		}
		switch target := s.target.Addr().Interface().(type) {
		case *Secret:
			l.found(s.path, target.resolve(l.src))
		case *[]Secret:
			for i := range *target {
				l.found(s.path+"["+strconv.Itoa(i)+"]", (*target)[i].resolve(l.src))
			}
		}
	}
}

// check adds what the rules say, and what only reading the TLS files can show. Where a setting could not even be read
// the rules are silent about it and all below it: they would speak of a value that nobody wrote.
func (l *loader) check(scope Scope) {
	unread := l.unread()
	var rules faults
	l.cfg.rules(scope, &rules)
	for _, fault := range rules.list {
		if enclosing(unread, fault.Path) == "" {
			l.found(fault.Path, fault)
		}
	}
	l.readTLS("kafka.tls", l.cfg.Kafka.TLS)
	l.readTLS("redis.tls", l.cfg.Redis.TLS)
	l.readTLS("trace", l.cfg.Trace.TLS())
}

// unread maps the paths that have a fault already to what it is.
func (l *loader) unread() map[string]string {
	unread := make(map[string]string, len(l.faults.list))
	for _, fault := range l.faults.list {
		unread[fault.Path] = fault.What
	}
	return unread
}

// readTLS reads the files once, so that a worker does not start with ones it cannot use. Names that do not go together
// are the rules' business.
func (l *loader) readTLS(section string, t TLS) {
	if t.pairs() != nil {
		return
	}
	files, fault := t.read(l.src)
	if fault == nil {
		_, fault = t.parse(files)
	}
	if fault != nil {
		l.found(section+"."+fault.Path, fault)
	}
}

// found adds a fault under its path, with the place its value came from.
func (l *loader) found(path string, fault *FaultError) {
	if fault != nil {
		l.faults.list = append(l.faults.list, &FaultError{Path: path, Where: enclosing(l.origins, path), What: fault.What, Fix: fault.Fix})
	}
}

func accountPath(i int) string { return "accounts[" + strconv.Itoa(i) + "]" }

// enclosing returns what is noted for a path, or for the nearest thing it is in: an item's list, a missing field's
// account. It is empty when nothing is.
func enclosing(notes map[string]string, path string) string {
	for path != "" {
		if note, ok := notes[path]; ok {
			return note
		}
		path = path[:max(0, strings.LastIndexAny(path, ".["))]
	}
	return ""
}
