#!/usr/bin/env bash
# Every subcommand: bad input gets one line with the cure and an exit code that is not 0, and leaves no file; so does
# Ctrl-C in the middle of those that take long.
# shellcheck source=tests/tools/common.sh
source "$(dirname "$0")/common.sh"

model=$MODELS/tiny-gemma3-f16.gguf
echo 'A lone GGUF' >page.gguf
: >empty.gguf
head -c 4000 "$model" >cut.gguf
mkdir folder
here_are() { find . -mindepth 1 ! -name out ! -name err ! -name calls ! -name calls.pid ! -name 'npu*' ! -name 'lock*' | sort; }
declare -A seen

# bad code pattern arguments...: `pattern` is in the cure
bad() {
    local wanted=$1 pattern=$2 before
    shift 2
    seen[$1]=1
    before=$(here_are)
    run "$@"
    expect_code "$wanted"
    [ "$(wc -l <err)" -eq 1 ] || fail "rknpu $*: not one line: $(cat err)"
    grep -q "^rknpu $1: " err || fail "rknpu $*: the line does not name the subcommand: $(cat err)"
    grep -qE -e "$pattern" err || fail "rknpu $*: no '$pattern' in: $(cat err)"
    [ "$(here_are)" = "$before" ] || fail "rknpu $* left files: $(here_are)"
    echo "ok: rknpu $* -> $(head -n 1 err)"
}

bad 2 'no file .*give the path of a .gguf file' info nowhere.gguf
bad 2 'not a GGUF file .*convert it' info page.gguf
bad 2 'not expected: --nonsense; see rknpu info --help' info --nonsense
bad 2 "'folder' is a folder; give the path of a .gguf file" info folder
bad 2 "it is empty; download it again" info empty.gguf
bad 2 'is no regular file; give the path' info /dev/null
bad 2 'give one that holds' doctor --root nowhere
bad 2 'give --plugin' doctor --plugin nowhere.so
bad 2 'excludes' settings --json --markdown
bad 2 'no file .*give the path' fidelity nowhere.gguf text.txt
bad 2 "of another model .*gemma4 instead of gemma3.*give a file of the same model" fidelity "$model" text.txt --reference "$MODELS/tiny-gemma4-moe-f16.gguf"
for command in "fidelity cut.gguf text.txt" "calibrate cut.gguf text.txt -o x.stats" "bench cut.gguf" "pack cut.gguf -o x.rknpu" \
    "plan cut.gguf" "predict cut.gguf" "info cut.gguf" "sensitivity cut.gguf text.txt -o x.json"; do
    # shellcheck disable=SC2086
    bad 2 "model: 'cut.gguf' is not a complete GGUF file .*download it again" $command
done
printf 'GGUF\3\0\0\0%16s' '' | tr ' ' '\0' >bare.gguf
for command in predict plan info; do bad 1 "'bare.gguf' holds no tensors" $command bare.gguf; done
bad 2 'neither a format .* nor a preset' fidelity "$model" text.txt --formats w3a7
bad 2 'give --llama-bin' fidelity "$model" text.txt --llama-bin folder -o folder
bad 2 'give a file of plain text' calibrate "$model" nowhere.txt -o x.stats
bad 2 '--output is required; see rknpu calibrate --help' calibrate "$model" text.txt
bad 2 'no file .*give the path' plan nowhere.gguf
bad 2 'neither a format .* nor a preset' plan "$model" --format w3a7
bad 2 'no file .*give the path|and no shape' predict nowhere.gguf
bad 2 "'folder' is a folder; give the path of a .gguf file" predict folder
bad 2 '--ctx: Value 3 not in range 32 to 1048576; see rknpu predict --help' predict gemma3-1b --ctx 3
bad 2 '--ctx needs a value; see rknpu predict --help' predict gemma3-1b --ctx
bad 1 "--html: cannot write 'nowhere/page.html': No such file .*make the folder" predict gemma3-1b --html nowhere/page.html
bad 2 "--html: 'folder' is a folder" predict gemma3-1b --html folder
bad 2 "text: cannot read 'folder': it is a folder; give a file of plain text" fidelity "$model" folder
bad 2 'use one of rk3588-4g' predict "$model" --board nowhere
bad 2 'give a file of plain text' sensitivity "$model" nowhere.txt -o x.json
bad 2 'compared with' sensitivity "$model" text.txt -o x.json --formats w16a16
bad 2 'no file .*give the path' bench nowhere.gguf
bad 2 'is not a GGUF file .*download it again' bench page.gguf
bad 2 'give --llama-bin the folder' bench "$model" --llama-bin folder
bad 2 'give --plugin' bench "$model" --llama-bin "$here/fake-llama" --plugin nowhere.so
bad 2 'leave nothing to measure; give one' bench "$model" -p 0 -n 0
bad 2 'use -p before the --' bench "$model" -- -p 3
bad 2 'neither a format .* nor a preset' bench "$model" --format w3a7
bad 2 'use one of rk3588-4g' bench "$model" --board nowhere
bad 1 '-o: cannot write .nowhere/x.json' sensitivity "$model" text.txt -o nowhere/x.json
bad 1 'cannot write' bench "$model" -o nowhere/report.json
bad 2 'is a folder; give a file' bench "$model" -o folder
bad 2 'give one that holds' bench "$model" --cpu --root nowhere
bad 2 'no sensor of this machine|this machine has' bench "$model" "${programs[@]}" --cpu --root folder --power /sys/nowhere
bad 2 'prints W' bench "$model" "${programs[@]}" --cpu --power command:
bad 2 'excludes' bench "$model" --json --markdown
bad 2 'no file .*give the path of a .gguf file' pack nowhere.gguf -o x.rknpu
bad 2 'is not a GGUF file .*download it again' pack page.gguf -o x.rknpu
bad 2 '--output is required' pack "$model"
bad 2 'no file .*give a file of rknpu calibrate' pack "$model" "${programs[@]}" -o x.rknpu --stats nowhere.stats
bad 2 'give --llama-bin' pack "$model" --llama-bin folder -o x.rknpu
bad 2 'give --plugin' pack "$model" --llama-bin "$here/fake-llama" --plugin nowhere.so -o x.rknpu
bad 1 'cannot write' pack "$model" "${programs[@]}" -o nowhere/x.rknpu
bad 2 'not expected' man nonsense
bad 2 'not expected' completion nonsense


# No subcommand, and what is none.
misnamed() { # pattern arguments...
    run "${@:2}"
    expect_error 2 "^rknpu: $1"
    [ "$(wc -l <err)" -eq 1 ] || fail "rknpu ${*:2}: not one line: $(cat err)"
}
misnamed 'a subcommand is required: one of info, doctor, .*see rknpu --help'
misnamed "there is no subcommand 'nonsense'; use one of info, doctor, " nonsense
misnamed "there is no subcommand 'predikt' \(did you mean predict\?\)" predikt
misnamed 'the option --nonsense is not known here; see rknpu --help' --nonsense

# Output that is not taken: one line, and no success. All that print; of the others, their help.
for call in "predict gemma3-1b" "predict gemma3-1b --json" "predict --peers" "plan $model" "plan $model --json" "info" \
    "info --json" "doctor --json" "settings" "settings --markdown" "man" "completion" "pack --help"; do
    code=0
    # shellcheck disable=SC2086
    "$RKNPU" $call >/dev/full 2>err || code=$?
    expect_code 1
    [ "$(cat err)" = "rknpu ${call%% *}: cannot write the output: No space left on device; free some space there, or send it elsewhere" ] \
        || fail "rknpu $call >/dev/full: $(cat err)"
done
code=0
"$RKNPU" --version >/dev/full 2>err || code=$?
expect_error 1 '^rknpu: cannot write the output: No space left'
# Who reads no further is no failure worth a word.
"$RKNPU" predict gemma3-1b 2>err | true || true
[ ! -s err ] || fail "a closed pipe: $(cat err)"
{ trap '' PIPE; "$RKNPU" predict gemma3-1b 2>err || true; } | true || true
[ ! -s err ] || fail "a closed pipe: $(cat err)"
echo "ok: output that is not taken"

# What is no file is not replaced by one, as root in /dev it would be; and a link stays one. A pipe stands in for a device.
mkfifo pipe
bad 2 "-o: 'pipe' is no regular file; give another name" bench "$model" "${programs[@]}" -o pipe
bad 2 "-o: 'pipe' is no regular file" pack "$model" "${programs[@]}" -o pipe
bad 2 "-o: 'pipe' is no regular file" calibrate "$model" text.txt "${programs[@]}" -o pipe
bad 2 "-o: 'pipe' is no regular file" sensitivity "$model" text.txt "${programs[@]}" -o pipe
bad 2 "--html: 'pipe' is no regular file" predict gemma3-1b --html pipe
[ -p pipe ] || fail "the pipe was replaced"
echo old >target.html
ln -s target.html link.html
run predict gemma3-1b --html link.html
expect_code 0
if [ ! -L link.html ] || ! grep -q '</html>' target.html; then fail "the link was replaced"; fi
ln -s target.rknpu link.rknpu
: >target.rknpu
run pack "$model" "${programs[@]}" -o link.rknpu
expect_code 0
if [ ! -L link.rknpu ] || [ ! -s target.rknpu ]; then fail "the link was replaced"; fi
rm pipe ./*.html ./*.rknpu

# A new subcommand needs a line above.
for command in $("$RKNPU" --help | sed -n '/Subcommands:/I,$ s/^  \([a-z][a-z-]*\).*/\1/p'); do
    [ -n "${seen[$command]:-}" ] || fail "no mistake of 'rknpu $command' is tested"
done

# Ctrl-C. What calibrate and fidelity keep to go on from is theirs to keep (calibrate.sh, fidelity.sh).
interrupt '^bench' bench "$model" "${programs[@]}" -o report.json
interrupt '^kld|^base' fidelity "$model" text.txt "${programs[@]}" --chunks 8 -o report
! compgen -G 'report/*.partial' || fail "left over: $(ls report)"
interrupt '^base|^kld' sensitivity "$model" text.txt "${programs[@]}" -o sensitivity.json
interrupt '^capture' calibrate "$model" text.txt "${programs[@]}" -o model.stats
interrupt '^pack' pack "$model" "${programs[@]}" -o model.rknpu
expect_in err 'interrupted; 1 of 2 MiB are packed'
! compgen -G 'model.rknpu*' || fail "left over of pack"
for file in report.json sensitivity.json model.stats; do [ ! -e "$file" ] || fail "$file after Ctrl-C"; done
# A product that hangs under the doctor's self-test; in the foreground, for the shell lets background jobs ignore SIGINT.
code=0
RKNN_EMU_FAULTS=hang@1 timeout --preserve-status -s INT 1 "$RKNPU" doctor >out 2>err || code=$?
[ "$code" -eq 130 ] || fail "doctor after Ctrl-C: exit code $code: $(cat err)"
echo "ok: Ctrl-C"
