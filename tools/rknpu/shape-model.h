// A published model without its file: the shape of shapes.h as if read from a GGUF file.
#pragma once

#include "gguf-model.h"
#include "shapes.h"

namespace rknpu {

// source: a type of matrices that shape_sources() lists.
gguf_model model_of(const model_shape & shape, const std::string & source);

// "name" or "name:source", e.g. gemma3-1b:q8_0; without one the source is q4_0.
struct named_shape {
    const model_shape * shape;
    std::string source;
};
// status: not_found where it is no such name (what may be a file's), invalid_argument where the source is not known.
result<named_shape> parse_named_shape(const std::string & text);
// All names, between commas, and the nearest of them to a mistyped one, or "".
std::string shape_names();
std::string near_shape(const std::string & name);

} // namespace rknpu
