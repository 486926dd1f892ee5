# tessera_add_plugin(NAME SOURCES...): a module NAME.so that Tessera loads. Works in the tree and, after
# find_package(tessera), outside of it; C and C++ alike. Only the plugin's entry is visible in it: hidden visibility alone
# would still export the instances of std:: templates.
function(tessera_add_plugin NAME)
  add_library(${NAME} MODULE ${ARGN})
  target_link_libraries(${NAME} PRIVATE tessera::plugin_sdk)
  target_link_options(${NAME} PRIVATE -Wl,--version-script=${CMAKE_CURRENT_FUNCTION_LIST_DIR}/plugin.map)
  get_property(LANGUAGES GLOBAL PROPERTY ENABLED_LANGUAGES)
  if("CXX" IN_LIST LANGUAGES)
    target_compile_features(${NAME} PRIVATE cxx_std_20)
  endif()
  set_target_properties(${NAME} PROPERTIES PREFIX "" C_VISIBILITY_PRESET hidden CXX_VISIBILITY_PRESET hidden
                        VISIBILITY_INLINES_HIDDEN ON)
  set_property(GLOBAL APPEND PROPERTY TESSERA_PLUGINS ${NAME})
endfunction()
