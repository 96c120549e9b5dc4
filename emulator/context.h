// Matmul contexts: what is bound to them, and how a job runs on one of three cores.
//
// Model: a context has a list of shapes (one, unless dynamic), three operands, a core or none, one domain. Binding A or
// B in a layout that is not native converts the device's bytes there and then and keeps the result; native operands are
// read, and C written, in place at run. Each core does one job at a time; a context without a core takes the core with
// the shortest queue. run returns when the job is done.
// Invariant: one thread at a time in a context; a second one is misuse, reported and refused, never undefined here.
// Not modelled: crashes where hardware would crash. Time is that of clock.h.
#pragma once

#include "arithmetic.h"
#include "layouts.h"
#include "memory.h"
#include "plan/cost.h"

#include <atomic>
#include <memory>
#include <string>
#include <vector>

namespace rknn_emu {

struct operand {
    std::shared_ptr<memory> mem;
    std::vector<uint8_t> converted; // native form of a bound operand that is not native
    bool bound = false;
    double bound_us = 0; // virtual time
};

class matmul_context {
public:
    // 0, or a refusal's code. io has one entry per shape.
    static int create(const rknpu::abi::matmul_info & info, const rknpu::abi::matmul_shape * shapes, int n_shapes,
                      rknpu::abi::matmul_io_attr * io, std::shared_ptr<matmul_context> & out);

    int set_io_mem(const std::shared_ptr<memory> & mem, const rknpu::abi::matmul_tensor_attr & attr);
    int set_core_mask(int32_t mask);
    int set_quant_params(const rknpu::abi::quant_params & params);
    int get_quant_params(rknpu::abi::quant_params & params, float & scale) const;
    int set_dynamic_shape(const rknpu::abi::matmul_shape & wanted);
    int run();
    int domain() const { return info_.iommu_domain_id; }

    std::atomic<bool> in_use{false}; // a thread is inside: see context_guard

private:
    int check_bindings() const;
    double ready_us(int core) const;
    rknpu::npu_run as_planned() const;
    int run_on_core(int core, double ready_us, bool wrong, uint64_t n_wrong);
    void count_run(int core) const;

    rknpu::abi::matmul_info info_{};
    std::vector<shape> shapes_;
    std::vector<rknpu::abi::matmul_io_attr> attrs_;
    size_t active_ = 0;
    operand operands_[3]; // A, B, C
    job_scratch scratch_;
    int core_ = -1;                // -1: any
    std::vector<float> scales_[3]; // of A, B, C; empty: 1
    bool zero_result_ = false;
    fd_lease fds_;
    space_lease space_;
};

// Claims a context for one call; ok() is false, and the misuse is on record, when another thread is inside.
class context_guard {
public:
    context_guard(matmul_context & ctx, const char * call);
    ~context_guard();
    context_guard(const context_guard &) = delete;
    context_guard & operator=(const context_guard &) = delete;
    bool ok() const { return ok_; }

private:
    matmul_context & ctx_;
    bool ok_;
};

rknpu::abi::context publish_context(std::shared_ptr<matmul_context> ctx);
std::shared_ptr<matmul_context> find_context(rknpu::abi::context handle);
void forget_context(rknpu::abi::context handle);

// The refusals of creation for one shape of info; 0 and *out when it is acceptable.
int check_shape(const rknpu::abi::matmul_info & info, const rknpu::abi::matmul_shape & wanted, shape & out);

} // namespace rknn_emu
