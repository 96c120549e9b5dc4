// See packed-weight.h.
#include "matmul/packed-weight.h"

#include "base/parallel.h"
#include "numerics/weight.h"

#include <atomic>

namespace rknpu {

result<std::unique_ptr<packed_weight>> packed_weight::create(engine & npu, weight_pool & pool, const matmul_plan & plan,
                                                             size_t expected_bytes) {
    std::unique_ptr<packed_weight> w(new packed_weight(npu, pool, plan));
    for (size_t i = 0; i < plan.segments.size(); i++) {
        auto block = pool.reserve(plan.segment_bytes(i), expected_bytes);
        if (!block.ok()) return block.status();
        w->blocks_.push_back(block.value());
    }
    if (auto s = w->cut_pieces(); !s.ok()) return s;
    w->rotation_ = make_rotation(plan.K, plan.rotation_block, plan.rotation_seed);
    w->scales_.assign(plan.segments.size() * plan.N, 0.0f);
    return w;
}

status packed_weight::cut_pieces() {
    for (size_t i = 0; i < plan_.segments.size(); i++) {
        for (const n_slice & slice : plan_.slices) {
            // Rows of whole tiles are contiguous in the native layout (layout.h).
            const size_t row_bytes = element_bytes(plan_.type(), plan_.segments[i].K_padded);
            auto piece = npu_.npu().view(*blocks_[i].memory, blocks_[i].offset + slice.n_begin * row_bytes,
                                         slice.N_padded * row_bytes);
            if (!piece.ok()) return piece.status();
            npu_.count().memories++;
            pieces_.push_back(std::move(piece.value()));
        }
    }
    return {};
}

status packed_weight::load(const row_source & rows) {
    std::vector<uint8_t *> native;
    for (const auto & block : blocks_)
        native.push_back(block.data());
    std::atomic<size_t> bad_row{plan_.N};
    const size_t tile = size_t(plan_.soc->tile(plan_.type()).weight_n);
    parallel_for(plan_.N, tile, [&](size_t begin, size_t end) {
        std::vector<float> row(plan_.K);
        for (size_t n = begin; n < end; n++) {
            rows(n, row.data());
            if (!pack_weight_row(plan_, rotation_, n, row.data(), native.data(), scales_.data())) bad_row = n;
        }
    });
    if (bad_row != plan_.N) {
        return {errc::invalid_argument, "row " + std::to_string(bad_row) +
                                            " holds a NaN or an infinity: the file is damaged or the model unusable"};
    }
    for (const auto & block : blocks_)
        pool_.wrote(block);
    return {};
}

void packed_weight::read_row(size_t n, float * row) const {
    std::vector<const uint8_t *> native;
    for (const auto & block : blocks_)
        native.push_back(block.data());
    unpack_weight_row(plan_, rotation_, n, native.data(), scales_.data(), row);
}

} // namespace rknpu
