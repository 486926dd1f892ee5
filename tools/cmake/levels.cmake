# TESSERA_ISA=all, a portable build: everything is compiled for x86-64-v2 (TESSERA_MARCH is), and the library and the
# runner's commands again for each higher level, below glibc-hwcaps/LEVEL beside those for v2. The dynamic loader (glibc
# 2.33) takes the best that the CPU has, or the one that LD_LIBRARY_PATH=.../glibc-hwcaps/LEVEL asks for; what the CPU
# lacks it refuses. bf16 instructions, of no level, are chosen at run time (ops/simd.h).
set(TESSERA_LEVELS x86-64-v3 x86-64-v4)

# Compiles TARGET for LEVEL instead.
function(compile_for LEVEL TARGET)
  get_target_property(OPTIONS ${TARGET} COMPILE_OPTIONS)
  list(TRANSFORM OPTIONS REPLACE "^-march=.*" "-march=${LEVEL}")
  if(LEVEL STREQUAL "x86-64-v4")  # tunings shun 512-bit vectors: see flags.cmake
    list(APPEND OPTIONS -mtune=icelake-server -mprefer-vector-width=512)
  endif()
  set_target_properties(${TARGET} PROPERTIES COMPILE_OPTIONS "${OPTIONS}")
endfunction()

# TARGET is for LEVEL: shared libraries go where the loader looks, and it refuses other CPUs.
function(load_for LEVEL TARGET)
  target_link_options(${TARGET} PRIVATE -Wl,-z,${LEVEL})
  set_target_properties(${TARGET} PROPERTIES LIBRARY_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/glibc-hwcaps/${LEVEL})
  get_target_property(TYPE ${TARGET} TYPE)
  if(TYPE STREQUAL "SHARED_LIBRARY")
    install(TARGETS ${TARGET} LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}/glibc-hwcaps/${LEVEL} NAMELINK_SKIP)
  endif()
endfunction()

# The commands as a library of which only run_command_line is visible.
add_shared_of(tessera_commands tessera_commands tessera_tools)
install(TARGETS tessera_commands LIBRARY NAMELINK_SKIP)
target_link_libraries(tessera_runner PRIVATE tessera_commands)
target_include_directories(tessera_runner PRIVATE ${PROJECT_SOURCE_DIR})
set_target_properties(tessera_runner PROPERTIES INSTALL_RPATH "$ORIGIN/../${CMAKE_INSTALL_LIBDIR}")

foreach(LEVEL ${TESSERA_LEVELS})
  add_core(tessera_core_${LEVEL} ${LEVEL})
  compile_for(${LEVEL} tessera_core_${LEVEL})
  add_shared_of(tessera_${LEVEL} tessera tessera_core_${LEVEL})
  load_for(${LEVEL} tessera_${LEVEL})

  add_tools(tessera_tools_${LEVEL} tessera_core_${LEVEL})
  compile_for(${LEVEL} tessera_tools_${LEVEL})
  add_shared_of(tessera_commands_${LEVEL} tessera_commands tessera_tools_${LEVEL})
  load_for(${LEVEL} tessera_commands_${LEVEL})
  add_dependencies(tessera_runner tessera_commands_${LEVEL})
endforeach()

# For who asks for v2 by its folder.
set(BASE_LEVEL ${PROJECT_BINARY_DIR}/glibc-hwcaps/x86-64-v2)
file(MAKE_DIRECTORY ${BASE_LEVEL})
foreach(NAME tessera tessera_commands)
  file(CREATE_LINK ../../lib${NAME}.so.0 ${BASE_LEVEL}/lib${NAME}.so.0 SYMBOLIC)
  install(FILES ${BASE_LEVEL}/lib${NAME}.so.0 DESTINATION ${CMAKE_INSTALL_LIBDIR}/glibc-hwcaps/x86-64-v2)
endforeach()
