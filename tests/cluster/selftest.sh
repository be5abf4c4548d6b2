#!/usr/bin/env bash
# Proves that the test clusters do what tests rely on, and that nothing of
# them stays behind. Takes two to three minutes; needs root.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

export TELECTL_TEST_STATE=${TELECTL_TEST_STATE:-/var/tmp/telectl-selftest}
testcluster=$(./build.sh) || exit 1
packimage=$(../images/build.sh) || exit 1
images=$(mktemp -d)
passed=0 failed=0

# check WHAT COMMAND... runs a command that must succeed.
check() {
    local what=$1 started=$EPOCHREALTIME out
    shift
    if out=$("$@" 2>&1); then
        passed=$((passed + 1))
        printf 'ok    %-58s %5.1f s\n' "$what" "$(awk "BEGIN {print $EPOCHREALTIME - $started}")"
    else
        failed=$((failed + 1))
        printf 'FAIL  %s: %s\n%s\n' "$what" "$*" "$out" | tail -n 20
    fi
}

# eventually SECONDS COMMAND... repeats a command until it succeeds.
eventually() {
    local deadline=$((SECONDS + $1))
    shift
    until "$@"; do
        ((SECONDS < deadline)) || return 1
        sleep 0.1
    done
}

fails() { ! "$@"; }
edge() { "$testcluster" kubectl --context edge "$@"; }
central() { "$testcluster" kubectl --context central "$@"; }
in_edge() { timeout 15 "$testcluster" kubectl --context edge exec client -- "$@"; }
postgres() { central -n selftest exec postgres-0 -- env PGPASSWORD=not-a-secret psql -h 127.0.0.1 -U tele -d telemetry -qAtc "$1"; }

load_balancer() {
    eventually 30 test -n "$(central -n selftest get service "$1" -o 'jsonpath={.status.loadBalancer.ingress[0].ip}')"
    central -n selftest get service "$1" -o 'jsonpath={.status.loadBalancer.ingress[0].ip}'
}

# times_out COMMAND... succeeds when the command waits in vain, and fails when
# it is answered or refused at once.
times_out() {
    local started=$SECONDS
    ! "$@" && ((SECONDS - started >= 2))
}

# resolves NAME and unknown NAME ask the name server from a pod in edge.
resolves() { grep -q '^Address: *10\.232\.' <(in_edge nslookup -type=a "$1" | tail -n +3); }
unknown() { grep -q NXDOMAIN <(in_edge timeout 2 nslookup -type=a "$1"); }

# nothing_left looks for whatever a cluster makes on the machine.
nothing_left() {
    local left
    left=$(
        ip -o link | grep -E ": (tcbr$instance|tc$instance-[0-9]+)[@:]"
        find /sys/fs/cgroup -maxdepth 2 -name "telectl-test-$instance-*" 2>/dev/null
        grep -F "$TELECTL_TEST_STATE" /proc/mounts
        pgrep -af "$TELECTL_TEST_STATE/"
        ip netns list | grep '^cni-'
        ls -d "$TELECTL_TEST_STATE" 2>/dev/null
    )
    [[ -z $left ]] || { echo "left behind: $left" && return 1; }
}

read_instance() { instance=$(sed -n 's/.*"number":\([0-9]*\).*/\1/p' "$TELECTL_TEST_STATE/instance.json"); }

# memory is what the clusters' processes have for themselves, in MiB.
memory() {
    for pid in $(pgrep -f "$TELECTL_TEST_STATE/"); do
        cat "/proc/$pid/smaps_rollup" 2>/dev/null
    done | awk '/^Pss:/ {sum += $2} END {print int(sum / 1024)}'
}

finish() {
    "$testcluster" down
    rm -rf "$images"
}
trap finish EXIT

servers() {
    check "edge and central start" "$testcluster" up edge central
    read_instance
    check "the images are packed" "$packimage" fixtures --out "$images"
    check "the images are loaded" "$testcluster" load-image "$images"/{redis,postgres,etcd}.tar
    check "starting again changes nothing" bash -c "'$testcluster' up edge central 2>&1 | grep -c 'already running' | grep -qx 2"
    check "central takes the servers' manifests" central apply -f selftest/central.yaml
    check "edge takes the client" edge apply -f selftest/edge.yaml
    check "the client runs" edge wait --for=condition=Ready pod/client --timeout=60s
    check "Redis runs on its volume" central -n selftest rollout status statefulset/redis --timeout=60s
    check "PostgreSQL runs on its volume" central -n selftest rollout status statefulset/postgres --timeout=90s
    check "etcd runs" central -n selftest rollout status deployment/etcd --timeout=60s
    check "the autoscaler can scale" central -n selftest wait hpa/etcd --for=condition=AbleToScale --timeout=30s
    check "PostgreSQL has its contributed extensions" postgres 'create extension btree_gist; create extension pg_trgm'
    check "PostgreSQL ran the scripts" postgres 'select * from from_sql, from_sh'
    check "PostgreSQL took the setting" bash -c "[[ $(postgres 'show max_connections') == 20 ]]"
}

network() {
    redis=$(load_balancer redis)
    check "a pod in edge reaches Redis in central" eventually 10 in_edge redis-cli -h "$redis" ping
    check "this machine reaches Redis" eventually 5 redis-cli -h "$redis" ping
    check "PostgreSQL wants the password from outside" bash -c \
        "PGPASSWORD=not-a-secret psql -h $(load_balancer postgres) -U tele -d telemetry -qAtc 'select 1' && ! PGPASSWORD=x psql -h $(load_balancer postgres) -U tele -d telemetry -c 'select 1'"
    check "pods resolve services" resolves kubernetes.default.svc.cluster.local
    check "other names do not exist, at once" unknown example.invalid
    check "a limited volume is full at its size" fails in_edge dd if=/dev/zero of=/limited/file bs=1M count=20
    check "and not before" in_edge dd if=/dev/zero of=/limited/file bs=1M count=4
    check "logs come through the API server" central -n selftest logs statefulset/redis --tail=1
    check "Pod Security refuses a root pod" fails central -n selftest run root --image=localhost/redis:7
}

faults() {
    check "a partition is made" "$testcluster" partition edge central
    check "over it connections time out" times_out in_edge timeout 3 redis-cli -h "$redis" ping
    check "this machine is not part of it" redis-cli -h "$redis" ping
    check "status shows it" bash -c "'$testcluster' status | grep -q 'cut off from central'"
    check "the partition heals" "$testcluster" heal edge central
    check "and connections work" eventually 5 in_edge redis-cli -h "$redis" ping
    check "the name server stops" "$testcluster" dns stop edge
    check "and names fail" fails resolves kubernetes.default.svc.cluster.local
    check "the name server starts" "$testcluster" dns start edge
    check "and names resolve" eventually 10 resolves kubernetes.default.svc.cluster.local
    check "the API server stops" "$testcluster" apiserver stop edge
    check "and refuses" fails edge get nodes --request-timeout=2s
    check "and starts" "$testcluster" apiserver start edge
    check "the API server freezes" "$testcluster" apiserver freeze central
    check "and lets time out" times_out central get nodes --request-timeout=3s
    check "up mends it" "$testcluster" up central
    check "and the pods never noticed" redis-cli -h "$redis" ping
}

release() {
    check "a service goes" central -n selftest delete service redis
    check "and its address with it" eventually 10 fails timeout 2 redis-cli -h "$redis" ping
    check "pods and claims go" central delete namespace selftest --timeout=60s
    check "and the volumes with them" eventually 20 bash -c "! ls -A '$TELECTL_TEST_STATE'/central/volumes | grep -q ."
}

# killed_up kills a start with no chance to clean up, once its clusters have
# got as far as the given file.
killed_up() {
    "$testcluster" up edge central 2>/dev/null &
    local up=$!
    eventually 60 test -s "$TELECTL_TEST_STATE/edge/$1" || return 1
    kill -9 $up
    wait $up 2>/dev/null
    read_instance
}

leftovers() {
    check "down is quick" timeout 20 "$testcluster" down
    check "and leaves nothing" nothing_left
    for file in cluster.json log/kube-apiserver.log log/kubelet.log; do
        check "a start is killed at $file" killed_up "$file"
        check "down clears it" timeout 20 "$testcluster" down
        # What the killed command had only just started ends by itself.
        check "and leaves nothing" eventually 10 nothing_left
    done
    check "a start is killed again" killed_up log/kubelet.log
    check "the next start clears it" "$testcluster" up edge
    check "down once more" timeout 20 "$testcluster" down
    check "and leaves nothing" nothing_left
}

errors() {
    check "without root it says so" bash -c "setpriv --reuid 65534 --clear-groups /proc/self/fd/3 up edge 3<'$testcluster' 2>&1 | grep -q 'need root'"
    check "a missing package is named" bash -c "PATH=/nowhere '$testcluster' up edge 2>&1 | grep -q 'apt-get install -y .*nftables'"
    check "a bad name is explained" bash -c "'$testcluster' up Edge_1 2>&1 | grep -q 'lower-case'"
    check "an unknown cluster is explained" bash -c "'$testcluster' partition a b 2>&1 | grep -q 'testcluster up a'"
}

"$testcluster" down
servers
echo "      the two clusters' own processes use $(memory) MiB"
network
faults
release
leftovers
errors
echo "$passed passed, $failed failed"
((failed == 0))
