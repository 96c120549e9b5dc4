// A weight in the NPU's memory, or a stack of them: planned, quantized, packed and cut into the pieces that jobs bind.
// The rows of a stack are counted through: row n belongs to matrix n / N.
//
// Invariant: memory is reserved when the weight is created, where a refusal can still be heard; loading cannot run out
// of it. A loaded weight never changes.
#pragma once

#include "matmul/engine.h"
#include "numerics/balance.h"
#include "numerics/weight.h"
#include "store/store-file.h"

#include <memory>
#include <string>
#include <vector>

namespace rknpu {

// What is done to a weight on its way into codes, beyond its plan: the same for all weights of an activation group.
struct preparation {
    std::vector<float> balance; // factors of the columns (basis.h); empty: none
    scale_method search = scale_method::mse;
    std::vector<float> importance;                  // of each column, in the basis; empty: unknown
    std::shared_ptr<const error_feedback> feedback; // nullptr: each code is rounded by itself
};

// Bytes of a pool that a planned weight takes: each segment starts on a page, and there may be more of them once its
// codes are known.
size_t reserved_bytes(const matmul_plan & plan);

// Whether the next weight of the pool may begin right behind the codes. Segments then begin anywhere if there must be
// more of them than planned; otherwise each of these begins on a page.
enum class spacing { roomy, close };

class packed_weight {
public:
    // status: out_of_memory. expected_bytes: see weight_pool::reserve. spacing::close: of one matrix.
    static result<std::unique_ptr<packed_weight>> create(engine & npu, weight_pool & pool, const matmul_plan & plan,
                                                         size_t expected_bytes, spacing room = spacing::roomy);

    // Quantizes and packs all rows, on all CPU threads; the NPU sees them after the pool's next flush. Whoever prepared
    // work with this weight before must do so anew: its segments may have changed. status: invalid_argument (a NaN or
    // an infinity in the source): the weight must not be used.
    status load(const row_source & rows, const preparation & how = {});

    // The way around load(), for a weight that was packed before with the same plan and is on disk: cut it as it was
    // cut then, fill its contents, and say in which basis they are. Without the last step, load() as if nothing had
    // been. status: invalid_argument if no weight of this plan is ever cut so.
    status cut_as_packed(size_t n_segments);
    std::vector<byte_range> contents(); // scales, then codes; all that a loaded weight is, beside cuts and balance
    void loaded_from_disk(std::vector<float> balance);
    status forget_cuts();

    // Row n as f32, as the codes have it.
    void read_row(size_t n, float * row) const;

    const matmul_plan & plan() const { return plan_; }
    const std::vector<k_segment> & planned_segments() const { return planned_.segments; } // before any overflow
    const basis & in() const { return basis_; }
    weight_pool & pool() const { return pool_; }
    const weight_block & block(size_t matrix = 0) const { return blocks_[matrix]; }
    int domain() const { return blocks_.front().memory->domain(); }
    device_memory & piece(size_t segment, size_t slice, size_t matrix = 0) const {
        return *pieces_[(matrix * plan_.segments.size() + segment) * plan_.slices.size() + slice];
    }
    // All segments of a matrix, one after the other, columns by plan().joint_slices.
    device_memory & joint_piece(size_t slice, size_t matrix = 0) const {
        return *joint_pieces_[matrix * plan_.joint_slices.size() + slice];
    }
    // Scales of a segment, one per output channel.
    const float * scales(size_t segment, size_t matrix = 0) const {
        return scales_.data() + (matrix * plan_.segments.size() + segment) * plan_.N;
    }

private:
    packed_weight(engine & npu, weight_pool & pool, const matmul_plan & plan, spacing room)
        : npu_(npu), pool_(pool), room_(room), plan_(plan), planned_(plan) {}
    status reserve_blocks(size_t expected_bytes);
    status cut_pieces();
    packing pack_rows(const row_source & rows, const preparation & how, size_t & bad_row);
    std::vector<uint8_t *> segments(size_t matrix) const; // where each starts

    engine & npu_;
    weight_pool & pool_;
    spacing room_;
    matmul_plan plan_;
    const matmul_plan planned_; // before any overflow
    bool is_cut_ = false;       // all windows are there
    basis basis_;
    std::vector<weight_block> blocks_; // one per matrix: one segment after the other, each with all its slices
    std::vector<std::unique_ptr<device_memory>> pieces_; // windows: matrix by matrix, segment-major, one per slice
    std::vector<std::unique_ptr<device_memory>> joint_pieces_; // likewise, for jobs of all segments
    std::vector<float> scales_;
};

// Whether two weights read one quantized activation: same K, format, basis and segments, and in reach of the same
// memory.
bool reads_alike(const packed_weight & x, const packed_weight & y);

} // namespace rknpu
