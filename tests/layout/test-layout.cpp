// The native layouts: literal element orders of small shapes, bijection, and packing there and back.
#include "layout/layout.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

using namespace rknpu;

namespace {

// Small made-up tiles make orders that can be read; the formulas know no other numbers.
constexpr tile_shape small = {2, 2, 4, 2, 4, 2, 1.0};

const tile_shape & tile_of(element type) {
    return find_chip("rk3588").value()->tile(type);
}

// Element r * columns + c of the matrix, in memory order.
template <class L> std::vector<size_t> order(const L & layout, size_t rows, size_t columns) {
    std::vector<size_t> elements(layout.size(), 99);
    for (size_t r = 0; r < rows; r++) {
        for (size_t c = 0; c < columns; c++)
            elements[layout.index(r, c)] = r * columns + c;
    }
    return elements;
}

TEST(layout, golden_activation_order) {
    EXPECT_EQ(order(activation_layout(small, 3, 4), 3, 4), (std::vector<size_t>{0, 1, 4, 5, 8, 9, 2, 3, 6, 7, 10, 11}));
}

TEST(layout, golden_weight_order) {
    EXPECT_EQ(order(weight_layout(small, 4, 8), 4, 8),
              (std::vector<size_t>{0,  1,  2,  3,  8,  9,  10, 11, 4,  5,  6,  7,  12, 13, 14, 15,
                                   16, 17, 18, 19, 24, 25, 26, 27, 20, 21, 22, 23, 28, 29, 30, 31}));
}

TEST(layout, golden_output_order) {
    EXPECT_EQ(order(output_layout(small, 2, 6), 2, 6), (std::vector<size_t>{0, 1, 6, 7, 2, 3, 8, 9, 4, 5, 10, 11}));
}

TEST(layout, golden_places_on_rk3588) {
    const activation_layout a_f16(tile_of(element::f16), 2, 16), a_i8(tile_of(element::i8), 2, 32),
        a_i4(tile_of(element::i4), 2, 64);
    EXPECT_EQ(a_f16.index(1, 9), 25u); // second atom of 8: 2 rows * 8, then row 1, then 1
    EXPECT_EQ(a_i8.index(1, 17), 49u);
    EXPECT_EQ(a_i4.index(1, 33), 97u);
    const weight_layout w_f16(tile_of(element::f16), 32, 64), w_i8(tile_of(element::i8), 64, 64),
        w_i4(tile_of(element::i4), 128, 64);
    EXPECT_EQ(w_f16.index(17, 33), 3u * 512 + 32 + 1);
    EXPECT_EQ(w_i8.index(33, 33), 3u * 1024 + 32 + 1);
    EXPECT_EQ(w_i4.index(65, 33), 3u * 2048 + 32 + 1);
    EXPECT_EQ(output_layout(tile_of(element::i8), 3, 8).index(2, 5), 21u);
    EXPECT_EQ(output_layout(tile_of(element::i4), 3, 16).index(2, 9), 41u);
}

template <class L> void expect_bijection(const L & layout, size_t rows, size_t columns) {
    std::vector<int> hits(layout.size());
    ASSERT_EQ(layout.size(), rows * columns);
    for (size_t r = 0; r < rows; r++) {
        for (size_t c = 0; c < columns; c++) {
            const size_t at = layout.index(r, c);
            ASSERT_LT(at, layout.size());
            ASSERT_EQ(hits[at]++, 0) << "row " << r << " column " << c;
        }
    }
}

TEST(layout, every_offset_belongs_to_one_element) {
    const uint32_t seed = std::random_device()();
    std::mt19937 random(seed);
    for (int i = 0; i < 60; i++) {
        const element type = element(i % n_elements);
        const size_t rows = 1 + random() % 150, columns = 1 + random() % 300;
        SCOPED_TRACE("seed " + std::to_string(seed) + " " + element_name(type) + " " + std::to_string(rows) + " x " +
                     std::to_string(columns));
        const activation_layout a(tile_of(type), rows, columns);
        const weight_layout w(tile_of(type), rows, columns);
        const output_layout o(tile_of(type), rows, columns);
        expect_bijection(a, a.M, a.K);
        expect_bijection(w, w.N, w.K);
        expect_bijection(o, o.M, o.N);
        EXPECT_TRUE(a.K >= columns && w.N >= rows && w.K >= columns && o.N >= columns);
    }
}

template <class T, class PACK, class UNPACK>
void check_rows(element type, size_t N, size_t K, std::mt19937 & random, int low, int high, PACK pack, UNPACK unpack) {
    const weight_layout layout(tile_of(type), N, K);
    std::vector<uint8_t> native(element_bytes(type, layout.size()), 0xee);
    std::vector<std::vector<T>> rows(N, std::vector<T>(K));
    for (size_t n = 0; n < N; n++) {
        for (auto & code : rows[n])
            code = T(low + int(random() % uint32_t(high - low + 1)));
        pack(layout, n, rows[n].data(), K, native.data());
    }
    for (size_t n = 0; n < N; n++) {
        std::vector<T> back(layout.K, T(1));
        unpack(layout, n, back.data(), layout.K, native.data());
        for (size_t k = 0; k < layout.K; k++)
            ASSERT_EQ(back[k], k < K ? rows[n][k] : T(0)) << "row " << n << " column " << k;
        std::vector<T> exact(K);
        unpack(layout, n, exact.data(), K, native.data());
        ASSERT_EQ(exact, rows[n]);
        for (size_t k = 0; k < layout.K; k++) { // where the formula says, not just somewhere
            const size_t at = layout.index(n, k);
            const int code = type == element::i4   ? ((native[at / 2] >> (at % 2 * 4) & 15) ^ 8) - 8
                             : type == element::i8 ? int(int8_t(native[at]))
                                                   : native[2 * at] | native[2 * at + 1] << 8;
            ASSERT_EQ(code, k < K ? int(rows[n][k]) : 0) << "row " << n << " column " << k;
        }
    }
    for (size_t n = N; n < layout.N; n++) { // rows nobody packed stay as they were
        const size_t at = element_bytes(type, layout.index(n, 0));
        ASSERT_EQ(native[at], 0xee) << "row " << n;
    }
}

TEST(layout, packed_rows_come_back_and_padding_is_zero) {
    const uint32_t seed = std::random_device()();
    std::mt19937 random(seed);
    for (size_t N : {1, 16, 33, 65}) {
        for (size_t K : {1, 2, 31, 32, 33, 63, 64, 97}) {
            SCOPED_TRACE("seed " + std::to_string(seed) + " N " + std::to_string(N) + " K " + std::to_string(K));
            check_rows<uint16_t>(element::f16, N, K, random, 0, 65535, pack_weight_row_f16, unpack_weight_row_f16);
            check_rows<int8_t>(element::i8, N, K, random, -128, 127, pack_weight_row_i8, unpack_weight_row_i8);
            check_rows<int8_t>(element::i4, N, K, random, -8, 7, pack_weight_row_i4, unpack_weight_row_i4);
        }
    }
}

TEST(layout, even_k_is_the_low_nibble) {
    const weight_layout layout(tile_of(element::i4), 1, 4);
    std::vector<uint8_t> native(layout.size() / 2);
    const int8_t codes[] = {1, -8, 7, -1};
    pack_weight_row_i4(layout, 0, codes, 4, native.data());
    EXPECT_EQ(native[0], 0x81);
    EXPECT_EQ(native[1], 0xf7);
}

} // namespace
