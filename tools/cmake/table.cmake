# The folder is the registry: FOLDER/<family>/<stem>.cpp that defines `extern constinit const OpDef op_<stem>` enters the
# generated table of all operators. Files without such a definition hold shared code.
function(registry_table OUT PREFIX FOLDER)
  file(GLOB FILES CONFIGURE_DEPENDS ${FOLDER}/*/*.cpp)
  set(DECLARE "")
  set(ADD "")
  foreach(FILE ${FILES})
    get_filename_component(STEM ${FILE} NAME_WE)
    file(STRINGS ${FILE} DEFINED REGEX "constinit const OpDef ${PREFIX}_${STEM}[ =]")
    if(DEFINED)
      string(APPEND DECLARE "extern const OpDef ${PREFIX}_${STEM};\n")
      string(APPEND ADD "  r.add(${PREFIX}_${STEM});\n")
    endif()
  endforeach()
  set(TABLE ${PROJECT_BINARY_DIR}/builtin_ops.cpp)
  file(CONFIGURE OUTPUT ${TABLE} @ONLY CONTENT
"#include \"runtime/op/registry.h\"
namespace tessera {
@DECLARE@void add_builtin_ops(Registry& r) {
@ADD@}
}  // namespace tessera
")
  set(${OUT} ${TABLE} PARENT_SCOPE)
endfunction()
