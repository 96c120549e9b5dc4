# Compares docs/settings.md with what the tool writes.
execute_process(COMMAND ${CMAKE_COMMAND} -E env --unset=GGML_RKNPU_RUNTIME ${RKNPU} settings --markdown OUTPUT_VARIABLE now RESULT_VARIABLE code)
file(READ ${PAGE} page)
if(NOT code EQUAL 0 OR NOT now STREQUAL page)
    message(FATAL_ERROR "docs/settings.md is not what the table says: run build/tools/rknpu/rknpu settings --markdown > docs/settings.md")
endif()
