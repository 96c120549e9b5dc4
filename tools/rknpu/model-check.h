// What is asked of model files before llama.cpp's programs spend their time on them.
//
// Invariant: reads headers only. Where llama.cpp's libggml-base is not found, nothing but the first bytes are looked
// at, and llama.cpp's own programs say the rest.
#pragma once

#include "base/status.h"

#include <string>

namespace rknpu {

// status: invalid_argument, with the cure, unless path is a GGUF file that is all there; what names it ("model").
status check_model(const std::string & what, const std::string & path);

// status: invalid_argument where the reference cannot be of the same model: another architecture, or other shapes.
status check_same_model(const std::string & model, const std::string & reference);

} // namespace rknpu
