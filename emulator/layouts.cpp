// Layout conversion by 16-byte cells and tile rows, element by element where the order of k changes; see layouts.h.
#include "layouts.h"

#include "layout/layout.h"

#include <algorithm>
#include <cstring>

namespace rknn_emu {

namespace abi = rknpu::abi;
using rknpu::element;
using rknpu::element_bytes;

namespace {

constexpr size_t cell_bytes = 16;

const char * const type_names[] = {
    nullptr,
    "FLOAT16_MM_FLOAT16_TO_FLOAT32",
    "INT8_MM_INT8_TO_INT32",
    "INT8_MM_INT8_TO_INT8",
    "FLOAT16_MM_FLOAT16_TO_FLOAT16",
    "FLOAT16_MM_INT8_TO_FLOAT32",
    "FLOAT16_MM_INT8_TO_FLOAT16",
    "FLOAT16_MM_INT4_TO_FLOAT32",
    "FLOAT16_MM_INT4_TO_FLOAT16",
    "INT8_MM_INT8_TO_FLOAT32",
    "INT4_MM_INT4_TO_INT16",
    "INT8_MM_INT4_TO_INT32",
    "FLOAT16_MM_INT4_TO_BFLOAT16",
    nullptr,
    nullptr,
    "INT8_MM_INT4_TO_FLOAT16",
};

struct supported_type {
    int32_t type;
    type_facts facts;
};

// The six that RK3588 accepts; three independent probes of runtime 2.3.2 got -5 for all others.
const supported_type supported[] = {
    {abi::f16_f16_to_f32, {type_names[1], element::f16, 4, abi::type_f16, abi::type_f32}},
    {abi::i8_i8_to_i32, {type_names[2], element::i8, 4, abi::type_i8, abi::type_i32}},
    {abi::i8_i8_to_i8, {type_names[3], element::i8, 1, abi::type_i8, abi::type_i8}},
    {abi::f16_f16_to_f16, {type_names[4], element::f16, 2, abi::type_f16, abi::type_f16}},
    {abi::i8_i8_to_f32, {type_names[9], element::i8, 4, abi::type_i8, abi::type_f32}},
    {abi::i4_i4_to_i16, {type_names[10], element::i4, 2, abi::type_i4, abi::type_i16}},
};

void describe_one(abi::matmul_tensor_attr & attr, const char * name, std::initializer_list<size_t> dims, size_t bytes,
                  abi::tensor_type type) {
    attr = {};
    std::strcpy(attr.name, name);
    attr.n_dims = uint32_t(dims.size());
    std::transform(dims.begin(), dims.end(), attr.dims, [](size_t d) { return uint32_t(d); });
    attr.size = uint32_t(bytes);
    attr.type = type;
}

// Calls body(segment's first k, its layout, its first byte in native B) for every segment of K.
template <class F> void for_each_segment(const shape & s, uint8_t * native, F body) {
    for (size_t segment = 0; segment < s.n_segments(); segment++) {
        const size_t k0 = segment * size_t(s.chip->k_max);
        body(k0, rknpu::weight_layout(s.tile(), s.N, s.segment_k(segment)),
             native + element_bytes(s.type->input, k0 * s.N));
    }
}

uint8_t nibble(const uint8_t * bytes, size_t index) {
    return uint8_t(bytes[index / 2] >> (index % 2 * 4) & 0xf);
}

} // namespace

const char * matmul_type_name(int32_t type) {
    const bool known = type > 0 && type < int32_t(sizeof(type_names) / sizeof(type_names[0])) && type_names[type];
    return known ? type_names[type] : "UNKNOW"; // the vendor's spelling
}

const type_facts * find_type(int32_t type) {
    for (const supported_type & candidate : supported)
        if (candidate.type == type) return &candidate.facts;
    return nullptr;
}

size_t shape::segment_k(size_t segment) const {
    return std::min(size_t(chip->k_max), K - segment * size_t(chip->k_max));
}

void describe(const shape & s, int b_layout, int ac_layout, abi::matmul_io_attr & out) {
    const rknpu::tile_shape & t = s.tile();
    const size_t ak = size_t(t.activation_k), tn = size_t(t.weight_n), tk = size_t(t.weight_k), cn = s.output_atom();
    const type_facts & f = *s.type;
    if (ac_layout == abi::layout_native) {
        describe_one(out.A, "A", {s.K / ak, s.M, ak}, s.bytes_a(), f.input_tensor);
        describe_one(out.C, "C", {s.N / cn, s.M, cn}, s.bytes_c(), f.output_tensor);
    } else {
        describe_one(out.A, "A", {s.M, s.K}, s.bytes_a(), f.input_tensor);
        describe_one(out.C, "C", {s.M, s.N}, s.bytes_c(), f.output_tensor);
    }
    if (b_layout == abi::layout_native)
        describe_one(out.B, "B", {s.N / tn, s.K / tk, tn, tk}, s.bytes_b(), f.input_tensor);
    else if (b_layout == abi::layout_tp_norm)
        describe_one(out.B, "B", {s.N, s.K}, s.bytes_b(), f.input_tensor);
    else
        describe_one(out.B, "B", {s.K, s.N}, s.bytes_b(), f.input_tensor);
}

void native_a_from_norm(const shape & s, const uint8_t * norm, uint8_t * native) {
    const size_t row_bytes = element_bytes(s.type->input, s.K);
    for (size_t cell = 0; cell < row_bytes / cell_bytes; cell++)
        for (size_t m = 0; m < s.M; m++)
            std::memcpy(native + (cell * s.M + m) * cell_bytes, norm + m * row_bytes + cell * cell_bytes, cell_bytes);
}

void native_b_from_tp_norm(const shape & s, const uint8_t * tp_norm, uint8_t * native) {
    const element type = s.type->input;
    const size_t row_bytes = element_bytes(type, s.K), run_k = size_t(s.tile().weight_k);
    for_each_segment(s, native, [&](size_t k0, const rknpu::weight_layout & layout, uint8_t * out) {
        for (size_t n = 0; n < s.N; n++)
            for (size_t k = 0; k < layout.K; k += run_k)
                std::memcpy(out + element_bytes(type, layout.index(n, k)),
                            tp_norm + n * row_bytes + element_bytes(type, k0 + k), element_bytes(type, run_k));
    });
}

namespace {

template <class T> void transpose_into_native(const shape & s, const uint8_t * norm, uint8_t * native) {
    for_each_segment(s, native, [&](size_t k0, const rknpu::weight_layout & layout, uint8_t * out) {
        for (size_t k = 0; k < layout.K; k++)
            for (size_t n = 0; n < s.N; n++)
                std::memcpy(out + layout.index(n, k) * sizeof(T), norm + ((k0 + k) * s.N + n) * sizeof(T), sizeof(T));
    });
}

// code(index) is the 4-bit code of NORM element index = k * N + n.
template <class F> void nibbles_into_native(const shape & s, F code, uint8_t * native) {
    for_each_segment(s, native, [&](size_t k0, const rknpu::weight_layout & layout, uint8_t * out) {
        for (size_t k = 0; k < layout.K; k += 2)
            for (size_t n = 0; n < s.N; n++) {
                const size_t index = (k0 + k) * s.N + n;
                out[layout.index(n, k) / 2] = uint8_t(code(index) | code(index + s.N) << 4);
            }
    });
}

} // namespace

void native_b_from_norm(const shape & s, const uint8_t * norm, uint8_t * native) {
    if (s.type->input == element::f16)
        transpose_into_native<uint16_t>(s, norm, native);
    else if (s.type->input == element::i8)
        transpose_into_native<uint8_t>(s, norm, native);
    else
        nibbles_into_native(
            s, [&](size_t index) { return nibble(norm, index); }, native);
}

void native_b_from_unpacked_i4(const shape & s, const int8_t * norm, uint8_t * native) {
    nibbles_into_native(
        s, [&](size_t index) { return uint8_t(norm[index] & 0xf); }, native);
}

void norm_c_from_native(const shape & s, const uint8_t * native, uint8_t * norm, size_t n_begin, size_t n_end) {
    const size_t atom = s.output_atom(), row_bytes = s.N * size_t(s.type->output_bytes);
    for (size_t m = 0; m < s.M; m++)
        for (size_t cell = n_begin / atom; cell < n_end / atom; cell++)
            std::memcpy(norm + m * row_bytes + cell * cell_bytes, native + (cell * s.M + m) * cell_bytes, cell_bytes);
}

} // namespace rknn_emu
