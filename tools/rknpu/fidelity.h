// rknpu fidelity: what a user asked for, and what was measured.
//
// Invariant: a figure comes from one run of stock llama-perplexity whose inputs are stored beside it.
#pragma once

#include "perplexity-output.h"

#include <string>
#include <vector>

namespace rknpu {

struct fidelity_wishes {
    std::string model, text, reference; // reference is the model itself unless another was given
    std::vector<std::string> formats;   // values of GGML_RKNPU_FORMAT
    std::vector<std::string> quantize;  // llama-quantize types to compare with, made from the reference
    std::string stats;
    std::string folder;
    std::string llama_bin, plugin;
    int chunks = 0; // 0: the whole text
    int context = 512;
    int batch = 2048;
    int threads = 0; // 0: llama.cpp's choice
    bool json = false;
};

enum class run_kind { reference, cpu, quantized, npu };
const char * kind_name(run_kind kind);

// One run: what it measures, and its figures once it has been done.
struct fidelity_run {
    run_kind kind;
    std::string label;   // e.g. "CPU Q8_0", "NPU w8a8"
    std::string what;    // model file, llama-quantize type, or format
    json inputs;         // everything that can change its figures
    bool stored = false; // found from an earlier call

    perplexity_statistics statistics;
    int chunks = 0;
    double seconds = 0;
    bool emulated = false;
    std::string device;               // as the plugin's summary names it
    std::vector<std::string> tensors; // the plugin's account of what ran where
    std::vector<std::string> notes;   // the plugin's warnings
};

struct fidelity_report {
    fidelity_wishes wishes;
    fidelity_run reference;
    std::vector<fidelity_run> runs;
    bool emulated() const;
};

// Runs what is not stored yet and completes the report. status: timeout with an empty message after Ctrl-C.
status measure(fidelity_report & report);
// How many of the runs (the reference among them) are done.
size_t finished_runs(const fidelity_report & report);

// The table's lines; header first.
std::string table_header(const fidelity_report & report);
std::string table_row(const fidelity_report & report, const fidelity_run & run);
// Mean KLD as a multiple of that of a run on the CPU; NaN where there is none to compare with.
double multiple_of(const fidelity_run & run, const fidelity_run & cpu);
std::vector<const fidelity_run *> cpu_runs(const fidelity_report & report);

json report_json(const fidelity_report & report);
std::string report_page(const fidelity_report & report);

} // namespace rknpu
