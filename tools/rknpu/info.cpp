// rknpu info: the device, the settings in force and what they make of a model's weights, or why there is no device.
//
// Invariant: reads only; the NPU is closed again before anything else happens.
#include "commands.h"

#include "files.h"
#include "matmul/engine.h"
#include "plan/policy-file.h"
#include "planned-model.h"

#include <algorithm>
#include <cstdio>
#include <memory>

extern "C" char ** environ;

namespace rknpu {

namespace {

// Which format the policy gives to each kind of weight, for the usual sources.
json plan_summary(const engine & npu) {
    constexpr std::pair<const char *, double> sources[] = {{"F16", 16}, {"Q8_0", 8.5}, {"Q4_0", 4.5}};
    constexpr const char * tensors[] = {"attn_q", "attn_output", "ffn_up", "ffn_down", "output"};
    json all = json::object();
    for (const auto & [source, bits] : sources) {
        for (const char * tensor : tensors) {
            const bool of_layer = std::string(tensor) != "output";
            weight_facts facts{std::string(of_layer ? "blk.8." : "") + tensor + ".weight", 4096, 4096};
            facts.source_bits = bits;
            all[source][tensor] = format_name(npu.planning().formats.choose(facts).numeric_format);
        }
    }
    return all;
}

// Most bytes in all domains together, whatever the machine's memory.
uint64_t weight_bytes(const domain_ledger & ledger) {
    uint64_t sum = 0;
    for (int d = 0; d < ledger.n_domains(); d++)
        sum += ledger.available(d);
    return std::min(sum, ledger.available());
}

json describe(engine & npu) {
    const device_info & info = npu.info();
    const plan_settings & planning = npu.planning();
    return {{"device", info.description},
            {"chip", info.soc->name},
            {"cores", info.soc->n_cores},
            {"cores_used", planning.n_cores ? planning.n_cores : info.soc->n_cores},
            {"domains", info.soc->n_domains},
            {"domain_bytes", info.soc->domain_bytes},
            {"weight_bytes_max", npu.ledger().available(0)}, // in one domain
            {"weight_bytes_max_all", weight_bytes(npu.ledger())},
            {"runtime", info.runtime_version},
            {"emulated", info.emulated},
            {"driver", info.driver_version},
            {"lock", npu.lock().path()},
            {"rotation", planning.rotate},
            {"balance", planning.balance},
            {"formats", plan_summary(npu)}};
}

void print_device(const json & d) {
    const auto text = [&](const char * key) { return d.at(key).get<std::string>(); };
    const double gib = double(1 << 30);
    std::printf("device:   %s\n", text("device").c_str());
    std::printf("chip:     %s, %d cores (%d used), %d domains of %.1f GiB\n", text("chip").c_str(),
                d.at("cores").get<int>(), d.at("cores_used").get<int>(), d.at("domains").get<int>(),
                d.at("domain_bytes").get<double>() / gib);
    std::printf("runtime:  %s%s\n", text("runtime").c_str(),
                d.at("emulated") ? " (EMULATED: right results, but its speed says nothing about a board)" : "");
    std::printf("driver:   %s\n", text("driver").c_str());
    std::printf("lock:     %s\n", text("lock").empty() ? "off" : text("lock").c_str());
    const double domain = d.at("domain_bytes").get<double>() / gib, most = d.at("weight_bytes_max").get<double>() / gib,
                 all = d.at("weight_bytes_max_all").get<double>() / gib;
    std::printf("weights:  up to %.2f of %.2f GiB in a domain, for activations need room there too; %.2f GiB in all "
                "domains, as far as the machine has memory\n",
                most, domain, all);
    std::printf("          rotation %s, balance %s\n", d.at("rotation") ? "on" : "off", d.at("balance") ? "on" : "off");
    for (const auto & [source, formats] : d.at("formats").items()) {
        std::string line;
        for (const auto & [tensor, name] : formats.items())
            line += (line.empty() ? "" : ", ") + tensor + " " + name.get<std::string>();
        std::printf("of %-6s %s\n", (source + ":").c_str(), line.c_str());
    }
    std::printf("          (each tensor of a model of yours: rknpu plan model.gguf)\n");
}

void print_settings_in_force(const json & rows) {
    bool any = false;
    for (const auto & row : rows) {
        if (row.at("source") == "default") continue;
        any = true;
        std::printf("setting:  %s=%s (%s)\n", row.at("name").get<std::string>().c_str(),
                    row.at("value").get<std::string>().c_str(), row.at("source").get<std::string>().c_str());
    }
    if (!any) std::printf("settings: all at their defaults ('rknpu settings' lists them)\n");
}

#ifdef RKNPU_READS_GGUF
// What the plugin would make of a model's weights, in sums; rknpu plan has each tensor.
result<json> summary_of(const std::string & path) {
    if (auto s = check_gguf("model", path); !s.ok()) return s;
    const auto model = read_gguf_model(path);
    if (!model.ok()) return model.status();
    const settings & wishes = global_settings();
    const auto soc = find_chip(wishes.chip.empty() ? "rk3588" : wishes.chip);
    if (!soc.ok()) return soc.status();
    const auto formats = read_policy(wishes.format);
    if (!formats.ok()) return formats.status();
    plan_settings planning;
    planning.formats = formats.value();
    planning.n_cores = int(wishes.cores);
    const weight_limits limits = limit_weights(*soc.value(), wishes.domain_mib, wishes.memory_mib);
    const auto planned = plan_tensors(model.value(), *soc.value(), planning, limits);
    const model_bytes bytes = bytes_of(model.value(), planned);
    json by_format = json::object();
    for (const planned_tensor & p : planned) {
        if (!p.on_npu()) continue;
        json & n = by_format[format_name(p.plan.value().numeric_format)];
        n = n.is_null() ? 1 : n.get<int>() + 1;
    }
    return json{{"model", path},
                {"architecture", model.value().architecture},
                {"chip", soc.value()->name},
                {"npu_tensors", bytes.n_npu},
                {"npu_tensors_by_format", by_format},
                {"npu_packed_bytes", bytes.packed},
                {"domains", bytes.domains.size()},
                {"cpu_tensors", bytes.n_cpu},
                {"cpu_bytes", bytes.cpu_source}};
}

void print_plan(const json & plan) {
    const double mib = 1 << 20;
    std::string formats;
    for (const auto & [name, n] : plan.at("npu_tensors_by_format").items())
        formats += (formats.empty() ? "" : ", ") + std::to_string(n.get<int>()) + " as " + name;
    std::printf("model:    %s (%s), planned for %s\n", plan.at("model").get<std::string>().c_str(),
                plan.at("architecture").get<std::string>().c_str(), plan.at("chip").get<std::string>().c_str());
    std::printf("on NPU:   %d tensors, %.1f MiB packed in %d domain(s): %s\n", plan.at("npu_tensors").get<int>(),
                plan.at("npu_packed_bytes").get<double>() / mib, plan.at("domains").get<int>(),
                formats.empty() ? "none" : formats.c_str());
    std::printf("on CPU:   %d tensors, %.1f MiB (rknpu plan says which, and why)\n", plan.at("cpu_tensors").get<int>(),
                plan.at("cpu_bytes").get<double>() / mib);
}
#else
result<json> summary_of(const std::string &) {
    return status(errc::unsupported, "this rknpu was built without llama.cpp's source and reads no models; make build");
}

void print_plan(const json &) {}
#endif

int print_info(const std::string & model, bool as_json) {
    json all = {{"rknpu", RKNPU_VERSION}};
    if (!model.empty()) {
        const auto plan = summary_of(model);
        if (!plan.ok()) return exit_code_of("info", plan.status());
        all["plan"] = plan.value();
    }
    const auto opened = engine::open(global_settings());
    if (opened.ok())
        all["npu"] = describe(*opened.value());
    else
        all["no_npu"] = why_no_npu(opened.status());
    all["settings"] = settings_in_force(environ);
    if (as_json) {
        std::printf("%s\n", text_of(all, 2).c_str());
    } else {
        if (opened.ok())
            print_device(all.at("npu"));
        else
            std::printf("no NPU: %s\n", why_no_npu(opened.status()).c_str());
        if (all.contains("plan")) print_plan(all.at("plan"));
        print_settings_in_force(all.at("settings"));
    }
    return opened.ok() ? 0 : 1;
}

} // namespace

std::string why_no_npu(const status & why) {
    return why.message().empty()
               ? "this is no Rockchip board; GGML_RKNPU_RUNTIME=<librknnrt.so of the emulator> runs without one"
               : why.message();
}

std::string why_no_npu(const settings & wishes) {
    const auto opened = engine::open(wishes);
    return opened.ok() ? "" : why_no_npu(opened.status());
}

void add_info(CLI::App & app, int & exit_code) {
    CLI::App * command = app.add_subcommand(
        "info", "the device, the settings in force and what they make of a model, or why there is none");
    const auto as_json = std::make_shared<bool>(false);
    const auto model = std::make_shared<std::string>();
    command->add_option("model", *model, "a GGUF file (of several, the first), to sum up its plan");
    command->add_flag("--json", *as_json, "as JSON");
    command->callback([&exit_code, model, as_json] { exit_code = print_info(*model, *as_json); });
}

} // namespace rknpu
