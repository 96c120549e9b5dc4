// See planned-model.h.
#include "planned-model.h"

#include <algorithm>

namespace rknpu {

namespace {

// Those of one placement unit.
void choose_company(const std::vector<planned_tensor *> & on_npu, int n_cores) {
    std::vector<const matmul_plan *> plans;
    for (const planned_tensor * p : on_npu)
        plans.push_back(&p->plan.value());
    for (const std::vector<size_t> & row : rows_multiplied_together(plans)) {
        if (row.size() < 2) continue;
        std::vector<const matmul_plan *> parts;
        planned_company company;
        for (const size_t i : row) {
            parts.push_back(plans[i]);
            company.members.push_back(on_npu[i]->tensor);
        }
        if (parts.front()->n_matrices == 1) company.plan = plan_merged(parts, n_cores);
        const auto shared = std::make_shared<const planned_company>(std::move(company));
        for (const size_t i : row)
            on_npu[i]->company = shared;
    }
}

// As the plugin does (backend/weight-placer.h).
void choose_domains(std::vector<planned_tensor> & planned, const chip & soc, const weight_limits & most, int n_cores) {
    std::vector<sized_weight> sizes;
    std::vector<planned_tensor *> candidates;
    for (planned_tensor & p : planned) {
        if (!p.plan.ok()) continue;
        sizes.push_back({p.tensor->facts.name, reserved_bytes(p.plan.value())});
        candidates.push_back(&p);
    }
    const auto units = placement_units(sizes);
    const auto domains = place_units(units, std::vector<uint64_t>(size_t(soc.n_domains), most.domain), most.total);
    for (size_t i = 0; i < units.size(); i++) {
        std::vector<planned_tensor *> placed;
        for (const size_t w : units[i].weights) {
            candidates[w]->domain = domains[i];
            if (domains[i] != no_domain) placed.push_back(candidates[w]);
        }
        choose_company(placed, n_cores);
    }
}

} // namespace

double tensor_jobs::us() const {
    return share * sum_us(jobs);
}

tensor_jobs jobs_of(const planned_tensor & p, size_t M, size_t n_used) {
    const matmul_plan & plan = p.plan.value();
    if (!p.company) return {plan_jobs(plan, M, n_used)};
    const merged_plan & merged = p.company->plan;
    const std::vector<const model_tensor *> & members = p.company->members;
    const bool is_first = p.tensor == members.front();
    if (plan.n_matrices > 1) return {plan_jobs(plan, M, n_used, members.size()), 1 / double(members.size()), is_first};
    auto jobs = plan_merged_jobs(merged, plan, M);
    if (jobs.empty()) return {plan_jobs(plan, M, n_used)};
    return {std::move(jobs), double(plan.segments.size() * plan.N_padded()) / double(merged.n_columns), is_first};
}

std::vector<planned_tensor> plan_tensors(const gguf_model & model, const chip & soc, const plan_settings & wishes,
                                         const weight_limits & limits) {
    std::vector<planned_tensor> all;
    for (const model_tensor & t : model.tensors) {
        if (t.is_multiplied) all.push_back({&t, plan_weight(t.facts, soc, wishes)});
    }
    choose_domains(all, soc, limits, wishes.n_cores);
    return all;
}

uint64_t model_bytes::npu_memory() const {
    uint64_t sum = 0;
    for (const auto & [domain, bytes] : domains)
        sum += bytes;
    return sum;
}

model_bytes bytes_of(const gguf_model & model, const std::vector<planned_tensor> & planned) {
    model_bytes sum;
    for (const planned_tensor & p : planned) {
        if (!p.on_npu()) continue;
        sum.domains[p.domain] += reserved_bytes(p.plan.value());
        sum.n_npu++;
        sum.packed += p.plan.value().weight_bytes();
        sum.npu_source += p.tensor->bytes;
    }
    sum.n_cpu = model.tensors.size() - sum.n_npu;
    for (const model_tensor & t : model.tensors) {
        const bool taken = std::any_of(planned.begin(), planned.end(),
                                       [&](const planned_tensor & p) { return p.tensor == &t && p.on_npu(); });
        // The CPU keeps a tied embedding as well: it looks rows up.
        if (!taken || t.facts.name == "token_embd.weight") sum.cpu_source += t.bytes;
    }
    return sum;
}

} // namespace rknpu
