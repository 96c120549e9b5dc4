// See mirror.h.
#include "backend/mirror.h"

#include "backend/edge.h"

#include <algorithm>
#include <cstring>

namespace rknpu {

namespace {

// The rows of an activation [K, n0, n1, n2].
activation_source source_of(const ggml_tensor * t) {
    activation_source s;
    s.data = static_cast<const uint8_t *>(t->data);
    s.K = size_t(t->ne[0]);
    for (int i = 0; i < 3; i++) {
        s.n[i] = size_t(t->ne[i + 1]);
        s.stride[i] = t->nb[i + 1];
    }
    s.to_f32 = t->type == GGML_TYPE_F32 ? nullptr : ggml_get_type_traits(t->type)->to_float;
    return s;
}

const packed_weight & npu_weight(const ggml_tensor * node) {
    return *static_cast<const packed_tensor *>(node->src[0]->extra)->weight;
}

expert_ids ids_of(const ggml_tensor * t) {
    return {static_cast<const uint8_t *>(t->data), size_t(t->ne[0]), size_t(t->ne[1]), {t->nb[0], t->nb[1]}};
}

void prepare_stage(activation_stage & stage, const ggml_tensor * node, int n_threads) {
    stage.prepare(*the_plugin().npu, npu_weight(node), source_of(node->src[1]), n_threads);
}

void prepare_stage(expert_stage & stage, const ggml_tensor * node, int n_threads) {
    stage.prepare(*the_plugin().npu, npu_weight(node), source_of(node->src[1]), ids_of(node->src[2]), n_threads);
}

template <class Work, class Stage, class... More>
void prepare_product(Work & work, const ggml_tensor * node, Stage & stage, const More &... more) {
    work.prepare(*the_plugin().npu, npu_weight(node), stage, static_cast<float *>(node->data), size_t(node->ne[0]),
                 ggml_get_name(node->src[0]), more...);
}

// What the NPU multiplies, in an operation that it is asked for; nullptr where that is nothing: other operations, and
// products with weights that the CPU kept, such as a LoRA adapter of q.
const packed_tensor * multiplied_by(const ggml_tensor * node) {
    if (!is_matmul(node) || !is_packed(node->src[0]) || ggml_is_empty(node)) return nullptr;
    const auto * weight = static_cast<const packed_tensor *>(node->src[0]->extra);
    return weight->plain.empty() ? weight : nullptr;
}

bool overlap(const ggml_tensor * a, const ggml_tensor * b) {
    const auto * a0 = static_cast<const uint8_t *>(a->data);
    const auto * b0 = static_cast<const uint8_t *>(b->data);
    return a0 < b0 + ggml_nbytes(b) && b0 < a0 + ggml_nbytes(a);
}

} // namespace

bool mirror::would_use_npu(const ggml_cgraph * graph) const {
    if (is_current(graph)) return matmuls_.used + experts_.used > 0;
    return std::any_of(graph->nodes, graph->nodes + graph->n_nodes,
                       [](const ggml_tensor * node) { return is_matmul(node) && is_packed(node->src[0]); });
}

status mirror::build(const ggml_cgraph * graph, int n_threads) {
    if (is_current(graph)) return {};
    uid_ = 0; // until it is complete
    const uint64_t generation = the_plugin().weights_generation;
    if (generation != generation_) refused_.clear(); // addresses may have new owners
    if (would_use_npu(graph)) {
        the_plugin().npu->release_memory();
        the_plugin().npu->jobs().retry_failures(generation);
    }
    source_ = graph;
    nodes_.clear();
    tensors_.used = stages_.used = expert_stages_.used = matmuls_.used = experts_.used = 0;
    last_stage_ = nullptr;
    open_ = {};
    done_before_.assign(size_t(graph->n_nodes), false);
    for (int i = 0; i < graph->n_nodes; i++) {
        if (done_before_[size_t(i)]) continue;
        ggml_tensor * node = graph->nodes[i];
        const bool matmul = is_matmul(node);
        if (!matmul || !is_packed(node->src[0]) || ggml_is_empty(node)) {
            add(node);
            if (matmul && !is_packed(node->src[0])) note_if_refused(node->src[0]);
        } else if (auto s = add_matmul(node, size_t(i), n_threads); !s.ok()) {
            return s;
        }
    }
    // The hash set and the use counts stay those of the original: its nodes are ours, and ggml looks no custom node up.
    graph_ = *graph;
    graph_.nodes = nodes_.data();
    graph_.n_nodes = int(nodes_.size());
    graph_.size = graph_.n_nodes;
    uid_ = graph->uid;
    generation_ = generation;
    the_plugin().npu->count().graphs_mirrored++;
    return {};
}

// For the summary: a weight that llama.cpp put into plain memory because we refused it.
void mirror::note_if_refused(const ggml_tensor * weight) {
    if (!weight->buffer || weight->buffer->usage != GGML_BACKEND_BUFFER_USAGE_WEIGHTS) return;
    if (!refused_.insert(weight).second) return;
    const auto plan = plan_tensor(weight);
    the_plugin().note({weight, ggml_get_name(weight), ggml_type_name(weight->type),
                       plan.ok() ? "llama.cpp keeps it in host memory" : plan.status().message(), ggml_nbytes(weight)});
}

status mirror::add_matmul(ggml_tensor * node, size_t node_index, int n_threads) {
    const auto & weight = *static_cast<const packed_tensor *>(node->src[0]->extra);
    if (!weight.on_npu()) finish_loading(weight);
    if (!weight.on_npu()) return add_on_cpu(node, weight);
    if (node->op == GGML_OP_MUL_MAT) {
        add_dense_product(node, node_index, stage_for(stages_, node, node_index, n_threads));
    } else {
        expert_stage & stage = stage_for(expert_stages_, node, node_index, n_threads);
        add_siblings(add_product(experts_, node, stage), node_index, stage);
    }
    return {};
}

template <class Work, class Stage, class... More>
Work & mirror::add_product(part_pool<multiplied<Work>> & products, ggml_tensor * node, Stage & stage,
                           const More &... more) {
    multiplied<Work> & m = products.next();
    m.owner = this;
    prepare_product(m.work, node, stage, more...);
    add(custom_node(node, run_product<Work>, &m));
    return m.work;
}

// A product with a part of a merged weight: the first runs the jobs of all, if all are to come.
void mirror::add_dense_product(ggml_tensor * node, size_t node_index, const activation_stage & stage) {
    const merged_weight * merged = static_cast<const packed_tensor *>(node->src[0]->extra)->merged.get();
    if (open_.weight && open_.weight == merged && open_.stage == &stage) {
        add_product(matmuls_, node, stage, merged_part{merged, open_.first});
        if (--open_.n_to_come == 0) open_ = {};
    } else if (merged && can_open(*merged, node_index, stage)) {
        npu_matmul & first = add_product(matmuls_, node, stage, merged_part{merged, nullptr});
        if (first.has_all_memory())
            open_ = {merged, &stage, &first, merged->members().size() - 1};
        else // each may find what all together cannot
            prepare_product(first, node, stage);
    } else {
        add_product(matmuls_, node, stage);
    }
}

// Whether the next products on the NPU are those of the other parts, once each, with the same activation: nobody else
// may use the memory of the outputs meanwhile. All of them are computed, or none (ggml's flag).
bool mirror::can_open(const merged_weight & merged, size_t node_index, const activation_stage & stage) const {
    if (!merged.usable() || !takes_merged(stage, merged)) return false;
    const ggml_tensor * activation = source_->nodes[node_index]->src[1];
    const auto & members = merged.members();
    uint64_t found = 0; // a bit for each; without memory of its own, for graphs are mirrored while decoding
    const uint64_t all = (uint64_t(1) << members.size()) - 1;
    for (size_t i = node_index; i < size_t(source_->n_nodes) && found != all; i++) {
        const ggml_tensor * node = source_->nodes[i];
        const packed_tensor * weight = multiplied_by(node);
        if (!weight || done_before_[i]) continue;
        const auto at = std::find(members.begin(), members.end(), weight->weight.get());
        if (at == members.end() || !weight->on_npu() || node->op != GGML_OP_MUL_MAT || node->src[1] != activation ||
            !is_computed_alike(node_index, i) || !is_untouched_since(activation, node_index, i))
            return false;
        const uint64_t bit = uint64_t(1) << (at - members.begin());
        if (found & bit) return false;
        found |= bit;
    }
    return found == all;
}

// The next products with experts, as long as they are of siblings of this one's: the list multiplies them too, and
// their nodes are left out. They then read and write earlier than llama.cpp thought: what they read must be there, and
// nobody in between may use the memory of their outputs, which ggml gives to several tensors one after the other. What
// the NPU does for others in between does not matter, for the list has come to its end.
void mirror::add_siblings(npu_experts & list, size_t node_index, const expert_stage & stage) {
    const ggml_tensor * first = source_->nodes[node_index];
    for (size_t i = node_index + 1; i < size_t(source_->n_nodes); i++) {
        ggml_tensor * node = source_->nodes[i];
        const packed_tensor * weight = multiplied_by(node);
        if (!weight || node->op != GGML_OP_MUL_MAT_ID) continue;
        const ggml_tensor *activation = node->src[1], *ids = node->src[2];
        if (!weight->on_npu() || activation != first->src[1] || ids != first->src[2] ||
            !are_siblings(npu_weight(first).plan(), weight->weight->plan()) || !stage.serves(*weight->weight) ||
            !is_computed_alike(node_index, i) || !is_untouched_since(activation, node_index, i) ||
            !is_untouched_since(ids, node_index, i) || !is_unused_between(node, node_index, i))
            return;
        list.add_sibling(*weight->weight, static_cast<float *>(node->data), ggml_get_name(node->src[0]));
        done_before_[i] = true;
    }
}

// Either both nodes are computed or none is (ggml's flag).
bool mirror::is_computed_alike(size_t a, size_t b) const {
    return ((source_->nodes[a]->flags ^ source_->nodes[b]->flags) & GGML_TENSOR_FLAG_COMPUTE) == 0;
}

// A weight in a packed buffer that is not on the NPU: the same operation on the bytes that were kept.
status mirror::add_on_cpu(ggml_tensor * node, const packed_tensor & weight) {
    if (weight.plain.empty()) {
        return {errc::invalid_argument,
                std::string("the weight ") + ggml_get_name(node->src[0]) + " is used but was never loaded"};
    }
    ggml_tensor & plain = tensors_.next();
    plain = *node->src[0];
    plain.data = const_cast<uint8_t *>(weight.plain.data());
    plain.buffer = nullptr;
    ggml_tensor & copy = tensors_.next();
    copy = *node;
    copy.src[0] = &plain;
    add(&copy);
    return {};
}

template <class Stage>
Stage & mirror::stage_for(part_pool<staged<Stage>> & stages, ggml_tensor * node, size_t node_index, int n_threads) {
    const ggml_tensor *activation = node->src[1], *ids = node->src[2];
    // Only the last stage of either kind is alive: all use the same staging memory.
    if (stages.used > 0 && last_stage_ == &stages.parts[stages.used - 1]) {
        staged<Stage> & s = stages.parts[stages.used - 1];
        if (s.activation == activation && s.ids == ids && s.stage.serves(npu_weight(node)) &&
            is_untouched_since(activation, s.node_index, node_index) &&
            (!ids || is_untouched_since(ids, s.node_index, node_index))) {
            s.fill->flags |= node->flags & GGML_TENSOR_FLAG_COMPUTE; // the first product may be one that ggml skips
            return s.stage;
        }
    }
    staged<Stage> & s = stages.next();
    last_stage_ = &s;
    s.owner = this;
    s.activation = activation;
    s.ids = ids;
    s.node_index = node_index;
    prepare_stage(s.stage, node, n_threads);
    s.fill = custom_node(node, fill_stage<Stage>, &s);
    // It writes no tensor; ggml skips nodes without elements.
    for (auto & ne : s.fill->ne)
        ne = 1;
    add(s.fill);
    return s.stage;
}

// Whether no node in [from, to) writes into the memory of a tensor, as an in-place operation or a copy might.
bool mirror::is_untouched_since(const ggml_tensor * read, size_t from, size_t to) const {
    for (size_t i = from; i < to; i++) {
        const ggml_tensor * node = source_->nodes[i];
        if (!ggml_op_is_empty(node->op) && node->data && overlap(node, read)) return false;
    }
    return true;
}

// Whether no node in [from, to) reads or writes there.
bool mirror::is_unused_between(const ggml_tensor * memory, size_t from, size_t to) const {
    for (size_t i = from; i < to; i++) {
        const ggml_tensor * node = source_->nodes[i];
        if (ggml_op_is_empty(node->op)) continue;
        for (const ggml_tensor * source : node->src) {
            if (source && source->data && overlap(source, memory)) return false;
        }
    }
    return is_untouched_since(memory, from, to);
}

ggml_tensor * mirror::custom_node(ggml_tensor * like, ggml_custom_op_t function, void * userdata) {
    ggml_tensor & t = tensors_.next();
    t = *like; // its flags too: the CPU backend skips a node without the COMPUTE flag in silence
    t.op = GGML_OP_CUSTOM;
    std::memset(t.op_params, 0, sizeof(t.op_params));
    const ggml_custom_op_params params = {function, GGML_N_TASKS_MAX, userdata};
    std::memcpy(t.op_params, &params, sizeof(params));
    for (auto & source : t.src)
        source = nullptr;
    return &t;
}

void mirror::reset() {
    failed_ = false;
    for (size_t i = 0; i < stages_.used; i++)
        stages_.parts[i].stage.reset();
    for (size_t i = 0; i < expert_stages_.used; i++)
        expert_stages_.parts[i].stage.reset();
    for (size_t i = 0; i < matmuls_.used; i++)
        matmuls_.parts[i].work.reset();
    for (size_t i = 0; i < experts_.used; i++)
        experts_.parts[i].work.reset();
}

template <class Stage> void mirror::fill_stage(ggml_tensor *, int ith, int nth, void * userdata) {
    auto & s = *static_cast<staged<Stage> *>(userdata);
    if (!guarded("quantizing an activation", false, [&] { return s.stage.fill(ith, nth), true; }))
        s.owner->failed_ = true;
}

template <class Work> void mirror::run_product(ggml_tensor *, int ith, int nth, void * userdata) {
    auto & m = *static_cast<multiplied<Work> *>(userdata);
    if (!guarded("a matmul", false, [&] { return m.work.run(ith, nth), true; })) m.owner->failed_ = true;
}

} // namespace rknpu
