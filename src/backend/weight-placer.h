// Gives the weights of one buffer their NPU memory: whole layers in one domain each, decided when all are known.
//
// llama.cpp names all tensors of a buffer (init_tensor) before it sends any bytes; so placing waits for the first
// bytes. Invariant: loading never fails for want of NPU memory. What finds no room stays on the CPU, whole layers of
// it, and one line says how much and what would help; where memory turns out scarcer than the accounts say, the rest
// is planned anew.
#pragma once

#include "backend/plugin.h"
#include "plan/placement.h"

#include <memory>
#include <vector>

namespace rknpu {

struct waiting_weight {
    packed_tensor * t;
    const ggml_tensor * tensor;
    matmul_plan plan;
};

class weight_placer {
public:
    explicit weight_placer(engine & npu) : npu_(npu), pools_(size_t(npu.ledger().n_domains())) {}

    void add(packed_tensor * t, const ggml_tensor * tensor, matmul_plan plan) {
        waiting_.push_back({t, tensor, std::move(plan)});
    }
    // Gives those that wait their weight objects, or keeps them on the CPU; returns those that found room.
    std::vector<waiting_weight> place();

private:
    std::vector<uint64_t> rooms(size_t first_domain) const;
    uint64_t total_room() const;
    status place_unit(const placement_unit & unit, int domain, uint64_t expected_bytes);
    std::vector<std::vector<size_t>> neighbours_of(const std::vector<size_t> & weights) const;
    void merge(const std::vector<size_t> & row);
    weight_pool & pool(int domain);
    void say(const std::vector<placement_unit> & units, const std::vector<int> & domains, const status & why) const;

    engine & npu_;
    std::vector<std::unique_ptr<weight_pool>> pools_; // by domain
    std::vector<waiting_weight> waiting_;
};

} // namespace rknpu
