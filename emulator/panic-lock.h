// One client at a time: jobs of two processes in flight at once can panic the vendor's kernel driver. Here that is seen
// through one file per machine (RKNN_EMU_NPU), locked with flock while this process has a job in flight.
//
// Invariant: loading, allocating and being idle never take the lock. The process that meets a foreign lock adds to the
// panic count in the file; every process that had the file open before then answers -3 to all that touches the device,
// as if the machine had gone down under it. Processes that start later see a rebooted machine. Not modelled: that
// hardware panics only sometimes.
#pragma once

namespace rknn_emu {

// Brackets a job. False: the (emulated) kernel has panicked, the device is gone; then job_end must not be called.
bool job_begin();
void job_end();

// Has the kernel panicked, as far as this process knows?
bool device_gone();

} // namespace rknn_emu
