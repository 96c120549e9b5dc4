// Lines of the emulator to stderr, each starting with "rknn-emu: ".
//
// Invariant: nothing of the emulator's output can be taken for the vendor's log ("RKNN: ..."), and a line is one write.
#pragma once

namespace rknn_emu {

#define RKNN_EMU_PRINTF __attribute__((format(printf, 1, 2)))

// RKNN_EMU_LOG >= 1: refusals, misuse, faults.
void log_error(const char * format, ...) RKNN_EMU_PRINTF;
// RKNN_EMU_LOG >= 2: contexts and allocations.
void log_info(const char * format, ...) RKNN_EMU_PRINTF;
// Whatever RKNN_EMU_LOG says: wrong settings and emulated kernel panics.
void log_always(const char * format, ...) RKNN_EMU_PRINTF;

// One argument error or exhausted resource: counts it, logs the line, returns code.
int refuse(int code, const char * format, ...) __attribute__((format(printf, 2, 3)));
// One call that hardware leaves undefined: counts it, logs the line, returns -1.
int misuse(const char * format, ...) RKNN_EMU_PRINTF;

} // namespace rknn_emu
