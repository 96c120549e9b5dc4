# cmake --install: the plugin goes where ggml's dynamic backends live.
#
# Invariant: the installed plugin finds libggml-base.so either because its host has already loaded it (always so inside a
# ggml program) or next to itself; no path of the build machine stays in it.
if(TARGET ggml-rknpu)
    set_target_properties(ggml-rknpu PROPERTIES INSTALL_RPATH "$ORIGIN;$ORIGIN/..;$ORIGIN/../..")
    install(TARGETS ggml-rknpu LIBRARY DESTINATION ${RKNPU_BACKEND_DIR})
endif()
install(TARGETS rknpu RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(TARGETS rknpu-exit-gate LIBRARY DESTINATION ${RKNPU_BACKEND_DIR})
install(FILES ${PROJECT_SOURCE_DIR}/docs/rknpu.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
install(FILES ${PROJECT_SOURCE_DIR}/tools/rknpu/rknpu.bash RENAME rknpu
    DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE ${PROJECT_SOURCE_DIR}/README.md DESTINATION ${CMAKE_INSTALL_DOCDIR})
