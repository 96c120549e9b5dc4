// The C ABI of the vendor's matmul runtime (librknnrt.so), declared by us; shared by the loader and by the emulator.
//
// Invariant: sizes, offsets and values are those of runtime 2.3.2 on LP64 (x86_64 and aarch64 agree), checked below at
// compile time. Here, as in the vendor's texts, A is the activation [M, K], B the weight [K, N], C the output [M, N].
// Source of every number: the vendor's public headers and API reference for 2.3.2, as interface facts (no text copied).
#pragma once

#include <cstddef>
#include <cstdint>

namespace rknpu::abi {

using context = uint64_t; // rknn_context and rknn_matmul_ctx are the same 64-bit handle

enum return_code : int {
    succ = 0,
    fail = -1,
    timeout = -2,
    device_unavailable = -3,
    malloc_fail = -4,
    param_invalid = -5,
    model_invalid = -6,
    ctx_invalid = -7,
    input_invalid = -8,
    output_invalid = -9,
    device_unmatch = -10,
};

// A x B -> C element types. RK3588 accepts 1, 2, 3, 4, 9 and 10 only.
enum matmul_type : int32_t {
    f16_f16_to_f32 = 1,
    i8_i8_to_i32 = 2,
    i8_i8_to_i8 = 3,
    f16_f16_to_f16 = 4,
    f16_i8_to_f32 = 5,
    f16_i8_to_f16 = 6,
    f16_i4_to_f32 = 7,
    f16_i4_to_f16 = 8,
    i8_i8_to_f32 = 9,
    i4_i4_to_i16 = 10,
    i8_i4_to_i32 = 11,
    f16_i4_to_bf16 = 12,
    i8_i4_to_f16 = 15,
};

enum matmul_layout : int16_t { layout_norm = 0, layout_native = 1, layout_tp_norm = 2 };

enum tensor_type : int32_t {
    type_f32 = 0,
    type_f16 = 1,
    type_i8 = 2,
    type_i16 = 4,
    type_i32 = 6,
    type_i4 = 10,
};

enum core_mask : int32_t { core_auto = 0, core_0 = 1, core_1 = 2, core_2 = 4, core_0_1 = 3, core_0_1_2 = 7 };

enum mem_sync_mode : int32_t { sync_to_device = 1, sync_from_device = 2, sync_bidirectional = 3 };

enum query_cmd : int32_t { query_sdk_version = 5, query_mem_size = 6 };

constexpr int max_dims = 16;
constexpr int max_name_len = 256;

struct matmul_info {
    int32_t M, K, N;
    int32_t type; // matmul_type
    int16_t B_layout;
    int16_t B_quant_type;
    int16_t AC_layout;
    int16_t AC_quant_type;
    int32_t iommu_domain_id;
    int16_t group_size;
    int8_t reserved[34];
};
static_assert(sizeof(matmul_info) == 64 && offsetof(matmul_info, type) == 12 && offsetof(matmul_info, B_layout) == 16 &&
              offsetof(matmul_info, AC_layout) == 20 && offsetof(matmul_info, iommu_domain_id) == 24 &&
              offsetof(matmul_info, group_size) == 28 && offsetof(matmul_info, reserved) == 30);

struct matmul_tensor_attr {
    char name[max_name_len];
    uint32_t n_dims;
    uint32_t dims[max_dims];
    uint32_t size; // bytes
    int32_t type;  // tensor_type
};
static_assert(sizeof(matmul_tensor_attr) == 332 && offsetof(matmul_tensor_attr, dims) == 260 &&
              offsetof(matmul_tensor_attr, size) == 324 && offsetof(matmul_tensor_attr, type) == 328);

struct matmul_io_attr {
    matmul_tensor_attr A, B, C;
};
static_assert(sizeof(matmul_io_attr) == 996 && offsetof(matmul_io_attr, C) == 664);

struct matmul_shape {
    int32_t M, K, N;
};
static_assert(sizeof(matmul_shape) == 12);

struct quant_params {
    char name[max_name_len];
    float * scale;
    int32_t scale_len;
    int32_t * zp;
    int32_t zp_len;
};
static_assert(sizeof(quant_params) == 288 && offsetof(quant_params, zp) == 272);

struct tensor_mem {
    void * virt_addr;
    uint64_t phys_addr;
    int32_t fd;
    int32_t offset;
    uint32_t size;
    uint32_t flags;
    void * priv_data;
};
static_assert(sizeof(tensor_mem) == 40 && offsetof(tensor_mem, fd) == 16 && offsetof(tensor_mem, size) == 24 &&
              offsetof(tensor_mem, priv_data) == 32);

struct sdk_version {
    char api_version[256];
    char drv_version[256];
};
static_assert(sizeof(sdk_version) == 512);

struct mem_size {
    uint32_t total_weight_size;
    uint32_t total_internal_size;
    uint64_t total_dma_allocated_size;
    uint32_t total_sram_size;
    uint32_t free_sram_size;
    uint32_t reserved[10];
};
static_assert(sizeof(mem_size) == 64);

// The entry points we use: X(symbol, member, result, arguments). All are mandatory: each exists since runtime 2.0 at
// the latest, and older ones lack the 64-byte matmul_info.
#define RKNN_MANDATORY_SYMBOLS(X)                                                                                      \
    X(rknn_matmul_create, matmul_create, int, (context *, matmul_info *, matmul_io_attr *))                            \
    X(rknn_matmul_set_io_mem, matmul_set_io_mem, int, (context, tensor_mem *, matmul_tensor_attr *))                   \
    X(rknn_matmul_set_core_mask, matmul_set_core_mask, int, (context, int32_t))                                        \
    X(rknn_matmul_run, matmul_run, int, (context))                                                                     \
    X(rknn_matmul_destroy, matmul_destroy, int, (context))                                                             \
    X(rknn_create_mem, create_mem, tensor_mem *, (context, uint32_t))                                                  \
    X(rknn_create_mem_from_fd, create_mem_from_fd, tensor_mem *, (context, int32_t, void *, uint32_t, int32_t))        \
    X(rknn_mem_sync, mem_sync, int, (context, tensor_mem *, int32_t))                                                  \
    X(rknn_destroy_mem, destroy_mem, int, (context, tensor_mem *))                                                     \
    X(rknn_query, query, int, (context, int32_t, void *, uint32_t))

// Entry points that only mark a version: present from the release named on. X(symbol, release).
#define RKNN_MARKER_SYMBOLS(X)                                                                                         \
    X(rknn_create_mem2, "2.0.0")                                                                                       \
    X(rknn_B_normal_layout_to_native_layout, "2.0.0")                                                                  \
    X(rknn_matmul_create_dynamic_shape, "2.1.0")

struct functions {
#define X(symbol, member, return_type, arguments) return_type(*member) arguments = nullptr;
    RKNN_MANDATORY_SYMBOLS(X)
#undef X
};

} // namespace rknpu::abi
