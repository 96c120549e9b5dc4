// Two libraries that look like the vendor's runtime and cannot serve: one as old as 1.6.0 (RKNN_POOR_OLD), one without
// rknn_matmul_run. They exist to be refused by the loader.
//
// Invariant: their symbol sets; every function fails. The set of 1.6.0 was read from the vendor's library with nm -D.
#include "device/rknn/abi.h"

namespace abi = rknpu::abi;

#define RKNN_EXPORT extern "C" __attribute__((visibility("default")))

RKNN_EXPORT int rknn_matmul_create(abi::context *, abi::matmul_info *, abi::matmul_io_attr *) {
    return abi::fail;
}
RKNN_EXPORT int rknn_matmul_set_io_mem(abi::context, abi::tensor_mem *, abi::matmul_tensor_attr *) {
    return abi::fail;
}
RKNN_EXPORT int rknn_matmul_set_core_mask(abi::context, int32_t) {
    return abi::fail;
}
RKNN_EXPORT int rknn_matmul_destroy(abi::context) {
    return abi::fail;
}
RKNN_EXPORT abi::tensor_mem * rknn_create_mem(abi::context, uint32_t) {
    return nullptr;
}
RKNN_EXPORT int rknn_mem_sync(abi::context, abi::tensor_mem *, int32_t) {
    return abi::fail;
}
RKNN_EXPORT int rknn_destroy_mem(abi::context, abi::tensor_mem *) {
    return abi::fail;
}
RKNN_EXPORT int rknn_query(abi::context, int32_t, void *, uint32_t) {
    return abi::fail;
}

#ifdef RKNN_POOR_OLD
RKNN_EXPORT int rknn_matmul_run(abi::context) {
    return abi::fail;
}
#else
RKNN_EXPORT abi::tensor_mem * rknn_create_mem2(abi::context, uint64_t, uint64_t) {
    return nullptr;
}
RKNN_EXPORT abi::tensor_mem * rknn_create_mem_from_fd(abi::context, int32_t, void *, uint32_t, int32_t) {
    return nullptr;
}
RKNN_EXPORT int rknn_B_normal_layout_to_native_layout(void *, void *, int, int, abi::matmul_info *) {
    return abi::fail;
}
RKNN_EXPORT int rknn_matmul_create_dynamic_shape(abi::context *, abi::matmul_info *, int, abi::matmul_shape *,
                                                 abi::matmul_io_attr *) {
    return abi::fail;
}
#endif
