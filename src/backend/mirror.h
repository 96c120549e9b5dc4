// A graph of ggml's with the NPU's matmuls put in: what the stock CPU backend computes in one call.
//
// Each MUL_MAT on a packed weight becomes one or two custom nodes: fill a stage (quantize the activation) unless a
// stage before it holds just that, and run the jobs. ggml's barrier between nodes is the barrier between the two. All
// other nodes are the original ones, and the mirror shares the graph's use counts, so ggml's fusions stay on.
//
// Invariant: building again for a graph of no larger size allocates nothing. A mirror refers to the tensors of the
// graph it was built from; it is built anew when ggml says that the graph is another one (its uid), or does not say.
#pragma once

#include "backend/plugin.h"
#include "matmul/npu-matmul.h"

#include "ggml-impl.h"

#include <atomic>
#include <deque>
#include <unordered_set>
#include <vector>

namespace rknpu {

class mirror {
public:
    // Builds the mirror, or keeps it where the graph's uid says that nothing changed. status: failed for a weight that
    // was never loaded.
    status build(const ggml_cgraph * graph, int n_threads);
    // Forgets the graph: the next build is a real one.
    void invalidate() { uid_ = 0; }

    // Whether computing this graph involves a packed weight.
    bool would_use_npu(const ggml_cgraph * graph) const;
    // Before each computation.
    void reset();
    ggml_cgraph * graph() { return &graph_; }
    // True if a custom node of the last computation failed by a bug of ours.
    bool failed() const { return failed_; }

private:
    struct staged {
        activation_stage stage;
        mirror * owner;
        // What it was filled from, to find sharers while building.
        const ggml_tensor * activation;
        size_t node_index;
    };
    struct multiplied {
        npu_matmul work;
        mirror * owner;
    };

    bool is_current(const ggml_cgraph * graph) const {
        return graph->uid != 0 && graph->uid == uid_ && generation_ == the_plugin().weights_generation;
    }
    void add(ggml_tensor * node) { nodes_.push_back(node); }
    void note_if_refused(const ggml_tensor * weight);
    status add_matmul(ggml_tensor * node, size_t node_index, int n_threads);
    status add_on_cpu(ggml_tensor * node, const packed_tensor & weight);
    staged & stage_for(const ggml_tensor * node, const packed_weight & weight, size_t node_index, int n_threads);
    bool is_untouched_since(const ggml_tensor * activation, size_t from, size_t to) const;
    ggml_tensor * custom_node(ggml_tensor * like, ggml_custom_op_t function, void * userdata);
    ggml_tensor & new_tensor();
    static void fill_stage(ggml_tensor *, int ith, int nth, void * userdata);
    static void run_matmul(ggml_tensor *, int ith, int nth, void * userdata);

    ggml_cgraph graph_{};
    const ggml_cgraph * source_ = nullptr;
    uint64_t uid_ = 0, generation_ = 0;
    std::vector<ggml_tensor *> nodes_;
    // Pools of parts: deques, because parts never move; the counts say how many are in use.
    std::deque<ggml_tensor> tensors_;
    std::deque<staged> stages_;
    std::deque<multiplied> matmuls_;
    size_t n_tensors_ = 0, n_stages_ = 0, n_matmuls_ = 0;
    std::unordered_set<const ggml_tensor *> refused_; // noted before
    std::atomic<bool> failed_{false};
};

} // namespace rknpu
