# rknpu doctor as a command: exit codes, JSON that parses, --fix, and the words of a wrong call.
include(${CMAKE_CURRENT_LIST_DIR}/expect.cmake)

# This machine with the emulator: products of all formats.
expect(0 "ok +self-test[^\n]*EMULATED[^\n]*w16a16.*w8a16.*w8a8.*w4a8.*w4a4" GGML_RKNPU_RUNTIME=${EMULATOR} ${RKNPU} doctor)
# A chip that it cannot be, and a runtime that is not there.
expect(1 "fault +self-test +chip 'rk3576' is not supported" GGML_RKNPU_RUNTIME=${EMULATOR} GGML_RKNPU_CHIP=rk3576 ${RKNPU} doctor)
expect(1 "fault +runtime .*does not exist" GGML_RKNPU_RUNTIME=/nowhere/librknnrt.so ${RKNPU} doctor)
# A board whose governors --fix sets, and which has no NPU driver at all.
file(REMOVE_RECURSE ${TREE})
set(policy ${TREE}/sys/devices/system/cpu/cpufreq/policy4)
file(WRITE ${TREE}/proc/device-tree/compatible "rockchip,rk3588")
file(WRITE ${policy}/scaling_governor "ondemand\n")
file(WRITE ${policy}/scaling_cur_freq "408000\n")
file(WRITE ${policy}/scaling_max_freq "2400000\n")
file(WRITE ${policy}/cpuinfo_max_freq "2400000\n")
file(WRITE ${TREE}/sys/class/devfreq/dmc/governor "dmc_ondemand\n")
file(WRITE ${TREE}/sys/class/devfreq/dmc/cur_freq "528000000\n")
file(WRITE ${TREE}/sys/class/devfreq/dmc/max_freq "2112000000\n")
expect(1 "warning +ddr-clock +dmc at 528 of 2112 MHz.*why:.*effect: +DDR at 2112.*11.2 instead of 5.5.*oRKLLM.*cure: +echo performance.*--fix' sets 2 governors"
    ${RKNPU} doctor --root ${TREE})
file(READ ${policy}/scaling_governor governor)
if(NOT governor STREQUAL "ondemand\n")
    message(FATAL_ERROR "doctor without --fix wrote '${governor}'")
endif()
expect(1 "wrote performance into /sys/class/devfreq/dmc/governor" ${RKNPU} doctor --fix --root ${TREE})
file(READ ${policy}/scaling_governor governor)
if(NOT governor MATCHES "^performance")
    message(FATAL_ERROR "doctor --fix left '${governor}'")
endif()
expect(1 "0 warnings" ${RKNPU} doctor --root ${TREE})

execute_process(COMMAND ${RKNPU} doctor --json --root ${TREE} OUTPUT_VARIABLE out RESULT_VARIABLE code)
string(JSON healthy ERROR_VARIABLE failed GET "${out}" healthy)
string(JSON count ERROR_VARIABLE failed LENGTH "${out}" findings)
string(JSON chip ERROR_VARIABLE failed GET "${out}" machine chip)
string(JSON first ERROR_VARIABLE failed GET "${out}" findings 0 severity)
if(failed OR healthy OR NOT code EQUAL 1 OR count LESS 15 OR NOT chip STREQUAL "rk3588" OR NOT first STREQUAL "ok")
    message(FATAL_ERROR "doctor --json: ${failed} exit code ${code}\n${out}")
endif()

expect(2 "no folder '/nowhere'; give one that holds" ${RKNPU} doctor --root /nowhere)
expect(2 "no folder '/nowhere'; give that of llama.cpp's programs" ${RKNPU} doctor --llama-bin /nowhere)
expect(2 "no plugin '/nowhere/x.so'" ${RKNPU} doctor --plugin /nowhere/x.so)
expect(2 "leave --root away" ${RKNPU} doctor --emulator --root ${TREE})
expect(2 "" ${RKNPU} doctor --nonsense)

# An NPU that errs: at the door (the first jobs, one per type and core), and in the products of the formats after it.
# Only the hang is waited for in vain: on a busy or emulated CPU an honest job may take more than a second.
function(errs faults pattern)
    expect(1 "${pattern}" GGML_RKNPU_RUNTIME=${EMULATOR} RKNN_EMU_FAULTS=${faults} ${ARGN} ${RKNPU} doctor)
endfunction()
errs("wrong@2" "fault +self-test +the self-test in f16 failed on core .: a product is wrong")
errs("wrong@10+" "fault +self-test +accumulators of w16a16 are not the CPU's")
errs("run-error@10+" "fault +self-test +jobs of w16a16 failed on the NPU and ran on the CPU")
errs("hang@10" "fault +self-test .*hang" GGML_RKNPU_TIMEOUT_MS=1000)
