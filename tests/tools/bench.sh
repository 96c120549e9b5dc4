#!/usr/bin/env bash
# rknpu bench with a stand-in of llama-bench: what it calls, its figures from planted sensors and counters, the report's
# forms, Ctrl-C, and each line about a mistake.
# shellcheck source=tests/tools/common.sh
source "$(dirname "$0")/common.sh"

mkdir "$scratch/tmp"
export TMPDIR=$scratch/tmp
call=(bench model.gguf "${programs[@]}" --idle 1 --interval 0.02)
sensor=board/sys/class/hwmon/hwmon3/power1_input
mkdir -p "$(dirname "$sensor")" board/proc/device-tree board/sys/class/thermal/thermal_zone0
echo ina226 >"$(dirname "$sensor")/name"
echo 3000000 >"$sensor"
printf 'Radxa ROCK 5B\0' >board/proc/device-tree/model
echo soc-thermal >board/sys/class/thermal/thermal_zone0/type
echo 51000 >board/sys/class/thermal/thermal_zone0/temp

# 1. On the emulator: two runs for each phase, what a token costs is their difference, and no speed of this PC.
run "${call[@]}" -p 64 -n 16
expect_code 0
expect_calls 'bench p=64 n=0 r=1 RKNPU0 plugin' 'bench p=64 n=0 r=2 RKNPU0 plugin' \
    'bench p=0 n=16 r=1 RKNPU0 plugin' 'bench p=0 n=16 r=2 RKNPU0 plugin'
expect_in out '^EMULATED: no board was used'
# 3 jobs of 7 us on one core, 1 uJ and 1 MiB each
expect_in out '^decode tg16 +21\.0 +15\.0 +0\.00000300 +3\.0 +3\.00 +3\.000'
! grep -qE 'tokens/s|100\.5|164\.5' out || fail "a speed of this PC: $(cat out)"
run "${call[@]}" -p 0 -n 16 -r 4 --format w8a8 --threads 3 -- -fa 1
expect_calls 'bench p=0 n=16 r=1 RKNPU0 plugin w8a8 -t 3 -fa 1' 'bench p=0 n=16 r=5 RKNPU0 plugin w8a8 -t 3 -fa 1'
expect_in out 'decode tg16 +21\.0'
echo "ok: the emulator's work per token"

# 2. With a clock of this world: power over idle from a planted sensor, in one call.
export FAKE_SENSOR=$scratch/$sensor FAKE_SHOWN=$scratch/err
run "${call[@]}" --cpu --root board -p 64 -n 16 -r 2 --markdown -o report.md
expect_code 0
expect_calls 'bench p=64 n=16 r=2 none'
# W, over idle, J per token at 164.5 and 100.5 tokens/s: to the last digit, for every sample of a phase is of its power
expect_in report.md '\| prefill pp64 \| 164\.50 \| 0\.25 \| 7\.00 \| 4\.00 \| 0\.0426 \| 0\.0243 \| 51 \|'
expect_in report.md '\| decode tg16 \| 100\.50 \| 0\.25 \| 5\.00 \| 2\.00 \| 0\.0498 \| 0\.0199 '
expect_in report.md '^- power: ina226 \(hwmon3/power1_input\); idle 3\.00 W'
expect_in report.md '^- board: Radxa ROCK 5B'
expect_in out '^prefill pp64 +164\.50'
! grep -q EMULATED report.md || fail "the CPU's speed is not emulated"
echo 3000000 >"$sensor"
run "${call[@]}" --cpu --root board -p 64 -n 0 -r 2 --json -o report
expect_in report '"kind": "measured, CPU only"'
expect_in report '"idle_watts": (3\.0|2\.999999)' # an integral divided by its time
expect_in report '"llama_bench"'
unset FAKE_SENSOR FAKE_SHOWN
echo "ok: power"

# 3. Meters that fail: one line, and on without them.
run "${call[@]}" --cpu --power 'command:exit 4' -p 64 -n 0
expect_code 0
expect_in err "power command 'exit 4' gave no power: exit code 4; going on without"
expect_in out 'prefill pp64 +164\.50'
run "${call[@]}" --cpu --power 'command:false' -p 64 -n 0 -o report.json
expect_in report.json '"power_source": null'
mkdir -p empty/sys
run "${call[@]}" --cpu --root empty -p 64 -n 0
expect_code 0
expect_in err 'shows no sensor of its power; --power command:'

# 4. Ctrl-C while it rests, while llama-bench runs, and with one that does not listen.
rm -f report*
"$RKNPU" bench model.gguf "${programs[@]}" --cpu --idle 30 -o report.json >out 2>err </dev/null &
started=$!
for ((tries = 0; tries < 200; tries++)); do ! grep -q 'idle for 30 s' err || break; sleep 0.1; done
kill -INT "$started"
code=0
wait "$started" || code=$?
expect_error 130 'interrupted; nothing was written'
interrupt 'n=128' "${call[@]}" -o report.json
how=STUBBORN interrupt 'p=64' "${call[@]}" --cpu -p 64 -o report.json
! compgen -G 'report*' || fail "left over: $(ls)"
! compgen -G "$TMPDIR/*" || fail "a scratch folder was left"
echo "ok: Ctrl-C"

# 5. Mistakes.
FAKE_FAIL=bench run "${call[@]}"
expect_error 1 "llama-bench failed with exit code 1: main: error: failed to load model 'model.gguf'; add '-- -v'"
FAKE_KILL=bench run "${call[@]}"
expect_error 1 'ended by signal 9 .*out of memory'
FAKE_NODEVICE=RKNPU0 run "${call[@]}"
expect_error 1 'does not list the device RKNPU0; the plugin must be built for this llama.cpp'
FAKE_IDLE=bench run "${call[@]}"
expect_error 1 'the plugin gave the NPU no job: .*rknpu plan model.gguf says why'
FAKE_TWICE=bench run "${call[@]}" --cpu
expect_error 2 'llama-bench made 3 tests, 2 were expected: give each of its options one value'
run "${call[@]}" --power command:true
expect_error 2 'would measure this PC'
run "${call[@]}" --cpu --root board --power /sys/class/hwmon/hwmon3/name
expect_error 2 'is no sensor of power .*this machine has: /sys/class/hwmon/hwmon3/power1_input'
! compgen -G "$TMPDIR/*" || fail "a scratch folder was left"
