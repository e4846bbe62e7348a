#!/usr/bin/env bash
# Brings the real parts the tests run on: the jars of one Apache Kafka broker (pinned by pom.xml, from Maven Central,
# into .cache/kafka-<version>/libs) and redis-server. Idempotent, and quick when there is nothing to do.
#
# As root on a Debian-like system it installs what is missing with apt-get. Otherwise it says in one line per part what
# is missing and what is used instead, and exits 0: the embedded parts (kfake, miniredis) carry the same suites.
# REFUND_WORKER_REQUIRE_REAL=1 makes a missing part an error. .cache/real-parts exists when, and only when, all are here.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

readonly pom=test/real/pom.xml
readonly report=.cache/real-parts
readonly plugin=org.apache.maven.plugins:maven-dependency-plugin:3.6.1
readonly java_needed=17 # Kafka 4's brokers: https://kafka.apache.org/43/getting-started/compatibility/

kafka_version=$(sed -n 's:.*<kafka.version>\(.*\)</kafka.version>.*:\1:p' "$pom")
readonly kafka_version
readonly kafka_dir=.cache/kafka-$kafka_version

mkdir -p .cache
rm -f "$report"
missing=0
updated=0

say() { printf 'real parts: %s\n' "$*"; }

# lack PART REASON INSTEAD
lack() {
  missing=1
  say "$1: MISSING ($2); the tests use $3 instead"
}

# install PACKAGE...: false when we may not, or apt-get fails; its last lines then say why.
install() {
  [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || return 1
  local log
  log=$(mktemp)
  say "installing $*"
  if { [ "$updated" = 1 ] || apt-get update -qq; } >"$log" 2>&1 </dev/null &&
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >>"$log" 2>&1 </dev/null; then
    updated=1
    rm -f "$log"
    return 0
  fi
  tail -n 3 "$log" >&2
  rm -f "$log"
  return 1
}

# java_major prints the major version of the java on PATH, or 0.
java_major() {
  local out
  out=$(java -version 2>&1 | sed -n '1s/.*version "\([0-9]*\).*/\1/p') || true
  printf '%s' "${out:-0}"
}

redis() {
  if ! command -v redis-server >/dev/null && install redis-server; then
    # The package starts a server of its own where there is an init system. Each test starts its own on a free port;
    # the packaged one would only hold 6379.
    if command -v systemctl >/dev/null && systemctl is-active --quiet redis-server 2>/dev/null; then
      systemctl disable --now --quiet redis-server || true
    elif command -v service >/dev/null; then
      service redis-server stop >/dev/null 2>&1 || true
    fi
  fi
  if ! command -v redis-server >/dev/null; then
    lack redis-server "not on PATH, and it could not be installed" miniredis
    return
  fi
  redis_version=$(redis-server --version | sed -n 's/.* v=\([^ ]*\).*/\1/p')
  say "redis-server: $redis_version"
}

kafka() {
  if [ "$(java_major)" -lt "$java_needed" ]; then
    install default-jre-headless || true
  fi
  if [ "$(java_major)" -lt "$java_needed" ]; then
    lack Kafka "Java $java_needed or newer is not on PATH, and it could not be installed" kfake
    return
  fi
  # The stamp holds the pom it was made from: a changed pin is fetched again, an interrupted copy is never taken for whole.
  if ! cmp -s "$pom" "$kafka_dir/pom.xml"; then
    fetch || return 0
  fi
  say "Kafka: $kafka_version, Java $(java_major)"
}

fetch() {
  command -v mvn >/dev/null || install maven || true
  if ! command -v mvn >/dev/null; then
    lack Kafka "Maven is not on PATH, and it could not be installed" kfake
    return 1
  fi
  local fresh log
  fresh=$(mktemp -d ".cache/kafka.XXXXXX")
  log=$fresh/mvn.log
  say "fetching Apache Kafka $kafka_version from Maven Central"
  if ! timeout 600 mvn -q -B -f "$pom" "$plugin:copy-dependencies" -DincludeScope=runtime \
    -DoutputDirectory="$PWD/$fresh/libs" >"$log" 2>&1 </dev/null; then
    grep -m 1 ERROR "$log" >&2 || tail -n 3 "$log" >&2
    rm -rf "$fresh"
    lack Kafka "Maven could not fetch the jars, see above" kfake
    return 1
  fi
  rm -f "$log"
  # mktemp made it for us alone; another user's test run on a shared checkout may read it.
  chmod 755 "$fresh" && cp "$pom" "$fresh/pom.xml" && rm -rf "$kafka_dir" && mv "$fresh" "$kafka_dir"
}

redis
kafka
if [ "$missing" = 0 ]; then
  printf 'Apache Kafka %s, redis-server %s\n' "$kafka_version" "$redis_version" >"$report"
elif [ "${REFUND_WORKER_REQUIRE_REAL:-}" = 1 ]; then
  say "REFUND_WORKER_REQUIRE_REAL=1 and a part is missing" >&2
  exit 1
fi
