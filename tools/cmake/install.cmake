# `cmake --install build`: the shared library, the headers a program needs to embed it, and the CMake package.
# Hidden in the library is most of our code, and all of what it depends on. Visible are what the public headers declare, a
# few types that come with it (Session::State, Trace, Statistics), and instances of std:: templates, most of the symbols.
include(CMakePackageConfigHelpers)

target_include_directories(tessera INTERFACE $<INSTALL_INTERFACE:include> $<INSTALL_INTERFACE:include/tessera>)
target_compile_features(tessera INTERFACE cxx_std_20)

install(TARGETS tessera tessera_plugin_sdk EXPORT tesseraTargets)
install(TARGETS tessera_runner)
# Headers include one another as "runtime/...", so they keep their places below include/tessera.
set(PUBLIC_HEADERS base/error.h base/inline_vector.h tensor/half.h tensor/dtype.h tensor/shape.h tensor/dim.h
    tensor/tensor.h exec/observer.h exec/cancel.h)
foreach(HEADER ${PUBLIC_HEADERS})
  get_filename_component(FOLDER ${HEADER} DIRECTORY)
  install(FILES ${PROJECT_SOURCE_DIR}/runtime/${HEADER} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/tessera/runtime/${FOLDER})
endforeach()
install(FILES ${PROJECT_SOURCE_DIR}/runtime/session/session.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/tessera)

install(DIRECTORY ${PROJECT_SOURCE_DIR}/plugins/sdk/tessera DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})

install(EXPORT tesseraTargets NAMESPACE tessera:: DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/tessera)
configure_package_config_file(${PROJECT_SOURCE_DIR}/tools/cmake/tesseraConfig.cmake.in
                              ${PROJECT_BINARY_DIR}/tesseraConfig.cmake
                              INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/tessera)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/tesseraConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/tesseraConfig.cmake ${PROJECT_BINARY_DIR}/tesseraConfigVersion.cmake
              ${PROJECT_SOURCE_DIR}/tools/cmake/tesseraPlugin.cmake ${PROJECT_SOURCE_DIR}/tools/cmake/plugin.map
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/tessera)
