// A weight in the NPU's memory: planned, quantized, packed and cut into the pieces that jobs bind.
//
// Invariant: memory is reserved when the weight is created, where a refusal can still be heard; loading cannot run out
// of it. A loaded weight never changes.
#pragma once

#include "matmul/engine.h"
#include "numerics/rotation.h"

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace rknpu {

// Delivers row n of the source as K f32 values. Called from several threads.
using row_source = std::function<void(size_t n, float * row)>;

class packed_weight {
public:
    // status: out_of_memory. expected_bytes: see weight_pool::reserve.
    static result<std::unique_ptr<packed_weight>> create(engine & npu, weight_pool & pool, const matmul_plan & plan,
                                                         size_t expected_bytes);

    // Quantizes and packs all rows, on all CPU threads; the NPU sees them after the pool's next flush. status:
    // invalid_argument (a NaN or an infinity in the source): the weight must not be used.
    status load(const row_source & rows);

    // Row n as f32, as the codes have it.
    void read_row(size_t n, float * row) const;

    const matmul_plan & plan() const { return plan_; }
    const rotation & rotate() const { return rotation_; }
    weight_pool & pool() const { return pool_; }
    int domain() const { return blocks_.front().memory->domain(); }
    device_memory & piece(size_t segment, size_t slice) const {
        return *pieces_[segment * plan_.slices.size() + slice];
    }
    // Scales of a segment, one per output channel.
    const float * scales(size_t segment) const { return scales_.data() + segment * plan_.N; }

private:
    packed_weight(engine & npu, weight_pool & pool, const matmul_plan & plan) : npu_(npu), pool_(pool), plan_(plan) {}
    status cut_pieces();

    engine & npu_;
    weight_pool & pool_;
    matmul_plan plan_;
    rotation rotation_;
    std::vector<weight_block> blocks_;                   // one per segment, all slices in a row
    std::vector<std::unique_ptr<device_memory>> pieces_; // windows: segment-major, one per slice
    std::vector<float> scales_;
};

} // namespace rknpu
