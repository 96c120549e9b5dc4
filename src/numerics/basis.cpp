// See basis.h.
#include "numerics/basis.h"

#include "kernels/kernels.h"

namespace rknpu {

void basis::to_activation(float * row, size_t K) const {
    if (!balance.empty()) kernels::multiply(row, balance.data(), K);
    rotate.apply(row, K);
}

void basis::to_weight(float * row, size_t K) const {
    if (!balance.empty()) {
        for (size_t k = 0; k < K; k++)
            row[k] /= balance[k];
    }
    rotate.apply(row, K);
}

void basis::from_weight(float * row, size_t K) const {
    rotate.undo(row, K);
    if (!balance.empty()) kernels::multiply(row, balance.data(), K);
}

} // namespace rknpu
