// See merged-weight.h.
#include "matmul/merged-weight.h"

#include "base/check.h"
#include "layout/layout.h"

#include <algorithm>

namespace rknpu {

std::unique_ptr<merged_weight> merged_weight::of(engine & npu, std::vector<const packed_weight *> members) {
    if (members.size() < 2 || members.size() > merged_members_max) return nullptr;
    std::vector<const matmul_plan *> plans;
    for (const packed_weight * m : members)
        plans.push_back(&m->plan());
    const weight_block & start = members.front()->block();
    size_t end = start.offset;
    for (const packed_weight * m : members) {
        const weight_block & block = m->block();
        if (block.memory != start.memory || block.offset != end) return nullptr;
        end += m->plan().matrix_bytes();
    }
    std::unique_ptr<merged_weight> merged(new merged_weight(members, plan_merged(plans, npu.planning().n_cores)));
    const matmul_plan & first = *plans.front();
    const size_t row_bytes = element_bytes(first.type(), first.segments.front().K_padded);
    for (const n_slice & slice : merged->plan_.slices) {
        const size_t offset = start.offset + slice.n_begin * row_bytes;
        auto piece = npu.npu().view(*start.memory, offset, slice.N_padded * row_bytes);
        if (!piece.ok()) return nullptr;
        npu.count().memories++;
        merged->pieces_.push_back(std::move(piece.value()));
    }
    return merged;
}

bool merged_weight::usable() const {
    const packed_weight & first = *members_.front();
    return std::all_of(members_.begin(), members_.end(), [&](const packed_weight * m) {
        return m->plan().segments.size() == m->planned_segments().size() && reads_alike(first, *m);
    });
}

size_t merged_weight::index_of(const packed_weight & member) const {
    const auto at = std::find(members_.begin(), members_.end(), &member);
    RKNPU_CHECK(at != members_.end(), "not a part of this merged weight");
    return size_t(at - members_.begin());
}

} // namespace rknpu
