// See self-test.h.
#include "device/self-test.h"

#include "base/log.h"
#include "device/versions.h"
#include "layout/layout.h"

#include <cstring>

namespace rknpu {

namespace {

constexpr size_t M = 3, K = 96, N = 64;
constexpr size_t window_offset = 8192;

// Small integers with signs, of which f16, i8, i4 and all their sums here are exact. No row or column equals another.
int activation_value(size_t m, size_t k) {
    return int((5 * k + 3 * m + k * m) % 13) - 6;
}
int weight_value(size_t n, size_t k) {
    return int((7 * k + 11 * n + k * n) % 15) - 7;
}

// The half that holds an integer of at most 11 bits.
uint16_t half_of(int value) {
    if (value == 0) return 0;
    int magnitude = value < 0 ? -value : value, exponent = 0;
    while (magnitude >> (exponent + 1))
        exponent++;
    return uint16_t((value < 0 ? 0x8000 : 0) | (exponent + 15) << 10 | ((magnitude << (10 - exponent)) & 0x3ff));
}

// Into memory that was zero.
void put(element type, uint8_t * memory, size_t index, int value) {
    if (type == element::f16) {
        const uint16_t half = half_of(value);
        std::memcpy(memory + 2 * index, &half, sizeof(half));
    } else if (type == element::i4) {
        memory[index / 2] |= uint8_t((value & 15) << (index % 2 * 4)); // even elements in the low nibble
    } else {
        memory[index] = uint8_t(int8_t(value));
    }
}

double get(element type, const uint8_t * memory, size_t index) {
    if (type == element::f16) {
        float value;
        std::memcpy(&value, memory + 4 * index, sizeof(value));
        return value;
    }
    if (type == element::i4) {
        int16_t value;
        std::memcpy(&value, memory + 2 * index, sizeof(value));
        return value;
    }
    int32_t value;
    std::memcpy(&value, memory + 4 * index, sizeof(value));
    return value;
}

status compare(const tile_shape & tile, element type, const device_memory & output) {
    const output_layout layout(tile, M, N);
    for (size_t m = 0; m < M; m++) {
        for (size_t n = 0; n < N; n++) {
            int expected = 0;
            for (size_t k = 0; k < K; k++)
                expected += activation_value(m, k) * weight_value(n, k);
            const double got = get(type, output.data(), layout.index(m, n));
            if (got == expected) continue;
            return {errc::incompatible,
                    format_text("a product is wrong (row %zu, column %zu: %g instead of %d); install librknnrt %s, and "
                                "please report this with the runtime's and the driver's version",
                                m, n, got, expected, known_runtime)};
        }
    }
    return {};
}

// An operand as jobs bind it: a window of a larger allocation.
struct operand {
    std::unique_ptr<device_memory> whole, window;
    uint8_t * data() const { return window->data(); }
};

status allocate_operand(device & npu, size_t bytes, operand & o) {
    auto whole = npu.allocate(window_offset + bytes, 0);
    if (!whole.ok()) return whole.status();
    o.whole = std::move(whole.value());
    auto window = npu.view(*o.whole, window_offset, bytes);
    if (!window.ok()) return window.status();
    o.window = std::move(window.value());
    std::memset(o.data(), 0, bytes);
    return {};
}

void fill_operands(const tile_shape & tile, element type, const operand & activation, const operand & weight) {
    const activation_layout a(tile, M, K);
    const weight_layout w(tile, N, K);
    for (size_t k = 0; k < K; k++) {
        for (size_t m = 0; m < M; m++)
            put(type, activation.data(), a.index(m, k), activation_value(m, k));
        for (size_t n = 0; n < N; n++)
            put(type, weight.data(), w.index(n, k), weight_value(n, k));
    }
}

} // namespace

status test_core(device & npu, core_team & team, element type, int core) {
    const tile_shape & tile = npu.info().soc->tile(type);
    const job_shape shape{type, M, K, N};
    operand activation, weight, output;
    if (auto s = allocate_operand(npu, shape.activation_bytes(), activation); !s.ok()) return s;
    if (auto s = allocate_operand(npu, shape.weight_bytes(), weight); !s.ok()) return s;
    if (auto s = allocate_operand(npu, shape.output_bytes(), output); !s.ok()) return s;
    fill_operands(tile, type, activation, weight);
    for (const operand * o : {&activation, &weight}) {
        if (auto s = npu.sync(*o->whole, sync_direction::to_device); !s.ok()) return s;
    }
    auto context = npu.create_context(shape, core, 0);
    if (!context.ok()) return context.status();
    const uint64_t ticket =
        team.submit(core, {context.value().get(), activation.window.get(), weight.window.get(), output.window.get()});
    if (auto s = team.wait(core, ticket); !s.ok()) {
        // A hung job still refers to these.
        if (team.hung()) {
            npu.abandon();
            (void)context.value().release();
            for (operand * o : {&activation, &weight, &output}) {
                (void)o->window.release();
                (void)o->whole.release();
            }
        }
        return s;
    }
    return compare(tile, type, *output.window);
}

} // namespace rknpu
