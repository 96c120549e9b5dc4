// Neighbours in the NPU's memory that one job takes as a single weight (plan/merge.h).
//
// Invariant: it owns windows only; the weights and their memory are others', which outlive it. Whether the weights may
// still be used so is asked anew for each graph: one of them may have been cut otherwise when its codes were known.
#pragma once

#include "matmul/packed-weight.h"
#include "plan/merge.h"

#include <memory>
#include <vector>

namespace rknpu {

// q, k and v, or gate and up; a bit of a word for each.
constexpr size_t merged_members_max = 32;

class merged_weight {
public:
    // nullptr where the weights do not lie one right after the other, are fewer than two or too many, or there are no
    // windows to be had: then each is multiplied alone. The plans of any two can merge.
    static std::unique_ptr<merged_weight> of(engine & npu, std::vector<const packed_weight *> members);

    // Whether the codes of all, once loaded, can be taken by one job and read one quantized activation.
    bool usable() const;

    const std::vector<const packed_weight *> & members() const { return members_; }
    size_t index_of(const packed_weight & member) const;
    const merged_plan & plan() const { return plan_; }
    device_memory & piece(size_t slice) const { return *pieces_[slice]; }

private:
    merged_weight(std::vector<const packed_weight *> members, merged_plan plan)
        : members_(std::move(members)), plan_(std::move(plan)) {}

    std::vector<const packed_weight *> members_;
    merged_plan plan_;
    std::vector<std::unique_ptr<device_memory>> pieces_; // windows, one per slice
};

} // namespace rknpu
