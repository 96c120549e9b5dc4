// Can the llama.cpp of this machine load the plugin? Its own libggml is asked, in a child process, through the public
// functions that every version has.
//
// Invariant: nothing of ggml stays in this process, and a library that crashes takes the child with it only.
#include "doctor/machine.h"

#include "llama-programs.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include <dlfcn.h>
#include <sys/wait.h>
#include <unistd.h>

namespace rknpu::doctor {

namespace {

namespace fs = std::filesystem;

// The libggml.so that a program finds: beside it, or in the lib folders of its prefix.
std::string library_of(const std::string & program) {
    std::error_code ignored;
    const fs::path folder = fs::canonical(program, ignored).parent_path();
    for (const char * place : {".", "../lib", "../lib64", "../lib/aarch64-linux-gnu", "../lib/x86_64-linux-gnu"}) {
        for (const char * name : {"libggml.so", "libggml.so.0"}) {
            const fs::path path = folder / place / name;
            if (is_file(path.string())) return fs::canonical(path, ignored).string();
        }
    }
    return "";
}

int answer_to = -1; // the child's end of the pipe

void say(const char * key, const std::string & value) {
    const std::string line = std::string(key) + "=" + value + "\n";
    (void)!write(answer_to, line.data(), line.size());
}

void on_log(int, const char * text, void *) {
    std::string line = text ? text : "";
    while (!line.empty() && line.back() == '\n')
        line.pop_back();
    if (line.find("rknpu: ") == std::string::npos && line.find("load_backend") != std::string::npos) say("log", line);
}

template <class F> F * function(void * library, const char * name) {
    return reinterpret_cast<F *>(dlsym(library, name));
}

// In the child. The plugin shall open no NPU: it is asked for a chip that does not exist.
void ask_library(const llama_facts & l) {
    setenv("GGML_RKNPU_CHIP", "none", 1);
    unsetenv("GGML_BACKEND_PATH");
    const fs::path folder = fs::path(l.library).parent_path();
    for (const char * name : {"libggml-base.so", "libggml-base.so.0"}) // where no rpath leads to it
        if (dlopen((folder / name).c_str(), RTLD_NOW | RTLD_GLOBAL)) break;
    void * ggml = dlopen(l.library.c_str(), RTLD_NOW | RTLD_GLOBAL);
    if (!ggml) return say("log", dlerror());
    const auto log_set = function<void(void (*)(int, const char *, void *), void *)>(RTLD_DEFAULT, "ggml_log_set");
    const auto version = function<const char *()>(RTLD_DEFAULT, "ggml_version");
    const auto count = function<size_t()>(ggml, "ggml_backend_reg_count");
    const auto load = function<void *(const char *)>(ggml, "ggml_backend_load");
    if (version) say("version", version());
    if (!log_set || !count || !load) return say("log", "it has no ggml_backend_load: too old for plugins");
    log_set(on_log, nullptr);
    // A build without GGML_BACKEND_DL has the CPU backend linked in and registered from the start.
    say("linked_in", std::to_string(count()));
    say("loads", load(l.plugin.c_str()) ? "1" : "0");
}

void take_line(llama_facts & l, const std::string & key, const std::string & value) {
    if (key == "version") l.ggml_version = value;
    if (key == "linked_in") l.reads_path = value == "0";
    if (key == "loads") l.loads = value == "1";
    if (key != "log") return;
    const size_t at = value.find("incompatible API version (");
    if (at != std::string::npos) {
        std::sscanf(value.c_str() + at, "incompatible API version (backend: %d, current: %d)", &l.plugin_api,
                    &l.host_api);
    }
    l.answer = value;
}

void ask_in_child(llama_facts & l) {
    int ends[2];
    if (pipe(ends) != 0) return;
    std::fflush(nullptr);
    const pid_t child = fork();
    if (child == 0) {
        answer_to = ends[1];
        close(ends[0]);
        if (!std::freopen("/dev/null", "w", stderr)) _exit(1);
        alarm(60); // a library that hangs
        ask_library(l);
        _exit(0); // no destructor of somebody else's
    }
    close(ends[1]);
    std::string said;
    char buffer[4096];
    for (ssize_t got; (got = read(ends[0], buffer, sizeof(buffer))) > 0;)
        said.append(buffer, size_t(got));
    close(ends[0]);
    int end = 0;
    if (child > 0) waitpid(child, &end, 0);
    for (size_t begin = 0, stop; (stop = said.find('\n', begin)) != std::string::npos; begin = stop + 1) {
        const std::string line = said.substr(begin, stop - begin);
        const size_t equals = line.find('=');
        if (equals != std::string::npos) take_line(l, line.substr(0, equals), line.substr(equals + 1));
    }
    if (WIFSIGNALED(end)) l.answer = std::string("it crashed while loading: ") + strsignal(WTERMSIG(end));
    if (l.loads) l.answer.clear();
}

} // namespace

llama_facts probe_llama(const std::string & llama_bin, const std::string & plugin) {
    llama_facts l;
    l.probed = true;
    for (const char * name : {"llama-cli", "llama-completion", "llama-server", "llama-bench"}) {
        const auto program = find_program(name, llama_bin);
        if (!program.ok()) continue;
        l.program = program.value();
        break;
    }
    const auto found = find_plugin(plugin);
    if (found.ok()) l.plugin = found.value();
    if (l.program.empty() || l.plugin.empty()) return l;
    l.library = library_of(l.program);
    if (!l.library.empty()) ask_in_child(l);
    return l;
}

} // namespace rknpu::doctor
