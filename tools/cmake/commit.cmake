# The project's version, as `tessera::build_version`, and the commit that a build was made from, as `build_commit`: asked
# at every build, written only when it changed, so that a benchmark's report names the code it measured. "unknown" outside
# a git checkout; "-dirty" with local changes.
if(CMAKE_SCRIPT_MODE_FILE)
  cmake_minimum_required(VERSION 3.25)
  set(COMMIT unknown)
  execute_process(COMMAND git -C ${SOURCE} describe --always --dirty --abbrev=12 --exclude=* OUTPUT_VARIABLE FOUND
                  OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE FAILED)
  if(NOT FAILED)
    set(COMMIT ${FOUND})
  endif()
  file(CONFIGURE OUTPUT ${OUT} @ONLY CONTENT
"#include \"tools/environment.h\"
namespace tessera {
const std::string_view build_version = \"@VERSION@\", build_commit = \"@COMMIT@\";
}  // namespace tessera
")
  return()
endif()

set(TESSERA_COMMIT_SCRIPT ${CMAKE_CURRENT_LIST_FILE})
function(commit_source OUT)
  set(FILE ${PROJECT_BINARY_DIR}/commit.cpp)
  add_custom_target(tessera_commit BYPRODUCTS ${FILE} COMMENT "" VERBATIM
                    COMMAND ${CMAKE_COMMAND} -DSOURCE=${PROJECT_SOURCE_DIR} -DVERSION=${PROJECT_VERSION} -DOUT=${FILE}
                            -P ${TESSERA_COMMIT_SCRIPT})
  set(${OUT} ${FILE} PARENT_SCOPE)
endfunction()
