// A graph of ggml's with the NPU's matmuls put in: what the stock CPU backend computes in one call.
//
// Each MUL_MAT or MUL_MAT_ID on a packed weight becomes one or two custom nodes: fill a stage (quantize the activation)
// unless a stage before it holds just that, and run the jobs. ggml's barrier between nodes is the barrier between the
// two. Of siblings (gate and up of experts) only the first has a node, which writes the outputs of all. All other nodes
// are the original ones, and the mirror shares the graph's use counts, so ggml's fusions stay on.
//
// Invariant: building again for a graph of no larger size allocates nothing. A mirror refers to the tensors of the
// graph it was built from; it is built anew when ggml says that the graph is another one (its uid), or does not say.
#pragma once

#include "backend/plugin.h"
#include "matmul/npu-experts.h"
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
    // Parts that never move and are used again for the next graph.
    template <class T> struct part_pool {
        std::deque<T> parts;
        size_t used = 0;

        T & next() {
            if (used == parts.size()) parts.emplace_back();
            return parts[used++];
        }
    };
    template <class Stage> struct staged {
        Stage stage;
        mirror * owner;
        // What it was filled from, to find sharers while building.
        const ggml_tensor *activation, *ids;
        size_t node_index;
        ggml_tensor * fill; // the node that fills it
    };
    template <class Work> struct multiplied {
        Work work;
        mirror * owner;
    };

    bool is_current(const ggml_cgraph * graph) const {
        return graph->uid != 0 && graph->uid == uid_ && generation_ == the_plugin().weights_generation;
    }
    void add(ggml_tensor * node) { nodes_.push_back(node); }
    void note_if_refused(const ggml_tensor * weight);
    status add_matmul(ggml_tensor * node, size_t node_index, int n_threads);
    status add_on_cpu(ggml_tensor * node, const packed_tensor & weight);
    template <class Stage>
    Stage & stage_for(part_pool<staged<Stage>> & stages, ggml_tensor * node, size_t node_index, int n_threads);
    template <class Work, class Stage, class... More>
    Work & add_product(part_pool<multiplied<Work>> & products, ggml_tensor * node, Stage & stage, const More &... more);
    void add_dense_product(ggml_tensor * node, size_t node_index, const activation_stage & stage);
    bool can_open(const merged_weight & merged, size_t node_index, const activation_stage & stage) const;
    void add_siblings(npu_experts & list, size_t node_index, const expert_stage & stage);
    bool is_computed_alike(size_t a, size_t b) const;
    bool is_untouched_since(const ggml_tensor * read, size_t from, size_t to) const;
    bool is_unused_between(const ggml_tensor * memory, size_t from, size_t to) const;
    ggml_tensor * custom_node(ggml_tensor * like, ggml_custom_op_t function, void * userdata);
    template <class Stage> static void fill_stage(ggml_tensor *, int ith, int nth, void * userdata);
    template <class Work> static void run_product(ggml_tensor *, int ith, int nth, void * userdata);

    ggml_cgraph graph_{};
    const ggml_cgraph * source_ = nullptr;
    uint64_t uid_ = 0, generation_ = 0;
    const void * last_stage_ = nullptr; // while building: the stage that was prepared last, of either kind
    // While building: a merged weight whose first product is there, and the rest are to come.
    struct {
        const merged_weight * weight = nullptr;
        const activation_stage * stage;
        const npu_matmul * first;
        size_t n_to_come;
    } open_;
    std::vector<ggml_tensor *> nodes_;
    std::vector<bool> done_before_; // while building: of each node of the graph, whether one before it does its work
    part_pool<ggml_tensor> tensors_;
    part_pool<staged<activation_stage>> stages_;
    part_pool<staged<expert_stage>> expert_stages_;
    part_pool<multiplied<npu_matmul>> matmuls_;
    part_pool<multiplied<npu_experts>> experts_;
    std::unordered_set<const ggml_tensor *> refused_; // noted before
    std::atomic<bool> failed_{false};
};

} // namespace rknpu
