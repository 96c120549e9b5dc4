// The stream table: graph_compute. One call of the stock CPU backend computes a whole graph (mirror.h).
#include "backend/edge.h"
#include "backend/mirror.h"
#include "matmul/stopwatch.h"

#include <algorithm>
#include <chrono>
#include <mutex>
#include <thread>

namespace rknpu {

namespace {

struct stream {
    ggml_backend_t cpu;
    int n_threads = GGML_DEFAULT_N_THREADS;
    mirror graphs;
};

stream & context_of(ggml_backend_t backend) {
    return *static_cast<stream *>(backend->context);
}

// A plugin does not link the CPU backend; its functions are reached by name.
template <class F> F cpu_function(const char * name) {
    return reinterpret_cast<F>(ggml_backend_reg_get_proc_address(ggml_backend_dev_backend_reg(cpu_device()), name));
}

ggml_status compute(stream & s, ggml_cgraph * graph) {
    engine & npu = *the_plugin().npu;
    stopwatch watch(npu.count().graph_ns, true);
    // Contexts and staging are shared by all streams, so even preparing is done under the lock. A graph without NPU
    // work neither waits for anybody nor keeps anybody waiting.
    std::unique_lock<npu_lock> alone(npu.lock(), std::defer_lock);
    if (s.graphs.would_use_npu(graph)) alone.lock();
    if (auto built = s.graphs.build(graph, s.n_threads); !built.ok()) {
        log_error("%s", built.message().c_str());
        return GGML_STATUS_FAILED;
    }
    npu.count().graphs++;
    s.graphs.reset();
    const ggml_status status = ggml_backend_graph_compute(s.cpu, s.graphs.graph());
    return s.graphs.failed() ? GGML_STATUS_FAILED : status;
}

ggml_status graph_compute(ggml_backend_t backend, ggml_cgraph * graph) {
    return guarded("graph_compute", GGML_STATUS_FAILED, [&] { return compute(context_of(backend), graph); });
}

void write_capture() {
    activation_capture * capture = the_plugin().npu->capture();
    if (!capture) return;
    std::lock_guard<npu_lock> alone(the_plugin().npu->lock()); // another stream may be adding to the sums
    if (const status s = capture->write(); !s.ok()) log_error("%s: what was captured is lost", s.message().c_str());
}

void free_stream(ggml_backend_t backend) {
    guarded("closing", false, [&] { return write_summary(), write_capture(), true; });
    // llama.cpp's programs do not wait for their log thread at exit, and lose what it has not written: often the end of
    // the text (llama.cpp v0.5.0, common/log.cpp). This is our last chance to give it a moment.
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    stream & s = context_of(backend);
    ggml_backend_free(s.cpu);
    delete &s;
    delete backend;
}

} // namespace

ggml_backend_t new_stream() {
    return guarded<ggml_backend_t>("opening a stream", nullptr, []() -> ggml_backend_t {
        static ggml_guid guid = {0x6b, 0x1d, 0x93, 0x42, 0xe8, 0x0f, 0x4c, 0x77,
                                 0xa1, 0x5e, 0x30, 0xd9, 0x82, 0x6a, 0xf4, 0x1b};
        ggml_backend_t cpu = ggml_backend_dev_init(cpu_device(), nullptr);
        if (!cpu) return nullptr;
        auto s = std::make_unique<stream>();
        s->cpu = cpu;
        ggml_backend_i i{};
        i.get_name = [](ggml_backend_t) { return backend_name; };
        i.free = free_stream;
        i.graph_compute = graph_compute;
        return new ggml_backend{&guid, i, &the_plugin().device, s.release()};
    });
}

void set_n_threads(ggml_backend_t backend, int n_threads) {
    stream & s = context_of(backend);
    // The stages have scratch memory for each thread.
    if (n_threads > s.n_threads) s.graphs.invalidate();
    s.n_threads = std::max(s.n_threads, n_threads);
    if (auto set = cpu_function<ggml_backend_set_n_threads_t>("ggml_backend_set_n_threads")) set(s.cpu, n_threads);
}

void set_abort_callback(ggml_backend_t backend, ggml_abort_callback callback, void * data) {
    if (auto set = cpu_function<ggml_backend_set_abort_callback_t>("ggml_backend_set_abort_callback"))
        set(context_of(backend).cpu, callback, data);
}

} // namespace rknpu
