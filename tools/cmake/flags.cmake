# Compiler flags of everything we build.
# clang warns of each `omp simd` loop that it leaves scalar, as all of them are without optimisation.
set(TESSERA_WARNINGS -Wall -Wextra -Werror $<$<COMPILE_LANG_AND_ID:CXX,Clang>:-Wno-pass-failed>)
# Code that joins many strings: GCC 12 takes "a" + std::string for overlapping or endless copies (GCC PR 105329).
set(TESSERA_TEXT_WARNINGS ${TESSERA_WARNINGS}
    $<$<COMPILE_LANG_AND_ID:CXX,GNU>:-Wno-restrict;-Wno-stringop-overflow;-Wno-array-bounds>)

# `omp simd` without an OpenMP runtime of our own; paths in error messages are relative to the repository.
add_compile_options(-fopenmp-simd -ffile-prefix-map=${PROJECT_SOURCE_DIR}/= $<$<COMPILE_LANGUAGE:CXX>:-fno-math-errno>
                    $<$<COMPILE_LANGUAGE:CXX>:-fno-trapping-math>)

if(TESSERA_MARCH)
  add_compile_options(-march=${TESSERA_MARCH})
  if(TESSERA_MARCH STREQUAL "native")
    # A CPU newer than the compiler gets a tuning without 512-bit vectors, measured up to 1.5x slower; and tunings for
    # Intel prefer vectors half as wide, 2x slower where a loop computes much per element (Gelu, Exp).
    execute_process(COMMAND ${CMAKE_CXX_COMPILER} -march=native -Q --help=target OUTPUT_VARIABLE TARGET_HELP ERROR_QUIET)
    if(TARGET_HELP MATCHES "-mavx512f[ \t]+\\[enabled\\]")
      if(NOT TARGET_HELP MATCHES "-mtune=[ \t]+(icelake-server|sapphirerapids|znver[4-9])")
        add_compile_options(-mtune=icelake-server)
      endif()
      add_compile_options(-mprefer-vector-width=512)
    endif()
  endif()
endif()

if(TESSERA_SANITIZE)
  add_compile_options(-fsanitize=${TESSERA_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${TESSERA_SANITIZE})
  # lld: 3 seconds for 30 of ld. Functions of headers that nothing calls (see precompile) may need what no library has.
  add_link_options("$<$<CXX_COMPILER_ID:Clang>:-fuse-ld=lld;-Wl,--gc-sections>")
endif()

if(TESSERA_PRECOMPILE AND CCACHE)  # what ccache asks for to cache uses of precompiled headers
  add_compile_options($<$<COMPILE_LANG_AND_ID:CXX,GNU>:-fpch-preprocess>
                      "$<$<COMPILE_LANG_AND_ID:CXX,Clang>:SHELL:-Xclang -fno-pch-timestamp>")
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env CCACHE_SLOPPINESS=pch_defines,time_macros ${CCACHE})
endif()

# The standard headers that most files include, and HEADERS, compiled once for the target NAME. In sanitizer builds by
# clang their functions too, into an object made of the precompiled headers (a source that clang knows by its name, hence
# -x none): left to each file that calls them, these functions are a third of the code of such a build.
function(precompile NAME)
  if(NOT TESSERA_PRECOMPILE)
    return()
  endif()
  target_precompile_headers(${NAME} PRIVATE <algorithm> <cmath> <cstring> <functional> <map> <memory> <optional> <span>
                            <string> <string_view> <vector> ${ARGN})
  if(TESSERA_SANITIZE AND CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
    set(PRECOMPILED ${CMAKE_CURRENT_BINARY_DIR}/CMakeFiles/${NAME}.dir/cmake_pch.hxx.pch)
    target_compile_options(${NAME} PRIVATE "SHELL:-Xclang -fmodules-codegen")
    target_sources(${NAME} PRIVATE ${PRECOMPILED})
    set_source_files_properties(${PRECOMPILED} PROPERTIES LANGUAGE CXX GENERATED ON OBJECT_DEPENDS ${PRECOMPILED}
                                SKIP_PRECOMPILE_HEADERS ON
                                COMPILE_OPTIONS "-x;none;-Wno-unused-command-line-argument")
  endif()
endfunction()
