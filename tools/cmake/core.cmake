# The library: add_core compiles it, add_shared_of makes a shared library of a static one.
file(GLOB_RECURSE CORE_SOURCES CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/runtime/*.cpp ${PROJECT_SOURCE_DIR}/ops/*.cpp)
registry_table(OP_TABLE op ${PROJECT_SOURCE_DIR}/ops)
file(WRITE ${PROJECT_BINARY_DIR}/empty.cpp "")

# Where plugins/CMakeLists.txt installs plugins, seen from the installed runner.
file(RELATIVE_PATH INSTALLED_PLUGINS ${CMAKE_INSTALL_FULL_BINDIR} ${CMAKE_INSTALL_FULL_LIBDIR}/tessera/plugins)
file(CONFIGURE OUTPUT ${PROJECT_BINARY_DIR}/installed_plugins.cpp @ONLY CONTENT
"#include \"runtime/session/plugin_host/search_path.h\"
namespace tessera {
const std::string_view installed_plugins = \"@INSTALLED_PLUGINS@\";
}  // namespace tessera
")

# GCC 12 takes _mm256_undefined_pd of its own AVX-512 headers for a use of an uninitialised variable (GCC PR 105593).
set_source_files_properties(${PROJECT_SOURCE_DIR}/ops/linalg_eigen.cpp PROPERTIES
                            COMPILE_OPTIONS "$<$<CXX_COMPILER_ID:GNU>:-Wno-uninitialized;-Wno-maybe-uninitialized>")
if(TESSERA_SANITIZE)
  # Sanitizer builds are not optimised, which halves their compile time; the heaviest loops are, or tests take minutes.
  file(GLOB HEAVY_LOOPS CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/ops/attention/*_kernels.cpp
       ${PROJECT_SOURCE_DIR}/ops/attention/*forward.cpp ${PROJECT_SOURCE_DIR}/ops/attention/*backward.cpp
       ${PROJECT_SOURCE_DIR}/ops/linalg*.cpp ${PROJECT_SOURCE_DIR}/runtime/load/wire.cpp)
  set_property(SOURCE ${HEAVY_LOOPS} APPEND PROPERTY COMPILE_OPTIONS -O1)
  set_property(SOURCE ${HEAVY_LOOPS} PROPERTY SKIP_PRECOMPILE_HEADERS ON)  # which are for one optimisation
endif()
if(TESSERA_SANITIZE MATCHES "undefined")
  # Of the compile time of written-out steps two thirds were overflow of pointers; ASan sees where pointers lead.
  file(GLOB WRITTEN_OUT CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/ops/attention/*_kernels.cpp)
  set_property(SOURCE ${WRITTEN_OUT} APPEND PROPERTY COMPILE_OPTIONS -fno-sanitize=pointer-overflow)
  # Eigen's templates under UBSan take minutes and 2 GB, and are not ours to check.
  set_property(SOURCE ${PROJECT_SOURCE_DIR}/ops/linalg_eigen.cpp APPEND PROPERTY COMPILE_OPTIONS -fno-sanitize=undefined)
endif()

# The static library NAME, compiled for MARCH.
function(add_core NAME MARCH)
  set(INSTRUCTION_SET ${PROJECT_BINARY_DIR}/${NAME}_instruction_set.cpp)
  file(CONFIGURE OUTPUT ${INSTRUCTION_SET} @ONLY CONTENT
"#include \"runtime/base/instruction_set.h\"
namespace tessera {
const std::string_view instruction_set = \"@MARCH@\";
}  // namespace tessera
")
  add_library(${NAME} STATIC ${CORE_SOURCES} ${OP_TABLE} ${INSTRUCTION_SET} ${PROJECT_BINARY_DIR}/installed_plugins.cpp)
  target_include_directories(${NAME} PUBLIC ${PROJECT_SOURCE_DIR})
  target_compile_options(${NAME} PRIVATE ${TESSERA_WARNINGS})
  target_compile_definitions(${NAME} PRIVATE EIGEN_DONT_PARALLELIZE)
  precompile(${NAME} ${PROJECT_SOURCE_DIR}/runtime/op/context.h)
  target_link_libraries(${NAME} PUBLIC tessera_plugin_sdk tessera_proto TBB::tbb ${DNNL_LIBRARY} OpenMP::OpenMP_CXX
                        ${CMAKE_DL_LIBS} PRIVATE Eigen3::Eigen yaml-cpp)
endfunction()

# The shared library libFILE.so with all of the static library CORE, and what that needs; of ours, only what headers
# declare so is visible in it.
function(add_shared_of NAME FILE CORE)
  add_library(${NAME} SHARED ${PROJECT_BINARY_DIR}/empty.cpp)
  target_link_libraries(${NAME} PRIVATE $<LINK_LIBRARY:WHOLE_ARCHIVE,${CORE}>)
  set_target_properties(${NAME} PROPERTIES OUTPUT_NAME ${FILE} VERSION ${PROJECT_VERSION} SOVERSION 0)
endfunction()

add_core(tessera_core "${TESSERA_MARCH}")
add_shared_of(tessera tessera tessera_core)
