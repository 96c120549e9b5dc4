// Matrices as bytes: the three layouts of the vendor's API for one shape and type, and the way between them.
//
// Terms of the vendor: A [M, K] activation, B [K, N] weight, C [M, N] output. NORM is row major (B: k outer), TP_NORM
// is B with n outer, NATIVE is the chip's own (src/layout/layout.h). i4: two codes a byte, even index in the low
// nibble. Invariant: K and N obey the chip's alignment, so no layout has padding and all layouts of a matrix have one
// size. Native B with K above 8192 is a row of segments of 8192 k each, every one a native matrix of its own; A is not
// cut.
#pragma once

#include "device/rknn/abi.h"
#include "plan/chip.h"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace rknn_emu {

// What a type of the API multiplies and writes.
struct type_facts {
    const char * name; // as in the vendor's enumerators
    rknpu::element input;
    int output_bytes;
    rknpu::abi::tensor_type input_tensor, output_tensor;
};

// Null when the type exists but RK3588 refuses it, or does not exist. matmul_type_name knows those too.
const type_facts * find_type(int32_t type);
const char * matmul_type_name(int32_t type);

struct shape {
    size_t M, K, N;
    const type_facts * type;
    const rknpu::chip * chip;

    const rknpu::tile_shape & tile() const { return chip->tile(type->input); }
    size_t output_atom() const { return 16 / size_t(type->output_bytes); } // N columns of one 16-byte cell of C
    size_t bytes_a() const { return rknpu::element_bytes(type->input, M * K); }
    size_t bytes_b() const { return rknpu::element_bytes(type->input, K * N); }
    size_t bytes_c() const { return M * N * size_t(type->output_bytes); }
    size_t n_segments() const { return (K + size_t(chip->k_max) - 1) / size_t(chip->k_max); }
    size_t segment_k(size_t segment) const; // columns of K in it
};

// Fills names, dimensions, sizes and types. layouts are those of matmul_info.
void describe(const shape & s, int b_layout, int ac_layout, rknpu::abi::matmul_io_attr & out);

void native_a_from_norm(const shape & s, const uint8_t * norm, uint8_t * native);
void native_b_from_norm(const shape & s, const uint8_t * norm, uint8_t * native);
void native_b_from_tp_norm(const shape & s, const uint8_t * tp_norm, uint8_t * native);
// i4 only: NORM B with one code a byte, as the conversion helper takes it.
void native_b_from_unpacked_i4(const shape & s, const int8_t * norm, uint8_t * native);
// Columns [n_begin, n_end), multiples of the atom.
void norm_c_from_native(const shape & s, const uint8_t * native, uint8_t * norm, size_t n_begin, size_t n_end);

} // namespace rknn_emu
