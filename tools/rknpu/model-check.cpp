// See model-check.h.
#include "model-check.h"

#include "files.h"
#include "gguf-model.h"

#include <map>

namespace rknpu {

#ifdef RKNPU_READS_GGUF

namespace {

std::string size_of(const weight_facts & facts) {
    return std::to_string(facts.K) + " x " + std::to_string(facts.N * facts.n_matrices);
}

} // namespace

status check_model(const std::string & what, const std::string & path) {
    if (const status s = check_gguf(what, path); !s.ok()) return s;
    const auto read = read_gguf_model(path);
    return read.ok() || read.status().code() != errc::invalid_argument ? status() : read.status();
}

status check_same_model(const std::string & model, const std::string & reference) {
    const auto ours = read_gguf_model(model), theirs = read_gguf_model(reference);
    if (!ours.ok() || !theirs.ok()) return {};
    const auto refuse = [&](const std::string & difference) {
        return status(errc::invalid_argument, "--reference: '" + reference + "' is of another model than '" + model +
                                                  "' (" + difference + "); give a file of the same model");
    };
    if (ours.value().architecture != theirs.value().architecture)
        return refuse(theirs.value().architecture + " instead of " + ours.value().architecture);
    std::map<std::string, const weight_facts *> shapes;
    for (const model_tensor & t : ours.value().tensors)
        shapes[t.facts.name] = &t.facts;
    for (const model_tensor & t : theirs.value().tensors) {
        const auto same = shapes.find(t.facts.name);
        if (same != shapes.end() && size_of(*same->second) != size_of(t.facts))
            return refuse(t.facts.name + " is " + size_of(t.facts) + " instead of " + size_of(*same->second));
    }
    return {};
}

#else

status check_model(const std::string & what, const std::string & path) {
    return check_gguf(what, path);
}

status check_same_model(const std::string &, const std::string &) {
    return {};
}

#endif

} // namespace rknpu
